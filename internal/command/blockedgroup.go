package command

import (
	"container/heap"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/keyargs"
	"github.com/conchmq/conch/protocol"
)

// tryGroups replies to a client that reads by groups. It returns false if others were there first: the client waits on.
func (b *blockedClients) tryGroups(v broker.View, c *blockedClient) bool {
	e := c.executor
	x, _ := c.inv.xread()
	w := &response{executor: e, inv: c.inv, view: v}
	if !w.mayReadGroups(x) { // of very many that wait, most find nothing
		b.retryLater(c, w, x)
		return false
	}
	if b.streams.service.options.Order != nil {
		b.propose(v, c)
		return false
	}
	return b.readGroups(v, c, w, x)
}

// readGroups makes a client's XREADGROUP, and replies. It returns false if it finds nothing.
func (b *blockedClients) readGroups(v broker.View, c *blockedClient, w *response, x *keyargs.XRead) bool {
	e := c.executor
	b.streams.hold(e)
	if err := e.authorizeBlocked(c.inv); err != nil {
		e.replyErr(c.inv, err)
	} else {
		if w.buf = e.begin(); !w.readGroups(x) {
			b.retryLater(c, w, x)
			return false
		}
		b.streams.hold(e) // it has changed the group
		if w.fill != nil {
			w.finishFill()
		} else {
			e.reply(w.buf)
		}
	}
	b.end(c)
	v.FlushLater(&e.sub)
	return true
}

// authorizeBlocked is authorize for a read that is made now, in a cluster in its place in the order.
func (e *executor) authorizeBlocked(inv *invocation) *protocol.Error {
	if e.service.options.Order != nil {
		err := e.authorizeOrdered(inv)
		if err != nil {
			e.service.streams.entry.refused++ // as on all other nodes
		}
		return err
	}
	return e.authorize(inv)
}

// retryLater sets when a client that found nothing looks again by itself.
func (b *blockedClients) retryLater(c *blockedClient, w *response, x *keyargs.XRead) {
	if x.Claims {
		c.retryAt = w.nextClaim(x)
		b.reschedule(c)
	}
}

// reschedule sets when a client with CLAIM looks again.
func (b *blockedClients) reschedule(c *blockedClient) {
	if c.index >= 0 {
		heap.Remove(&b.timeouts, c.index)
	}
	if c.deadline = c.retryAt; c.end > 0 {
		c.deadline = min(c.end, c.retryAt)
	}
	heap.Push(&b.timeouts, c)
}
