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

// parsePredicates compiles the predicates in the names that inv subscribes to.
//
// Only PSUBSCRIBE may have one over RESP: a Redis client finds a subscription by its name, and
// pmessage repeats the name subscribed to.
func (r *Reader) parsePredicates(inv *invocation) *protocol.Error {
	names, conditions := inv.topics(), 0
	for i, name := range names {
		topic, expression, found := filter.Split(name)
		if !found {
			continue
		}
		// The core would refuse them all, but only after the reader has compiled them.
		if conditions++; conditions > r.service.options.MaxPredicates {
			return r.errTooManyPredicates()
		}
		if !inv.row.TakesPredicate && !inv.namesAsVerb() {
			return errNoPredicate(inv.row)
		}
		if len(topic) == 0 {
			return protocol.Errorf("no topic before WHERE; type: %s", "orders WHERE price > 100")
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
		inv.predicates[i] = broker.Filter{Predicate: predicate{p}, TopicLen: len(topic), Cost: predicateCost + p.MemSize()}
	}
	return nil
}

// compile compiles a predicate in an evaluator slot.
func (r *Reader) compile(expression string) (*filter.Predicate, error) {
	if !r.service.evaluators.acquire(&r.abort) {
		return nil, errAborted
	}
	defer r.service.evaluators.release()
	return r.service.predicates.Compile(expression, r.service.options.filterLimits()) //nolint:wrapcheck // it is shown as it is
}

// errAborted is never shown: the connection has been aborted.
var errAborted = errors.New("the connection is closed")

// errNoPredicate names the command to type instead.
func errNoPredicate(row *protocol.CommandSpec) *protocol.Error {
	return protocol.Errorf(`%s takes no predicate; use PSUBSCRIBE "orders WHERE price > 100"`, row.Name)
}

// errPredicate names the error and its column. In a line, hints show the place with a caret.
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

// excerpt is the part of an expression around a column that fits into a terminal line, as
// displayed, and the cell of the column.
//
// A terminal uses two cells for a Chinese character, and none for a combining accent.
func excerpt(expression string, column int) (shown string, at int) {
	const before, room = 40, 70
	text := []rune(expression)
	for i, r := range text {
		if r < ' ' || r == 0x7f { // control characters would be displayed as several
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

// checkPredicates refuses predicates inside a transaction, and more of them than MaxPredicates.
func (e *executor) checkPredicates(r *broker.Request, inv *invocation) *protocol.Error {
	if inv.predicates == nil {
		return nil
	}
	if e.txn != nil && inv.dialect != protocol.Line { // lines are never queued for EXEC
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

// errTooManyPredicates names the flag.
func (c *Conn) errTooManyPredicates() *protocol.Error {
	return protocol.Errorf("more than %d predicates on one connection (--max-predicates)", c.service.options.MaxPredicates)
}

// unauthenticatedPredicate refuses a predicate before AUTH. Neither its length nor its text is
// checked, and nothing of it is kept.
func (r *Reader) unauthenticatedPredicate(inv *invocation) *protocol.Error {
	for _, name := range inv.topics() {
		if _, _, found := filter.Split(name); found {
			return noAuth(inv)
		}
	}
	return nil
}

// stripPredicates returns the names without their predicates: ACL rules apply to topics.
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

// mayHavePredicate is a cheap test for most commands: a predicate has a space before it.
func mayHavePredicate(names [][]byte) bool {
	for _, name := range names {
		if bytes.IndexByte(name, ' ') >= 0 {
			return true
		}
	}
	return false
}
