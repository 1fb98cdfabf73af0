package command

import (
	"bytes"
	"errors"
	"strings"

	"github.com/rivo/uniseg"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/filter"
	"github.com/conchmq/conch/protocol"
)

// parsePredicates reads the predicates in what inv subscribes to. A Redis client knows a subscription by its name, and so only
// PSUBSCRIBE can have one: its messages come with the very name that was subscribed to.
func (r *Reader) parsePredicates(inv *invocation) *protocol.Error {
	names, conditions := inv.topics(), 0
	for i, name := range names {
		topic, expression, found := filter.Split(name)
		if !found {
			continue
		}
		if conditions++; conditions > r.service.options.MaxPredicates { // the core would refuse them all, when they are compiled
			return r.errTooManyPredicates()
		}
		if !inv.row.TakesPredicate {
			return errNoPattern
		}
		if len(topic) == 0 {
			return protocol.Errorf("there is no topic in front of WHERE; type: %s", "orders WHERE price > 100")
		}
		if err := r.checkPredicateLen(expression); err != nil {
			return err
		}
		p, err := r.compile(string(expression))
		if err != nil {
			return errPredicate(string(expression), err)
		}
		if inv.predicates == nil {
			inv.predicates = make([]broker.Filter, len(names))
		}
		inv.predicates[i] = broker.Filter{Predicate: p, TopicLen: len(topic), Cost: predicateCost + p.MemSize()}
	}
	return nil
}

// compile compiles a predicate in a slot of the evaluators.
func (r *Reader) compile(expression string) (*filter.Predicate, error) {
	if !r.service.evaluators.acquire(r.Conn) {
		return nil, errAborted
	}
	defer r.service.evaluators.release()
	return r.service.predicates.Compile(expression, r.service.options.filterLimits()) //nolint:wrapcheck // it is shown as it is
}

// errAborted is not read by anybody: the connection has been aborted.
var errAborted = errors.New("the connection is closed")

var errNoPattern = protocol.Errorf(`a topic with a predicate is subscribed to by PSUBSCRIBE, so that its messages come with ` +
	`the name they were asked for by: PSUBSCRIBE "orders WHERE price > 100"`)

// errPredicate says what is wrong and where, and points at it for those who type.
func errPredicate(expression string, err error) *protocol.Error {
	var at *filter.Error
	if !errors.As(err, &at) {
		return protocol.Errorf("%s", err)
	}
	e := protocol.Errorf("wrong predicate, column %d: %s", at.Column, at.Text)
	shown, column := excerpt(expression, at.Column-1)
	e.Hints = []string{shown, strings.Repeat(" ", column) + "^"}
	return e
}

// excerpt is the part of an expression around a column that fits into a line of a terminal, as it is shown there, and
// in which cell the column is: a terminal gives two to a character of Chinese, and none to an accent.
func excerpt(expression string, column int) (shown string, at int) {
	const before, room = 40, 70
	text := []rune(expression)
	for i, r := range text {
		if r < ' ' || r == 0x7f { // it would be shown as more than one character
			text[i] = ' '
		}
	}
	cells := func(from, to int) int { return uniseg.StringWidth(string(text[from:to])) }
	column = min(column, len(text))
	from := max(0, column-before)
	for cells(from, column) > before {
		from++
	}
	to := min(len(text), from+room)
	for cells(from, to) > room {
		to--
	}
	return string(text[from:to]), cells(from, column)
}

// checkPredicates refuses subscriptions with predicates where they are not possible, or too many.
func (e *executor) checkPredicates(r *broker.Request, inv *invocation) *protocol.Error {
	if inv.predicates == nil {
		return nil
	}
	if e.txn != nil && inv.dialect != protocol.Line { // in lines, nothing is kept for EXEC
		return protocol.Errorf("a predicate is not possible inside a transaction")
	}
	room := e.service.options.MaxPredicates - e.sub.NumFiltered()
	for i := range inv.predicates {
		if inv.predicates[i].Predicate != nil && !e.sub.Holds(r.Kind, r.Form, r.Names[i]) {
			room--
		}
	}
	if room < 0 {
		return e.errTooManyPredicates()
	}
	return nil
}

func (c *Conn) errTooManyPredicates() *protocol.Error {
	return protocol.Errorf("you would hold more than %d predicates (--max-predicates)", c.service.options.MaxPredicates)
}

// unauthenticatedPredicate refuses what a client subscribes to before it has authenticated, if there is a predicate in it. That
// is left as it is: neither its length nor its text is looked at, and nothing of it is kept.
func (r *Reader) unauthenticatedPredicate(inv *invocation) *protocol.Error {
	for _, name := range inv.topics() {
		if _, _, found := filter.Split(name); found {
			return noAuth(inv)
		}
	}
	return nil
}

// stripPredicates are the names with their predicates taken off: a right is one to topics.
func stripPredicates(names [][]byte) [][]byte {
	var bare [][]byte
	for i, name := range names {
		topic, _, found := filter.Split(name)
		if !found {
			continue
		}
		if bare == nil {
			bare = append(bare, names...)
		}
		bare[i] = topic
	}
	if bare == nil {
		return names
	}
	return bare
}

// mayHavePredicate is quick to find out that nothing among names has one, as it mostly is.
func mayHavePredicate(names [][]byte) bool {
	for _, name := range names {
		if bytes.IndexByte(name, ' ') >= 0 {
			return true
		}
	}
	return false
}
