package command

import (
	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/protocol"
)

// On a node of a cluster an XREADGROUP that waits here changes a group that all nodes share. So it is proposed again once it may find
// something, and is made in its place in the order.

// proposedWait is after how many milliseconds the end of a wait is looked at again whose read is proposed.
const proposedWait = 100

// maxProposedReads bounds the reads that one change of a stream proposes: each finds less than the one before.
const maxProposedReads = 16

// propose proposes the read of a client.
func (b *blockedClients) propose(v broker.View, c *blockedClient) {
	if c.proposed {
		return
	}
	e := c.executor
	o := e.origin()
	body := appendOrdered(appendOrigin(nil, &o), c.inv, &broker.Request{Op: broker.Reply})
	if err := b.streams.service.options.Order.Propose(body, c); err != nil {
		b.fail(v, c, errClusterDown(err))
		return
	}
	c.proposed = true
}

// proposeFirst proposes the reads of the first clients that wait for a stream, all by one group.
func (b *blockedClients) proposeFirst(v broker.View, k *blockedKey) {
	n := 0
	for w := k.first; w != nil && n < maxProposedReads; n++ {
		next := w.next // it may leave the list
		if !w.client.proposed {
			b.tryGroups(v, w.client)
		}
		w = next
	}
}

// fail ends the wait of a client with an error.
func (b *blockedClients) fail(v broker.View, c *blockedClient, err *protocol.Error) {
	b.giveUp(v, c, func(w *response) { w.fail(err) })
}

// lost ends the wait of a client, because the proposal of its read was given up.
func (b *blockedClients) lost(v broker.View, c *blockedClient, err *protocol.Error) {
	if c.proposed = false; c.executor.blockedClient() == c {
		b.fail(v, c, err)
		c.executor.Flush() // the core flushes only what it has queued itself
	}
}

// applyProposed makes the read of a client in its place in the order. It returns false if the client waits no more: then the replica
// makes it, as on all other nodes.
func (b *blockedClients) applyProposed(v broker.View, c *blockedClient) bool {
	c.proposed = false
	e := c.executor
	if e.blockedClient() != c || e.closing {
		return false
	}
	x, _ := c.inv.xread() // it was read before
	var names []string
	for _, name := range x.Keys {
		names = append(names, string(name)) // the arguments go with the batch
	}
	if b.readGroups(v, c, &response{executor: e, inv: c.inv, view: v}, x) {
		for _, name := range names {
			b.wake(name) // others may find what it leaves
		}
	} else if c.unblocked != nil {
		b.giveUp(v, c, c.unblocked)
	}
	return true
}

// applyBlocked makes the read of a client that waits, and reports whether it still does.
func (a *Applier) applyBlocked(c *blockedClient) (waits bool) {
	a.onCore(func(v broker.View) { waits = a.service.streams.blocked.applyProposed(v, c) })
	return waits
}
