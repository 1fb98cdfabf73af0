package command

import (
	"bytes"
	"errors"
	"slices"
	"strings"

	"github.com/rivo/uniseg"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/filter"
	"github.com/conchmq/conch/internal/position"
	"github.com/conchmq/conch/internal/stream"
	"github.com/conchmq/conch/protocol"
)

// parseNames parses the positions and compiles the predicates in the names that inv subscribes
// to.
//
// Only PSUBSCRIBE may have one over RESP: a Redis client finds a subscription by its name, and
// pmessage repeats the name subscribed to. The name of a verb loses its position.
func (r *Reader) parseNames(inv *invocation) *protocol.Error {
	names, conditions, command, groups := inv.topics(), 0, (*replayCommand)(nil), map[cursorKey]bool(nil)
	for i, name := range names {
		topic, clause, expression := splitName(name)
		if len(topic) == len(name) {
			continue
		}
		if !inv.row.TakesPredicate && !inv.namesAsVerb() {
			return errNoPredicate(inv.row)
		}
		if len(topic) == 0 {
			return protocol.Errorf("no topic before %s; type: %s", bytes.Fields(name)[0], "orders WHERE price > 100")
		}
		f := broker.Filter{TopicLen: len(topic)}
		if expression != nil {
			// The core would refuse them all, but only after the reader has compiled them.
			if conditions++; conditions > r.service.options.MaxPredicates {
				return r.errTooManyPredicates()
			}
			if err := r.compileInto(&f, expression); err != nil {
				return err
			}
		}
		if clause != nil {
			start, err := r.parsePosition(clause, f.Predicate)
			if err != nil {
				return err
			}
			if command == nil {
				command = new(replayCommand)
			}
			if from := &start.from; from.Kind == position.Group {
				if key := (cursorKey{from.Text, string(topic)}); groups[key] {
					return protocol.Errorf("%s has a position in the group %s once", protocol.EscapeName(nil, topic), from.Text)
				} else if groups == nil {
					groups = map[cursorKey]bool{key: true}
				} else {
					groups[key] = true
				}
			}
			start.command, f.Start = command, start
			names[i] = verbName(inv, name)
		}
		if inv.predicates == nil {
			inv.predicates = make([]broker.Filter, len(names))
		}
		inv.predicates[i] = f
	}
	return nil
}

// mayWait reports whether a command subscribes with a predicate, which may have a grace period. A position alone has none:
// subscriptions of one read then start at one instant, so that their replays share a pass, and the one order.
func (inv *invocation) mayWait() bool {
	return slices.ContainsFunc(inv.predicates, func(f broker.Filter) bool { return f.Predicate != nil })
}

// splitName splits the name of a subscription into topic, position and predicate, as far as they
// are there: nil otherwise.
func splitName(name []byte) (topic, clause, expression []byte) {
	topic, expression, _ = filter.Split(name)
	topic, clause, _ = position.Split(topic)
	return topic, clause, expression
}

// verbName is the name without its position, if a verb has it.
func verbName(inv *invocation, name []byte) []byte {
	topic, clause, _ := splitName(name)
	if !inv.namesAsVerb() || clause == nil {
		return name
	}
	return slices.Concat(topic, name[len(topic)+1+len(clause):])
}

// parsePosition makes the replay of a subscription that starts in the past.
func (r *Reader) parsePosition(clause []byte, p broker.Predicate) (*replay, *protocol.Error) {
	from, err := position.ParseClause(string(clause))
	switch {
	case err != nil:
		return nil, protocol.Errorf("%s", err)
	case from.Kind == position.Group && !isCursorName(from.Text):
		return nil, protocol.Errorf("the name of a group has 1 to %d bytes without blanks", stream.MaxCursorName)
	}
	start := &replay{clause: string(clause)}
	if resolve := r.service.options.Resolve; resolve != nil && from.Kind == position.Number && from.Epoch != "" {
		if n, ok := resolve(from.Epoch, from.Number); ok {
			from.Epoch, from.Number = "", n
		}
	}
	if store := r.service.streams.store; store != nil && from.Kind == position.Number && from.Epoch != "" {
		if n, ok := store.Position(from.Epoch, from.Number); ok {
			start.logged = max(n, 1)
		}
	}
	if start.from = from; p != nil {
		start.predicate = p.(predicate).Predicate
	}
	return start, nil
}

// isCursorName reports whether a group may have that name.
func isCursorName(name string) bool {
	return name != "" && len(name) <= stream.MaxCursorName && !strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == 0x7f })
}

// compileInto compiles a predicate in an evaluator slot.
func (r *Reader) compileInto(f *broker.Filter, expression []byte) *protocol.Error {
	if err := r.checkPredicateLen(expression); err != nil {
		return err
	}
	p, err := r.compile(string(expression))
	if err != nil {
		return errPredicate(string(expression), err)
	}
	f.Predicate, f.Cost = predicate{p}, predicateCost+p.MemSize()
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
	return protocol.Errorf(`%s takes no predicate and no position; use PSUBSCRIBE "orders WHERE price > 100"`, row.Name)
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

// checkPredicates refuses predicates and positions inside a transaction, more predicates than
// MaxPredicates, and a position for a name of a verb that is held.
func (e *executor) checkPredicates(r *broker.Request, inv *invocation) *protocol.Error {
	if inv.predicates == nil {
		return nil
	}
	if err := e.checkOwnPredicates(r, inv); err != nil {
		return err
	}
	for i := range inv.predicates {
		f := &inv.predicates[i]
		if f.Start == nil {
			continue
		}
		name, start := r.Names[i][:f.TopicLen], f.Start.(*replay)
		if start.from.Kind == position.Group && !e.sub.Holds(r.Kind, r.Form, r.Names[i]) {
			if err := e.checkGroup(r, name, start.from.Text); err != nil {
				return err
			}
		}
		if err := e.checkStart(r.Kind, name, start); err != nil {
			return err
		}
	}
	return nil
}

// checkOwnPredicates is the part of it that depends on the connection alone.
func (e *executor) checkOwnPredicates(r *broker.Request, inv *invocation) *protocol.Error {
	if e.txn != nil && inv.dialect != protocol.Line { // lines are never queued for EXEC
		return protocol.Errorf("a predicate or a position is not possible inside a transaction")
	}
	room := e.service.options.MaxPredicates - e.sub.NumFiltered()
	for i := range inv.predicates {
		f, isHeld := &inv.predicates[i], e.sub.Holds(r.Kind, r.Form, r.Names[i])
		if f.Start != nil && inv.namesAsVerb() && isHeld {
			return errHeld(inv, r.Names[i])
		}
		if isFromGroup(*f) && !isHeld {
			if err := e.checkOwnGroup(r.Names[i][:f.TopicLen], f.Start.(*replay).from.Text); err != nil {
				return err
			}
		}
		if f.Predicate != nil && !isHeld {
			room--
		}
	}
	if room < 0 {
		return e.errTooManyPredicates()
	}
	return nil
}

// checkStart refuses a position for a topic or a pattern that has nothing there.
func (e *executor) checkStart(kind broker.Kind, name []byte, start *replay) *protocol.Error {
	from := &start.from
	durable := e.service.streams.state.Durable()
	literal := kind == broker.Topic || isLiteral(string(name))
	isDurable := durable != nil && (!literal || e.service.streams.state.IsDurable(name))
	switch {
	case from.Kind == position.Entry:
		if !literal || !isDurable {
			return protocol.Errorf("%s is an entry of one stream, so it needs the name of one durable topic (--durable); type: FROM EPOCH-123", from.Text)
		}
		if _, err := stream.ParseID([]byte(from.Text), 0); err != nil {
			return protocol.Errorf("%s", err)
		}
	case from.Each && !isDurable:
		return protocol.Errorf("EACH is for durable topics (--durable), and %s is none; type: LAST 1", protocol.EscapeName(nil, name))
	case from.Kind != position.Number && e.service.recent == nil && !isDurable:
		return protocol.Errorf("no messages are kept here for %s; start conch with --recent 64MiB", start.clause)
	}
	return nil
}

// errHeld names the command to type first.
func errHeld(inv *invocation, name []byte) *protocol.Error {
	leave := "UNSUB"
	if inv.handler.kind == broker.Pattern {
		leave = "PUNSUB"
	}
	shown := protocol.EscapeName(nil, name)
	return protocol.Errorf("%s is subscribed to already, and goes on from where it is; to start anew, type: %s %s", shown, leave, shown)
}

// errTooManyPredicates names the flag.
func (c *Conn) errTooManyPredicates() *protocol.Error {
	return protocol.Errorf("more than %d predicates on one connection (--max-predicates)", c.service.options.MaxPredicates)
}

// unauthenticatedPredicate refuses a predicate or a position before AUTH. Neither its length nor its text is
// checked, and nothing of it is kept.
func (r *Reader) unauthenticatedPredicate(inv *invocation) *protocol.Error {
	for _, name := range inv.topics() {
		if topic, _, _ := splitName(name); len(topic) < len(name) {
			return noAuth(inv)
		}
	}
	return nil
}

// stripPredicates returns the names without positions and predicates: ACL rules apply to topics.
func stripPredicates(names [][]byte) [][]byte {
	var bare [][]byte
	for i, name := range names {
		topic, _, _ := splitName(name)
		if len(topic) == len(name) {
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

// mayHavePredicate is a cheap test for most commands: a predicate or a position has a space
// before it.
func mayHavePredicate(names [][]byte) bool {
	for _, name := range names {
		if bytes.IndexByte(name, ' ') >= 0 {
			return true
		}
	}
	return false
}
