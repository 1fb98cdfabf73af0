package command

import (
	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/outbox"
	"github.com/conchmq/conch/protocol"
)

// sharedReply is a reply that was given to a client that waits for one stream. Others get the same bytes.
type sharedReply struct {
	key      *blockedKey
	from, to int
	version  protocol.Version
	frames   outbox.Fragment
}

// serve replies to the clients that wait for what was just added. It comes behind the command, or behind the transaction: an
// entry that is gone by then was never there for them.
func (b *blockedClients) serve(v broker.View) {
	if len(b.ready) == 0 {
		return
	}
	for _, k := range b.ready {
		k.dropDead(b.streams.state.Lookup([]byte(k.name)))
	}
	b.rounds++
	for _, k := range b.ready {
		if k.oneGroup {
			if b.streams.service.options.Order != nil {
				b.proposeFirst(v, k)
				continue
			}
			for k.first != nil && b.tryGroups(v, k.first.client) { // it has left the list
			}
			continue
		}
		for w := k.first; w != nil && (k.woken || len(k.added) > 0); w = w.next {
			// A client may wait many times, for one stream or for several.
			if w.client.looked != b.rounds {
				w.client.looked = b.rounds
				b.serving = append(b.serving, w.client)
			}
		}
	}
	for i, c := range b.serving {
		if c.grouped && i >= maxServed {
			b.later = append(b.later, c)
		} else {
			b.tryReply(v, c)
		}
		b.serving[i] = nil
	}
	for i, k := range b.ready {
		k.added, k.frames, k.woken = nil, nil, false
		b.ready[i] = nil
	}
	b.serving, b.ready = b.serving[:0], b.ready[:0]
	b.shared.frames.Release()
	b.shared = sharedReply{}
}

// maxServed is how many consumers one command wakes at once. Each of ten thousand with a group of its own gets the entry of an XADD: in
// one round that took 50 ms of processor time, and all their writers ran in front of whatever else came.
const maxServed = 256

// serveLater looks at the next consumers that an earlier command has woken. Each gets what is there for its group by now.
func (b *blockedClients) serveLater(v broker.View) {
	n := min(len(b.later), maxServed)
	for i, c := range b.later[:n] {
		if b.later[i] = nil; c.executor.blockedClient() == c { // else its wait has ended otherwise
			b.tryGroups(v, c)
		}
	}
	if b.later = b.later[n:]; len(b.later) == 0 {
		b.later = nil
	}
}

// tryReply replies to a client, if any entry is one that it waits for.
func (b *blockedClients) tryReply(v broker.View, c *blockedClient) {
	if c.grouped {
		b.tryGroups(v, c)
		return
	}
	any := false
	for i := range c.waits {
		any = any || c.waits[i].key.behind(c.waits[i].after) < len(c.waits[i].key.added)
	}
	if !any {
		return
	}
	e := c.executor
	b.streams.hold(e)
	if err := e.authorize(c.inv); err != nil { // rights may have changed meanwhile
		e.replyErr(c.inv, err)
	} else {
		b.reply(v, c)
	}
	b.end(c)
	v.FlushLater(&e.sub)
}

// reply gives a client its entries. Clients that wait for one stream share the bytes; others read again.
func (b *blockedClients) reply(v broker.View, c *blockedClient) {
	e := c.executor
	if len(c.waits) > 1 || c.read.maxSize > 0 || e.isPresented() || !b.share(c) {
		b.readAgain(v, c)
		return
	}
	if !e.replyMode.off && !e.replyMode.skip {
		e.queued().Add(b.shared.frames, outbox.FrameInfo{Kind: outbox.KindReplies})
	}
}

// share makes the shared reply that of a client. It returns false if there is another one already, and this one is large: the
// core encodes few large replies.
func (b *blockedClients) share(c *blockedClient) bool {
	k, e, x := c.waits[0].key, c.executor, &b.shared
	from := k.behind(c.waits[0].after)
	to := from + c.read.take(len(k.added)-from)
	if x.key == k && x.from == from && x.to == to && x.version == e.version {
		return true
	}
	entries := k.frames[k.added[from].start:k.added[to-1].end]
	if x.key != nil && len(entries)+len(k.name) > maxBytesNow {
		return false
	}
	x.frames.Release()
	frame := appendReadHead(e.service.encoder.begin(len(entries)+len(k.name)+64), e.version, 1)
	frame = append(appendReadStream(frame, e.version, []byte(k.name), to-from), entries...)
	*x = sharedReply{k, from, to, e.version, e.service.encoder.replies.commit(frame)}
	x.frames.Retain()
	return true
}

// readAgain runs the command again: it has something to read now.
func (b *blockedClients) readAgain(v broker.View, c *blockedClient) {
	w := &response{executor: c.executor, inv: c.inv, view: v, buf: c.executor.begin()}
	xread(w)
	if w.fill != nil {
		w.finishFill()
		return
	}
	c.executor.reply(w.buf)
}
