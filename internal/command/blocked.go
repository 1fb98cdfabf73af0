package command

import (
	"bytes"
	"container/heap"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/keyargs"
	"github.com/conchmq/conch/internal/outbox"
	"github.com/conchmq/conch/internal/stream"
	"github.com/conchmq/conch/protocol"
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

// keyWait is one stream that a blocked client waits for.
type keyWait struct {
	client     *blockedClient
	key        *blockedKey
	after      stream.ID // entries behind it are waited for
	prev, next *keyWait  // of the same stream
}

// blockedKey is one stream that clients wait for, in the order in which they came.
type blockedKey struct {
	name        string
	first, last *keyWait
	// oneGroup: all that wait for it are consumers of this group, for new entries of this stream alone. If one of them finds nothing,
	// no other one does.
	oneGroup bool
	group    string
	// added are the entries of the command or transaction at hand, frames their encodings, one behind the other.
	added  []addedEntry
	frames []byte
	// woken: what its groups have to read may have changed otherwise.
	woken bool
}

// addedEntry is an entry that was just added.
type addedEntry struct {
	stream     uint64 // the number of the stream
	id         stream.ID
	start, end int // in frames
	size       int64
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

// sharedReply is a reply that was given to a client that waits for one stream. Others get the same bytes.
type sharedReply struct {
	key      *blockedKey
	from, to int
	version  protocol.Version
	frames   outbox.Fragment
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

func (k *blockedKey) add(w *keyWait) {
	w.prev = k.last
	if k.last == nil {
		k.first = w
	} else {
		k.last.next = w
	}
	k.last = w
}

func (k *blockedKey) remove(w *keyWait) {
	if w.prev == nil {
		k.first = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		k.last = w.prev
	} else {
		w.next.prev = w.prev
	}
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

// added encodes entries for those that wait for them, once for all of them.
func (b *blockedClients) added(c *stream.Change, r *stream.Result) {
	if len(b.keys) == 0 {
		return
	}
	k := b.keys[r.Stream.Name()]
	if k == nil {
		return
	}
	b.makeReady(k)
	if k.oneGroup {
		k.woken = true // each gets entries of its own
		return
	}
	if c.Kind == stream.Add {
		b.addEntry(k, r.Number, c.ID, c.Fields)
		return
	}
	id, fields := c.ID, [2][]byte{[]byte(stream.MessageField)}
	for _, fields[1] = range c.Messages {
		b.addEntry(k, r.Number, id, fields[:])
		id.Seq++
	}
}

// addEntry encodes one entry of a stream.
func (b *blockedClients) addEntry(k *blockedKey, number uint64, id stream.ID, fields [][]byte) {
	a := addedEntry{stream: number, id: id, start: len(k.frames)}
	k.frames = b.streams.text.appendHead(k.frames, id, len(fields))
	for _, text := range fields {
		k.frames = protocol.AppendBulk(k.frames, text)
		a.size += int64(len(text))
	}
	a.end = len(k.frames)
	k.added = append(k.added, a)
}

// makeReady puts a stream among those that serve looks at.
func (b *blockedClients) makeReady(k *blockedKey) {
	if len(k.added) == 0 && !k.woken {
		b.ready = append(b.ready, k)
	}
}

// wake lets the clients that read a stream by groups look again.
func (b *blockedClients) wake(name string) {
	if k := b.keys[name]; k != nil {
		b.makeReady(k)
		k.woken = true
	}
}

// wakeRemoved does so for streams that are about to be removed: their groups end with them.
func (b *blockedClients) wakeRemoved(c *stream.Change) {
	switch {
	case len(b.keys) == 0:
	case c.Kind == stream.Remove:
		for _, number := range c.Numbers {
			if st := b.streams.state.ByNumber(number); st != nil {
				b.wake(st.Name())
			}
		}
	case c.Kind == stream.Flush:
		for name := range b.keys { // the order of the replies of one connection does not depend on it
			b.wake(name)
		}
	}
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

// dropDead drops the entries that are gone again.
func (k *blockedKey) dropDead(st *stream.Stream) {
	alive := k.added[:0]
	for _, a := range k.added {
		if st != nil && st.Number() == a.stream && st.Exists(a.id) {
			alive = append(alive, a)
		}
	}
	k.added = alive
}

// behind is the index of the first entry behind an id.
func (k *blockedKey) behind(after stream.ID) int {
	for i := range k.added {
		if after.Less(k.added[i].id) {
			return i
		}
	}
	return len(k.added)
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

// clientUnblock is CLIENT UNBLOCK client-id [TIMEOUT | ERROR].
func clientUnblock(w *response) {
	args := w.inv.args
	failing := len(args) == 4 && strings.EqualFold(string(args[3]), "ERROR")
	if len(args) > 4 || len(args) == 4 && !failing && !strings.EqualFold(string(args[3]), "TIMEOUT") {
		w.fail(protocol.Errorf("CLIENT UNBLOCK reason should be TIMEOUT or ERROR"))
		return
	}
	id, ok := protocol.ParseInt(args[2])
	if !ok {
		w.fail(protocol.Errorf("value is not an integer or out of range"))
		return
	}
	var blocked *blockedClient
	if e := w.executor.service.client(id); e != nil {
		blocked = e.blockedClient()
	}
	if blocked == nil {
		w.integer(0)
		return
	}
	answer := blocked.expired
	if failing {
		answer = func(w *response) { w.fail(errUnblocked) }
	}
	if blocked.proposed { // all nodes make the read: what it finds must not get lost
		blocked.unblocked = answer
	} else {
		w.executor.service.streams.blocked.giveUp(w.view, blocked, answer)
	}
	w.integer(1)
}

// errUnblocked is Redis' text.
var errUnblocked = &protocol.Error{Code: protocol.CodeUnblocked, Text: "client unblocked via CLIENT UNBLOCK"}
