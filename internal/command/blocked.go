package command

import (
	"bytes"
	"container/heap"
	"slices"
	"sync/atomic"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/stream"
)

// blockedClient is a client with a command that has no reply yet: an XREAD that waits for an entry, or a command that waits for
// the disk. It belongs to the core.
//
// Its batch is not handed back meanwhile, so the reader submits nothing behind it, and the command's arguments stay.
type blockedClient struct {
	executor *executor
	inv      *invocation
	batch    *Batch // nil until the core has handed it over
	waits    []keyWait
	read     readLimits
	// record is waited for until it is on disk; 0 for none. expired makes the reply then, and when the time is up.
	record  uint64
	expired func(w *response)
	// deadline is the end of the wait by the log's clock, 0 if there is none; index is the place among all deadlines.
	deadline int64
	index    int
	// grouped: the command is XREADGROUP, which others may forestall. With CLAIM it looks again at retryAt, which is then the
	// deadline unless end, the end of the wait, comes first. 0 stands for none.
	grouped      bool
	retryAt, end int64
	// proposed: the read is on its way to the order of all nodes. unblocked is the reply to make if it finds nothing, because CLIENT UNBLOCK
	// came meanwhile; nil if not.
	proposed  bool
	unblocked func(w *response)
	// looked is the round of serve in which the client was looked at last.
	looked uint64
}

// blockedClients are all clients that wait.
type blockedClients struct {
	streams *streams
	count   int
	keys    map[string]*blockedKey
	// ready are those with entries that were just added.
	ready []*blockedKey
	// syncing are those that wait for the disk, awaitingSync how many, for the log.
	syncing      []*blockedClient
	awaitingSync atomic.Int32
	timeouts     timeoutHeap
	// serving is the clients to look at; a field for its memory.
	serving []*blockedClient
	// later are consumers to look at in the next rounds: see serveLater.
	later []*blockedClient
	// rounds counts the calls of serve.
	rounds uint64
	shared sharedReply
}

func (b *blockedClients) init(s *streams) {
	b.streams, b.keys = s, make(map[string]*blockedKey)
}

// mayBlock reports whether the command may have to wait: the reader then submits nothing behind it.
func (inv *invocation) mayBlock() bool {
	return inv.err == nil && inv.handler.mayBlock != nil && inv.handler.mayBlock(inv.args)
}

// hasBlockOption looks for the BLOCK of an XREAD.
func hasBlockOption(args [][]byte) bool {
	for _, arg := range args[1:] {
		switch {
		case bytes.EqualFold(arg, []byte("BLOCK")):
			return true
		case bytes.EqualFold(arg, []byte("STREAMS")):
			return false
		}
	}
	return false
}

// waitCost is about what a stream that a client waits for takes in memory, besides its name.
const waitCost = 200

// block makes the command at hand wait, until an entry is added or the time is up. timeout is in milliseconds, 0 for ever. group is
// that of a consumer that waits for new entries of one stream alone, and claims none; else nil.
func (w *response) block(names [][]byte, after []stream.ID, timeout int64, limits readLimits, group []byte) {
	b := &w.executor.service.streams.blocked
	c := &blockedClient{waits: make([]keyWait, len(names)), read: limits, expired: (*response).nullArray}
	size := 0
	for i, name := range names {
		key := b.keys[string(name)]
		if key == nil {
			key = &blockedKey{name: string(name), oneGroup: group != nil, group: string(group)}
			b.keys[key.name] = key
		}
		key.oneGroup = key.oneGroup && group != nil && key.group == string(group)
		c.waits[i] = keyWait{client: c, key: key, after: after[i]}
		key.add(&c.waits[i])
		size += waitCost + len(name)
	}
	w.blockAs(c, timeout, size)
}

// awaitSync makes the command at hand wait until a record is on disk, or the time is up. Either makes the reply by answer.
func (w *response) awaitSync(record uint64, timeout int64, answer func(w *response)) {
	s := &w.executor.service.streams
	b, c := &s.blocked, &blockedClient{record: record, expired: answer}
	b.awaitingSync.Add(1)
	if s.synced.Load() >= record || s.store.Failed() != nil { // it may have come just before that
		b.awaitingSync.Add(-1)
		answer(w)
		return
	}
	b.syncing = append(b.syncing, c)
	w.blockAs(c, timeout, 0)
}

// blockAs blocks the client, for so many milliseconds at most unless timeout is 0.
func (w *response) blockAs(c *blockedClient, timeout int64, size int) {
	e := w.executor
	b := &e.service.streams.blocked
	c.executor, c.inv, c.index = e, w.inv, -1
	if timeout > 0 {
		c.deadline = e.service.streams.localNow() + timeout
		heap.Push(&b.timeouts, c)
	}
	b.count++
	x := e.usesStreams()
	x.blocked = c
	e.service.memory.SetUsage(&x.usage.blocked, waitCost+size)
	w.blocked = true
}

// end ends the wait of a client, and hands its batch back.
func (b *blockedClients) end(c *blockedClient) {
	for i := range c.waits {
		w := &c.waits[i]
		if w.key.remove(w); w.key.first == nil {
			delete(b.keys, w.key.name)
		}
	}
	if c.record > 0 {
		b.awaitingSync.Add(-1)
		b.syncing = slices.DeleteFunc(b.syncing, func(other *blockedClient) bool { return other == c })
	}
	if c.index >= 0 {
		heap.Remove(&b.timeouts, c.index)
	}
	b.count--
	e := c.executor
	x := e.usesStreams()
	x.blocked = nil
	e.service.memory.SetUsage(&x.usage.blocked, 0)
	if c.batch != nil {
		e.finishBatch(c.batch)
	}
}

// giveUp ends the wait of a client with a reply. It may come inside another command, whose reply has the room of the encoder.
func (b *blockedClients) giveUp(v broker.View, c *blockedClient, answer func(w *response)) {
	e := c.executor
	w := &response{executor: e, inv: c.inv, view: v}
	answer(w)
	e.service.stats.failed(c.inv.row, w.buf, c.inv.dialect)
	e.reply(w.buf)
	b.end(c)
	v.FlushLater(&e.sub)
}

// expire ends the waits whose time is up. Those come first that have been woken.
func (b *blockedClients) expire(v broker.View) {
	b.serveLater(v)
	for n := 0; n < maxServed && len(b.timeouts) > 0 && b.timeouts[0].deadline <= b.streams.now; n++ {
		c := b.timeouts[0]
		if c.proposed { // its fate is known soon
			c.deadline = b.streams.now + proposedWait
			heap.Fix(&b.timeouts, 0)
			continue
		}
		if c.retryAt > 0 && (c.end == 0 || c.end > b.streams.now) {
			b.tryGroups(v, c)
		} else {
			b.giveUp(v, c, c.expired)
		}
	}
}

// synced ends the waits for records up to this one.
func (b *blockedClients) synced(v broker.View, record uint64) {
	var done []*blockedClient
	b.syncing = slices.DeleteFunc(b.syncing, func(c *blockedClient) bool {
		if c.record <= record {
			done = append(done, c)
		}
		return c.record <= record
	})
	for _, c := range done {
		b.giveUp(v, c, c.expired)
	}
}

// nextTimeout is when the next wait ends, 0 if none does. It is at once if clients have yet to be looked at.
func (b *blockedClients) nextTimeout() int64 {
	switch {
	case len(b.later) > 0:
		return 1
	case len(b.timeouts) == 0:
		return 0
	}
	return b.timeouts[0].deadline
}

// timeoutHeap orders blocked clients by their deadlines.
type timeoutHeap []*blockedClient

func (h timeoutHeap) Len() int           { return len(h) }
func (h timeoutHeap) Less(i, j int) bool { return h[i].deadline < h[j].deadline }
func (h timeoutHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push implements [heap.Interface].
func (h *timeoutHeap) Push(x any) {
	c := x.(*blockedClient)
	c.index = len(*h)
	*h = append(*h, c)
}

// Pop implements [heap.Interface].
func (h *timeoutHeap) Pop() any {
	last := len(*h) - 1
	c := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	c.index = -1
	return c
}
