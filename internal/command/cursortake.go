package command

import (
	"encoding/binary"
	"errors"
	"slices"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/position"
	"github.com/conchmq/conch/protocol"
)

// A subscription FROM GROUP on a node of a cluster begins with a take, in its place in the order of all nodes. Behind it comes the subscription
// itself, which concerns that node alone.

// cursorTake makes a connection the holder of positions.
type cursorTake struct {
	holder string
	keys   []cursorKey
	err    *protocol.Error // why it was not made
}

// takeHandler is that of a take: a request in front of its subscription. It has no reply.
var takeHandler = &handler{op: broker.Reply}

// orderedTake is the first byte of a take in a body: the command that subscribes, the holder, and the keys.
const orderedTake = 'k'

func appendTake(b []byte, inv *invocation) []byte {
	b = appendLong(append(b, orderedTake), []byte(inv.row.FullName()))
	b = appendLong(b, []byte(inv.take.holder))
	b = binary.AppendUvarint(b, uint64(len(inv.take.keys)))
	for _, key := range inv.take.keys {
		b = appendLong(appendLong(b, []byte(key.group)), []byte(key.topic))
	}
	return b
}

// take reads a take of another node into a request.
func (b *bodyReader) take(inv *invocation, req *broker.Request) {
	row, t := protocol.Lookup(b.text()), &cursorTake{holder: string(b.text())}
	for range b.number() {
		t.keys = append(t.keys, cursorKey{string(b.text()), string(b.text())})
	}
	if row == nil || handlerByIndex[row.Index()].op != broker.Subscribe {
		b.err = errBody
		return
	}
	t.fill(inv, req, row)
}

// fill makes the request of a take. Its arguments are those by which rights are judged.
func (t *cursorTake) fill(inv *invocation, req *broker.Request, row *protocol.CommandSpec) {
	*inv = invocation{handler: takeHandler, row: row, dialect: protocol.RESP, ordered: true, take: t, args: [][]byte{[]byte(row.Name)}}
	for _, key := range t.keys {
		inv.args = append(inv.args, []byte(key.topic))
	}
	*req = broker.Request{Op: broker.Reply, Tag: inv}
}

// startsAtGroup reports whether a command subscribes FROM GROUP.
func (inv *invocation) startsAtGroup() bool {
	return inv.err == nil && inv.handler.op == broker.Subscribe && inv.handler.kind != broker.Shard && slices.ContainsFunc(inv.predicates, isFromGroup)
}

func isFromGroup(f broker.Filter) bool {
	start, ok := f.Start.(*replay)
	return ok && start.from.Kind == position.Group
}

// encodeTake appends the take of a subscription to a body, and puts its request in front of that of the subscription. A subscription
// is the last command of a batch.
func (r *Reader) encodeTake(b *Batch, body []byte) []byte {
	inv, n := b.last(), len(b.Requests)-1
	if r.unauthenticated() || !inv.startsAtGroup() {
		return body
	}
	if inv.take = r.newTake(inv, &b.Requests[n]); inv.take == nil || inv.take.err != nil {
		return body
	}
	if body == nil {
		body = appendOrigin(r.ordered.room[:0], &r.ordered.origin)
	}
	take := new(invocation)
	b.Requests = slices.Insert(b.Requests, n, broker.Request{})
	inv.take.fill(take, &b.Requests[n], inv.row)
	return appendTake(body, take)
}

// newTake returns what a subscription takes; nil if it will be refused, or takes nothing.
func (r *Reader) newTake(inv *invocation, req *broker.Request) (t *cursorTake) {
	isNew := false
	r.service.runOnCore(func(broker.View) {
		e := &r.executor
		if !e.mayPublish(inv) || e.overMaxSubscriptions(req) || inv.long != nil && inv.long.rejected || e.checkOwnPredicates(req, inv) != nil {
			return // what depends on what all share is judged where the take has its place
		}
		for key := range e.groupsOf(req, inv) {
			if t == nil {
				t = &cursorTake{holder: e.service.cursors.newHolder(e.id)}
			}
			t.keys = append(t.keys, key)
			isNew = isNew || e.service.streams.state.Cursor(key.group, key.topic) == nil
		}
	})
	if isNew {
		t.err = r.service.orderFull()
	}
	return t
}

// groupsOf yields what a subscription takes. Names that the connection holds go on as they are.
func (e *executor) groupsOf(r *broker.Request, inv *invocation) func(yield func(cursorKey) bool) {
	return func(yield func(cursorKey) bool) {
		for i, f := range inv.predicates {
			if !isFromGroup(f) || e.sub.Holds(r.Kind, r.Form, r.Names[i]) {
				continue
			}
			if !yield(cursorKey{f.Start.(*replay).from.Text, string(r.Names[i][:f.TopicLen])}) {
				return
			}
		}
	}
}

// orderFull is why nothing can be added in the order of all nodes; nil if it can.
func (s *Service) orderFull() *protocol.Error {
	switch err := s.options.Order.Full(); {
	case errors.Is(err, ErrNoRoom):
		return errOOM
	case err != nil:
		return errMisconf(err)
	}
	return nil
}

// takeCursors applies a take, in its place in the order.
func (e *executor) takeCursors(inv *invocation, v broker.View) {
	if inv.take.err = e.authorizeOrdered(inv); inv.take.err != nil {
		e.service.streams.entry.refused++
		return
	}
	for _, key := range inv.take.keys {
		e.service.cursors.applyTake(v, key, handlerByIndex[inv.row.Index()].kind, inv.take.holder, e)
	}
}

// applyTake makes a connection the holder of a position. On all nodes the state changes alike; on that of the connection before, this one
// ends.
func (c *cursors) applyTake(v broker.View, key cursorKey, kind broker.Kind, holder string, e *executor) {
	at := v.Stats().Sequence
	if kept := c.service.streams.state.Cursor(key.group, key.topic); kept != nil {
		at = kept.Position()
	}
	if !c.service.mayBeDurable(kind, []byte(key.topic)) || !c.hold(v, key, at, holder) {
		return
	}
	if !e.isReplica {
		c.take(v, key, e, holder)
		return
	}
	if old := c.held[key]; old != nil {
		c.takeOver(old, e, v)
		c.remove(old)
	}
	if c.isOurs(holder) { // its connection has ended
		c.order.strays.Store(true)
	}
}

// checkTake refuses a subscription that lacks its take.
func (e *executor) checkTake(r *broker.Request, inv *invocation) *protocol.Error {
	if e.service.options.Order == nil {
		return nil
	}
	for key := range e.groupsOf(r, inv) {
		switch {
		case inv.take != nil && inv.take.err != nil:
			return inv.take.err
		case e.service.cursors.pending(key, e) == nil:
			return errChanged
		}
	}
	return nil
}

// giveUpTake ends that a connection holds what it has taken for a subscription that is refused.
func (e *executor) giveUpTake(inv *invocation) {
	if inv.take == nil {
		return
	}
	for _, key := range inv.take.keys {
		if h := e.service.cursors.pending(key, e); h != nil {
			h.dropped = true
		}
	}
}
