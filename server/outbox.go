package server

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// shareAt is from which length a span is sent from where it is instead of being copied into the outbox's own chunk,
	// if that is also worth the buffer it lies in.
	shareAt = 4 << 10
	// maxReplies is how many bytes of replies may wait before the connection's socket is left unread.
	maxReplies = 1 << 20
	// maxInFlight is how many batches of one connection may be with the core: the next is read when one is done.
	maxInFlight = 4
)

// outbox is the bytes that wait for one connection, and whose they are. The core adds at the back, one lock a round; the
// writer takes from the front, about as much as one call to the kernel gets, one lock a write.
type outbox struct {
	limit  int64   // of message bytes; replies to the connection's own commands never evict it
	totals *totals // the server's

	// Counted by the core as it flushes and by the writer as it writes; read by both, the sweeper and the reader.
	waiting atomic.Int64 // bytes handed over and not yet written
	replies atomic.Int64 // those of them that are replies
	noted   atomic.Int64 // bytes of memory that notes of what was missed take; not among waiting until they are written out
	chosen  atomic.Int32 // a Policy; set by the core

	softSince time.Duration // the sweeper's, by uptime
	extended  time.Duration // the writer's: when it last set a deadline, by uptime

	evicted atomic.Bool // set by the core, under mu: the writer finishes the frame it is in and drops the rest

	mu       sync.Mutex // guards what follows, and all accounts; held for copying at most a chunk's worth at a time
	reader   sync.Cond  // the reader waits here for inFlight and replies to fall
	queue    *queue     // nil while nothing waits that is not in the writer's hand
	tally    tally      // of all messages that were queued
	writing  bool       // there is a writer goroutine
	closing  bool       // the connection is ending: its reader need not wait any more
	final    bool       // nothing more will come, and the last deadline is set
	broken   bool       // what comes is thrown away
	inFlight int
	holes    int // accounts with a cut that has to be told

	numbered bool // the core's: what waits may have numbers
}

// totals are the sums of all connections' tallies, those that have ended included. What was matched the core knows.
type totals struct {
	delivered, dropped, undelivered atomic.Int64
	memory                          *memory
}

func (o *outbox) init(options *Options, t *totals) {
	o.limit, o.totals = int64(options.SlowHard), t
	o.chosen.Store(int32(options.SlowConsumer))
	o.reader.L = &o.mu
}

// messages is how many bytes of messages wait.
func (o *outbox) messages() int64 { return o.waiting.Load() - o.replies.Load() }

// length is how many chunks wait, as CLIENT LIST shows it.
func (o *outbox) length() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.queue == nil {
		return 0
	}
	return o.queue.chunks.len()
}

// submitted notes a batch on its way to the core.
func (o *outbox) submitted() {
	o.mu.Lock()
	o.inFlight++
	o.mu.Unlock()
}

// waitToRead holds the reader back while too much of what it asked for is still to be done or to be written. It
// returns false when the connection is ending. With fence, everything submitted must have been applied.
func (o *outbox) waitToRead(fence bool) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	allowed := maxInFlight
	if fence {
		allowed = 1
	}
	for !o.broken && !o.closing && (o.inFlight >= allowed || o.replies.Load() > maxReplies) {
		o.reader.Wait()
	}
	return !o.broken && !o.closing
}

// wakeReader makes waitToRead return false.
func (o *outbox) wakeReader() {
	o.mu.Lock()
	o.closing = true
	o.mu.Unlock()
	o.reader.Broadcast()
}

// add takes what the core has queued in a round, and tells whether a writer must be started. newest is how many bytes
// of it are the last message: an outbox that is under its limit without it keeps it.
func (o *outbox) add(p *post, applied, newest int) (start bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.inFlight -= applied
	o.reader.Signal()
	if p == nil {
		return false
	}
	if o.broken || o.evicted.Load() {
		o.lose(p)
		return false
	}
	if o.queue == nil {
		o.queue = queues.Get().(*queue)
	}
	at, bytes := 0, 0
	for _, s := range p.spans {
		bytes += len(s.bytes)
		o.addSpan(s, p.entries[at:at+s.entries])
		at += s.entries
	}
	o.totals.memory.hold(int64(bytes))
	if o.policy() == DropOldest {
		o.cut(newest)
	}
	if o.queue.chunks.len() == 0 {
		o.queue.recycle()
		o.queue = nil
		return false
	}
	start = !o.writing
	o.writing = true
	return start
}

// lose counts what can no longer be written: its bytes stay counted as waiting, and what waits when the connection has
// ended is what it lost.
func (o *outbox) lose(p *post) {
	lost := 0
	for i := range p.entries {
		switch e := &p.entries[i]; e.kind {
		case kindMissed:
			e.way = wayRESP2 // nobody is left to be told
			o.match(e)
			o.drop(*e, 0)
		case kindMessages:
			o.match(e)
			o.settle(e, 0)
			lost += e.count
		}
	}
	o.totals.undelivered.Add(int64(lost))
	for _, s := range p.spans {
		o.waiting.Add(int64(len(s.bytes)))
		s.in.release()
	}
}

// forfeit counts messages that were matched by a connection which may not have them any more.
func (o *outbox) forfeit(a *account, count int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	e := entry{account: a, count: count}
	o.match(&e)
	o.settle(&e, 0)
	o.totals.undelivered.Add(int64(count))
}

// match counts messages as they come in.
func (o *outbox) match(e *entry) {
	e.account.matched += int64(e.count)
	o.tally.matched += int64(e.count)
}

// settle is the end of an entry that is no longer to be written: so many of its messages have been.
func (o *outbox) settle(e *entry, written int) {
	if e.kind == kindMessages {
		a, rest := e.account, int64(e.count-written)
		a.delivered += int64(written)
		o.tally.delivered += int64(written)
		if rest > 0 {
			a.undelivered += rest
			o.tally.undelivered += rest
		}
		a.check()
	}
}

// addSpan takes over the hold on the span's buffer.
func (o *outbox) addSpan(s span, entries []entry) {
	q := o.queue
	for i := range entries {
		switch e := &entries[i]; e.kind {
		case kindReplies:
			o.replies.Add(int64(e.bytes))
		case kindMessages:
			o.match(e)
		case kindMissed:
			o.match(e)
			o.drop(*e, q.chunks.len())
		}
	}
	if len(s.bytes) == 0 {
		return
	}
	o.waiting.Add(int64(len(s.bytes)))
	if len(s.bytes) >= shareAt && (s.in == nil || s.in.worth(len(s.bytes))) {
		q.push(chunk{bytes: s.bytes, in: s.in}, entries...)
		return
	}
	q.copy(s.bytes, entries)
	s.in.release()
}

// copy appends bytes to the last chunk, or to a new one.
func (q *queue) copy(b []byte, entries []entry) {
	last := q.chunks.len() - 1
	own := last >= 0 && q.chunks.at(last).own
	if !own || cap(q.chunks.at(last).bytes)-len(q.chunks.at(last).bytes) < len(b) {
		q.push(newChunk(len(b), !own))
		last++
	}
	c := q.chunks.at(last)
	c.bytes = append(c.bytes, b...)
	for i := range entries {
		e := &entries[i]
		if c.entries > 0 {
			if before := q.entries.at(q.entries.len() - 1); before.follows(e) {
				before.extend(e)
				continue
			}
		}
		c.entries++
		q.entries.push(*e)
	}
}

// newChunk makes room for at least size bytes. The first, and the first behind a shared span, is small if that will do.
func newChunk(size int, first bool) chunk {
	var in *buffer
	if first && size <= smallBuffers.size {
		in = smallBuffers.get()
	} else {
		in = newBuffer(size)
	}
	return chunk{bytes: in.bytes[:0], in: in, own: true}
}

// extend gives the peer a fresh while to take something, unless the connection is closing: that deadline stands. It
// looks at the clock for each write, but touches the deadline only once in a quarter of that while, and gives that
// quarter on top.
func (o *outbox) extend(sock net.Conn, patience time.Duration) {
	now := uptime()
	if o.extended > 0 && now-o.extended < patience/4 {
		return
	}
	o.extended = now
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.broken && !o.final && !o.evicted.Load() {
		_ = sock.SetWriteDeadline(time.Now().Add(patience + patience/4)) // fails only on a closed socket: so does the write that follows
	}
}

// close is called when nothing more will come: the writer has until the deadline for what is there.
func (o *outbox) close(sock net.Conn, drain time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closing, o.final = true, true
	if !o.broken && !o.evicted.Load() {
		_ = sock.SetWriteDeadline(time.Now().Add(drain))
	}
}

// evict drops what waits and leaves parting words instead, if there are any. The writer is woken out of a write that
// the peer does not take. True means that a writer must be started.
func (o *outbox) evict(sock net.Conn, parting []byte) (start bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.broken {
		return false
	}
	o.evicted.Store(true)
	o.clear()
	if len(parting) > 0 {
		o.waiting.Add(int64(len(parting)))
		o.totals.memory.hold(int64(len(parting)))
		o.queue = queues.Get().(*queue)
		o.queue.push(chunk{bytes: parting, parting: true}, entry{kind: kindOther, bytes: len(parting)})
	}
	if o.writing {
		_ = sock.SetWriteDeadline(time.Unix(1, 0)) // see finishFrame and take for the next one
		return false
	}
	o.writing = o.queue != nil
	return o.writing
}

// part gives an evicted peer its last moment.
func (o *outbox) part(sock net.Conn) error {
	o.mu.Lock() // evict may be about to set its own deadline
	defer o.mu.Unlock()
	return sock.SetWriteDeadline(time.Now().Add(partingTime))
}

// fail throws away what waits, what the writer has in hand, and what may still come: the peer will not get it.
func (o *outbox) fail(h *hand) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.broken, o.writing = true, false
	o.letGo(h)
	o.clear()
	o.reader.Broadcast()
}

// clear drops what waits.
func (o *outbox) clear() {
	if o.queue != nil {
		h := hand{queue: o.queue}
		o.queue = nil
		o.letGo(&h)
	}
}
