package outbox

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/conchmq/conch/internal/uptime"
)

const (
	// minShared is from which length a fragment is sent from where it is instead of being copied into the outbox's own chunk,
	// if that is also worth the buffer it lies in.
	minShared = 4 << 10
	// closeNoticeTimeout is how long an evicted subscriber has to take the rest of a frame and the reason.
	closeNoticeTimeout = time.Second
)

// outbox is the bytes that wait for one connection, and whose they are. The core adds at the back, one lock a round; the
// writer takes from the front, about as much as one call to the kernel gets, one lock a write.
type Outbox struct {
	Limit  int64   // of message bytes; replies to the connection's own commands never evict it
	totals *Totals // the server's

	// Counted by the core as it flushes and by the writer as it writes; read by both, the sweeper and the reader.
	bytes       atomic.Int64 // bytes handed over and not yet written
	replies     atomic.Int64 // those of them that are replies
	gapBytes    atomic.Int64 // bytes of memory that losses take; not among bytes until they are written out
	overhead    atomic.Int64 // bytes of memory that all of it takes besides counted buffers: chunks, entries, losses
	policyValue atomic.Int32 // a Policy; set by the core

	deadlineSetAt time.Duration // the writer's: when it last set a deadline, by uptime

	dequeuedBytes atomic.Int64 // bytes that the writer took at once last, about: an eviction does not give them back

	evicted atomic.Bool // set by the core, under mu: the writer finishes the frame it is in and drops the rest

	mu        sync.Mutex     // guards what follows, and all accounts; held for copying at most a chunk's worth at a time
	queue     *queue         // nil while nothing waits that is not dequeued
	discarded *queue         // what waited for a subscriber that is evicted: its writer settles it, so that the core need not
	counts    DeliveryCounts // of all messages that were queued
	writing   bool           // there is a writer goroutine
	draining  bool           // nothing more will come, and the last deadline is set
	failed    bool           // what comes is thrown away
	holes     int            // accounts with a cut that has to be told

	wantsSeq bool // the core's: what waits may have numbers
}

// serverCounts are the sums of all connections' tallies, those that have ended included. What was matched the core knows.
type Totals struct {
	Delivered, Dropped, Undelivered atomic.Int64
	Memory                          *MemoryLimit
}

// writeDeadliner is the part of a socket that an outbox needs: to wake a writer, and to bound how long it waits.
type writeDeadliner interface{ SetWriteDeadline(t time.Time) error }

func (o *Outbox) Init(limit int64, p Policy, t *Totals) {
	o.Limit, o.totals = limit, t
	o.policyValue.Store(int32(p))
}

// messages is how many bytes of messages wait.
func (o *Outbox) MessageBytes() int64 { return o.bytes.Load() - o.replies.Load() }

// waiting is how many bytes wait, or are half written.
func (o *Outbox) WaitingBytes() int64 { return o.bytes.Load() }

// backlog is how many bytes there are to be written, with what losses take until they are.
func (o *Outbox) Backlog() int64 { return o.bytes.Load() + o.gapBytes.Load() }

// memSize is what waits with all that is needed for it. A buffer that others share counts whole.
func (o *Outbox) MemSize() int64 { return o.bytes.Load() + o.overhead.Load() }

// replyBytes is how many of the bytes that wait are replies.
func (o *Outbox) ReplyBytes() int64 { return o.replies.Load() }

// dequeued is about how many bytes the writer has taken at once last: an eviction does not give them back.
func (o *Outbox) DequeuedBytes() int64 { return o.dequeuedBytes.Load() }

// isOver reports whether more messages wait than may, with so many bytes that are about to come.
func (o *Outbox) IsOver(pending int64) bool { return o.MessageBytes()+pending > o.Limit }

// hasGapRoom reports whether losses may still be noted. Over their limit no policy helps.
func (o *Outbox) HasGapRoom() bool { return o.gapBytes.Load() <= o.Limit }

// isEvicted reports whether the subscriber is evicted: what waits is lost, but for the close notice.
func (o *Outbox) IsEvicted() bool { return o.evicted.Load() }

// enableSeq has lines behind a loss show it, from here on. The core's.
func (o *Outbox) EnableSeq() { o.wantsSeq = true }

// expireDeadline has the next write set a new deadline. The writer's.
func (o *Outbox) ExpireDeadline() { o.deadlineSetAt = 0 }

// chunks is how many chunks wait, as CLIENT LIST shows it.
func (o *Outbox) ChunkCount() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.queue == nil {
		return 0
	}
	return o.queue.length
}

// Add takes what the core has queued in a round, and reports whether a writer must be started. newest is how many bytes
// of it are the last message: an outbox that is under its limit without it keeps it.
func (o *Outbox) Add(p *Unflushed, newest int) (start bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.failed || o.evicted.Load() {
		o.discardLocked(p)
		return false
	}
	if o.queue == nil {
		o.queue = queues.Get().(*queue)
	}
	for i, at := 0, 0; i < len(p.fragments); i++ {
		s := &p.fragments[i]
		entries := p.entries[at : at+s.entries]
		at += s.entries
		o.countLocked(entries)
		o.bytes.Add(int64(s.Size()))
		if s.isShared() {
			o.shareLocked(s, entries)
			continue
		}
		if len(s.Bytes) > 0 {
			c := o.appendableLocked(len(s.Bytes))
			c.bytes = append(c.bytes, s.Bytes...)
			if c.addEntries(entries) {
				o.chargeChunk(c, c.memSize())
			}
		}
		s.Buf.Release()
	}
	if o.Policy() == DropOldest {
		o.dropOldestLocked(newest)
	}
	if o.queue.length == 0 {
		o.queue.recycle()
		o.queue = nil
		return false
	}
	start = !o.writing
	o.writing = true
	return start
}

// charge counts what a chunk costs in memory. The chunk carries the sum, so that its end gives back just that.
func (o *Outbox) chargeChunk(c *Chunk, n int) {
	if more := n - c.charged; more != 0 {
		c.charged = n
		o.chargeMemory(more)
	}
}

func (o *Outbox) chargeMemory(n int) {
	o.overhead.Add(int64(n))
	o.totals.Memory.Charge(int64(n))
}

// pushLocked appends a chunk to what waits.
func (o *Outbox) pushLocked(c *Chunk) {
	o.queue.push(c)
	o.chargeChunk(c, c.memSize())
}

// free is the end of a chunk that is in no queue any more.
func (o *Outbox) free(c *Chunk) {
	o.chargeChunk(c, 0)
	c.recycle()
}

// discardLocked counts what can no longer be written: its bytes stay counted as waiting, and what waits when the connection has
// ended is what it lost.
func (o *Outbox) discardLocked(p *Unflushed) {
	lost := 0
	for i := range p.entries {
		switch e := &p.entries[i]; e.Kind {
		case KindMissed:
			e.Format = FormatRESP2 // nobody is left to be told
			o.countMatchedLocked(e)
			o.recordDropLocked(*e, nil)
		case kindMessages:
			o.countMatchedLocked(e)
			o.finishLocked(e, 0)
			lost += int(e.Count)
		}
	}
	o.totals.Undelivered.Add(int64(lost))
	for i := range p.fragments {
		o.bytes.Add(int64(p.fragments[i].Size()))
		p.fragments[i].Release()
	}
}

// discard counts messages that were matched by a connection which may not have them any more.
func (o *Outbox) Discard(a *Account, count int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	e := FrameInfo{Account: a, Count: int32(count)} //nolint:gosec // of one run
	o.countMatchedLocked(&e)
	o.finishLocked(&e, 0)
	o.totals.Undelivered.Add(int64(count))
}

// countMatchedLocked counts messages as they come in.
func (o *Outbox) countMatchedLocked(e *FrameInfo) {
	e.Account.Matched += int64(e.Count)
	o.counts.Matched += int64(e.Count)
}

// finishLocked is the end of an entry that is no longer to be written: so many of its messages have been.
func (o *Outbox) finishLocked(e *FrameInfo, written int) {
	if e.Kind == kindMessages {
		a, rest := e.Account, int64(e.Count)-int64(written)
		a.Delivered += int64(written)
		o.counts.Delivered += int64(written)
		if rest > 0 {
			a.Undelivered += rest
			o.counts.Undelivered += rest
		}
		a.assertBalancedLocked()
	}
}

// countLocked counts frames as they come in.
func (o *Outbox) countLocked(entries []FrameInfo) {
	for i := range entries {
		switch e := &entries[i]; e.Kind {
		case KindReplies:
			o.replies.Add(int64(e.bytes))
		case kindMessages:
			o.countMatchedLocked(e)
		case KindMissed:
			o.countMatchedLocked(e)
			o.recordDropLocked(*e, nil)
		}
	}
}

// isShared reports whether a fragment is sent from where it is. A short one, and one that is a small part of its buffer,
// is copied: it would keep all of the buffer from being used again.
func (s *Fragment) isShared() bool {
	return s.Large != nil || len(s.Bytes) >= minShared && (s.Buf == nil || s.Buf.WorthPinning(len(s.Bytes)))
}

// shareLocked appends a fragment as a chunk of its own, and takes over its reference to the buffer.
func (o *Outbox) shareLocked(s *Fragment, entries []FrameInfo) {
	c := newChunk()
	c.bytes, c.buf, c.large = s.Bytes, s.Buf, s.Large
	c.entries = append(c.entries, entries...)
	o.pushLocked(c)
}

// appendableLocked is the last chunk, if it has room for size bytes more, or a new one.
func (o *Outbox) appendableLocked(size int) *Chunk {
	c := o.queue.last
	own := c != nil && c.appendable
	if !own || cap(c.bytes)-len(c.bytes) < size {
		c = o.newAppendable(size, !own)
		o.pushLocked(c)
	}
	return c
}

// newAppendable makes room for at least size bytes. The first, and the first behind a shared fragment, is small if that will do.
func (o *Outbox) newAppendable(size int, first bool) *Chunk {
	c := newChunk()
	if first && size <= SmallBuffers.BufferSize {
		c.buf = SmallBuffers.Get(o.totals.Memory)
	} else {
		c.buf = NewBuffer(o.totals.Memory, size)
	}
	c.bytes, c.appendable = c.buf.Bytes[:0], true
	return c
}

// renewDeadline gives the peer a fresh while to take something, unless the connection is closing: that deadline stands. It
// looks at the clock for each write, but touches the deadline only once in a quarter of that while, and gives that
// quarter on top.
func (o *Outbox) RenewDeadline(sock writeDeadliner, timeout time.Duration) {
	now := uptime.Now()
	if o.deadlineSetAt > 0 && now-o.deadlineSetAt < timeout/4 {
		return
	}
	o.deadlineSetAt = now
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.failed && !o.draining && !o.evicted.Load() {
		_ = sock.SetWriteDeadline(time.Now().Add(timeout + timeout/4)) // fails only on a closed socket: so does the write that follows
	}
}

// close is called when nothing more will come: the writer has until the deadline for what is there.
func (o *Outbox) Close(sock writeDeadliner, drain time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.draining = true
	if !o.failed && !o.evicted.Load() {
		_ = sock.SetWriteDeadline(time.Now().Add(drain))
	}
}

// isDraining tells whether the last deadline is set: once that has passed, there is no other.
func (o *Outbox) IsDraining() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.draining
}

// evict drops what waits and leaves the close notice instead, if there is one. The writer is woken out of a write that
// the peer does not take. True means that a writer must be started.
func (o *Outbox) Evict(sock writeDeadliner, notice []byte) (start bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.failed {
		return false
	}
	o.evicted.Store(true)
	o.discarded, o.queue = o.queue, nil
	o.dequeuedBytes.Add(o.bytes.Load() + o.overhead.Load())
	if len(notice) > 0 {
		o.bytes.Add(int64(len(notice)))
		o.queue = queues.Get().(*queue)
		c := newChunk()
		c.bytes, c.notice = notice, true
		c.entries = append(c.entries, FrameInfo{Kind: KindOther, bytes: len(notice)})
		o.pushLocked(c)
	}
	if o.writing {
		_ = sock.SetWriteDeadline(time.Unix(1, 0)) // see finishFrame and dequeue for the next one
		return false
	}
	o.writing = o.queue != nil || o.discarded != nil
	return o.writing
}

// startNoticeDeadline gives an evicted peer its last moment.
func (o *Outbox) StartNoticeDeadline(sock writeDeadliner) error {
	o.mu.Lock() // evict may be about to set its own deadline
	defer o.mu.Unlock()
	return sock.SetWriteDeadline(time.Now().Add(closeNoticeTimeout))
}

// extendDeadline sets a new deadline after one has passed in the middle of a record of TLS, if there is to be one: an
// evicted peer has its last moment once, and any other must have taken something. took is how many bytes it has taken,
// and waited how long it had for them: next to nothing, where the deadline was one of long ago.
func (o *Outbox) ExtendDeadline(sock writeDeadliner, took int, waited, timeout time.Duration, noticeStarted *bool) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.evicted.Load():
		if *noticeStarted {
			return false
		}
		*noticeStarted, timeout = true, closeNoticeTimeout
	case o.failed || o.draining || took == 0 && waited >= timeout:
		return false
	}
	return sock.SetWriteDeadline(time.Now().Add(timeout)) == nil
}

// fail throws away what waits, what the writer has dequeued, and what may still come: the peer will not get it. It is the
// writer's last word.
func (o *Outbox) Fail(h *WriteQueue) {
	o.mu.Lock()
	o.failed, o.writing = true, false
	o.abandonLocked(h)
	queue, dropped := o.queue, o.discarded
	o.queue, o.discarded = nil, nil
	o.mu.Unlock()
	o.discardQueue(queue)
	o.discardQueue(dropped)
	o.dequeuedBytes.Store(0)
}

// discardQueue is the end of what waited and will not be written. There may be millions of entries, which take the core's time
// if it must wait for the mutex: so it is held for a chunk at a time. A nil queue is an empty one.
func (o *Outbox) discardQueue(q *queue) {
	if q == nil {
		return
	}
	for c := q.First; c != nil; c = q.First {
		o.mu.Lock()
		undelivered := 0
		for i := range c.entries {
			o.finishLocked(&c.entries[i], 0)
			undelivered += int(c.entries[i].Count)
		}
		if c.gap != nil {
			o.chargeGaps(-c.gap.cost())
		}
		o.mu.Unlock()
		o.totals.Undelivered.Add(int64(undelivered))
		q.remove(c)
		o.free(c)
	}
	q.recycle()
}
