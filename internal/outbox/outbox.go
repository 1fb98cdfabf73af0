package outbox

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/conchmq/conch/protocol"
)

const (
	// minShared is the length from which a fragment is sent from its own buffer instead of being copied into a chunk of the
	// outbox. It must also be worth that buffer: see Buffer.WorthPinning.
	minShared = 4 << 10
	// closeNoticeTimeout is the time for an evicted subscriber to take the rest of a frame and the close notice.
	closeNoticeTimeout = time.Second
)

// Outbox holds the bytes that wait for one connection, and their description. The core adds at the back, with
// one lock a round. The writer dequeues from the front, with one lock a write, about as much as one call to the
// kernel takes.
type Outbox struct {
	// Limit bounds the bytes of waiting messages. Replies to the connection's own commands do not count against it.
	Limit  int64
	totals *Totals // of the server

	// The core counts these as it flushes, the writer as it writes. Both read them, and so do the sweeper and the reader.

	// bytes are flushed and not yet written.
	bytes atomic.Int64
	// replies are those of bytes that are replies.
	replies atomic.Int64
	// exempt are the others that the limit does not bound: replays, what fills places, and messages that came while a barrier stood.
	exempt atomic.Int64
	// special is nil in most outboxes. It is made under mu.
	special atomic.Pointer[special]
	// gapBytes is the memory of losses. It is no part of bytes before they are encoded.
	gapBytes atomic.Int64
	// overhead is the memory of chunks, entries and losses: all but counted buffers.
	overhead atomic.Int64
	// policyValue is a Policy. The core sets it.
	policyValue atomic.Int32
	// evicted makes the writer finish its frame and drop the rest. The core sets it, under mu.
	evicted atomic.Bool

	// deadlineSetAt is the uptime at which the writer last set a deadline. The writer owns it.
	deadlineSetAt time.Duration

	// dequeuedBytes is about what the writer dequeued last. An eviction does not free them.
	dequeuedBytes atomic.Int64

	// mu guards the fields below, but framing, and all accounts. It is held while at most a chunk of bytes is copied.
	mu sync.Mutex
	// writing: there is a writer goroutine. There is never more than one.
	writing bool
	// draining: nothing more is added, and the last deadline is set.
	draining bool
	// failed: what is added is discarded.
	failed bool
	// progressAt is when the writer wrote last or, if that is later, when it found the first byte to write.
	progressAt moment
	// framing is that of all frames. It never changes after Init.
	framing protocol.Framing
	// queue is nil while nothing waits that is not dequeued.
	queue *queue
	// discarded is what waited for an evicted subscriber. The writer counts it, so that the core need not.
	discarded *queue
	// counts are those of all messages that were queued.
	counts DeliveryCounts
}

// Totals are the sums over all connections, past ones included. The core itself counts the matched messages.
type Totals struct {
	Delivered, Dropped, Undelivered atomic.Int64
	// Replayed counts messages of the past, which are in no other count.
	Replayed atomic.Int64
	// Released is the number of the last record that replies need not wait for: see barrier.go. The log raises it.
	Released atomic.Uint64
	// clock is the uptime to a second, for what is noted at each write: see SetClock.
	clock atomic.Uint32
	// Memory is the limit that all outboxes are charged to.
	Memory *MemoryLimit
}

// Init prepares an outbox. It comes before all other calls.
func (o *Outbox) Init(limit int64, p Policy, t *Totals) {
	o.Limit, o.totals = limit, t
	o.policyValue.Store(int32(p))
}

// SetFraming sets how frames follow each other. It comes right behind Init, where they are not lines and RESP.
func (o *Outbox) SetFraming(f protocol.Framing) { o.framing = f }

// MessageBytes is the number of waiting bytes that the limit bounds: neither replies, nor replayed, nor held up by a barrier.
func (o *Outbox) MessageBytes() int64 {
	return o.bytes.Load() - o.replies.Load() - o.exempt.Load()
}

// WaitingBytes is the number of bytes that wait or are partly written.
func (o *Outbox) WaitingBytes() int64 { return o.bytes.Load() }

// Backlog is the number of bytes to be written, plus the memory of losses that are not encoded yet.
func (o *Outbox) Backlog() int64 { return o.bytes.Load() + o.gapBytes.Load() }

// MemSize is the memory of all that waits. A shared buffer counts whole.
func (o *Outbox) MemSize() int64 { return o.bytes.Load() + o.overhead.Load() }

// ReplyBytes is the number of waiting bytes that are replies.
func (o *Outbox) ReplyBytes() int64 { return o.replies.Load() }

// DequeuedBytes is about what the writer dequeued last. An eviction does not free them.
func (o *Outbox) DequeuedBytes() int64 { return o.dequeuedBytes.Load() }

// IsOver reports whether the waiting messages, plus pending bytes that are not flushed yet, exceed the limit.
func (o *Outbox) IsOver(pending int64) bool { return o.MessageBytes()+pending > o.Limit }

// HasGapRoom reports whether losses may still be recorded. Over their limit no policy helps, and the subscriber
// is evicted.
func (o *Outbox) HasGapRoom() bool { return o.gapBytes.Load() <= o.Limit }

// IsEvicted reports whether the subscriber is evicted: what waits is lost, except for the close notice.
func (o *Outbox) IsEvicted() bool { return o.evicted.Load() }

// ChunkCount is the number of waiting chunks: oll in CLIENT LIST.
func (o *Outbox) ChunkCount() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.queue == nil {
		return 0
	}
	return o.queue.length
}

// Add takes the frames of a round, and reports whether a writer must be started. The core calls it. newest is
// the size of the last message: an outbox that is within its limit without that message keeps it.
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
	o.noteStampsLocked(p, false)
	barrier := o.barrierLocked()
	for i, at := 0, 0; i < len(p.fragments); i++ {
		if p.barrier > 0 && i == p.held {
			x := o.specialLocked()
			x.barrier = max(x.barrier, p.barrier)
			barrier = o.barrierLocked()
		}
		s := &p.fragments[i]
		o.addLocked(s, p.entries[at:at+s.entries], barrier)
		at += s.entries
	}
	if o.Policy() == DropOldest {
		o.dropOldestLocked(newest)
	}
	if o.queue.length == 0 {
		o.queue.recycle()
		o.queue = nil
		return false
	}
	return o.startLocked()
}

// addLocked takes one fragment, which waits for a barrier, or for none.
func (o *Outbox) addLocked(s *Fragment, entries []FrameInfo, barrier uint64) {
	o.countLocked(entries, barrier > 0)
	o.bytes.Add(int64(s.Size()))
	switch {
	case s.place != nil:
		o.specialLocked().places.Add(1)
		o.markLocked(s.place, barrier)
	case s.isShared():
		o.shareLocked(s, entries, barrier)
	default:
		if len(s.Bytes) > 0 {
			c := o.appendableLocked(len(s.Bytes), barrier)
			c.bytes = append(c.bytes, s.Bytes...)
			if c.addEntries(entries) {
				o.chargeChunk(c, c.memSize())
			}
		}
		s.Buf.Release()
	}
}

// chargeChunk counts n bytes as the memory of a chunk. The chunk keeps the sum, so that free takes back exactly
// that. Its owner calls it, with or without the mutex.
func (o *Outbox) chargeChunk(c *Chunk, n int) {
	if more := n - c.charged; more != 0 {
		c.charged = n
		o.chargeMemory(more)
	}
}

// chargeMemory counts n bytes for this connection and for the server. It needs no mutex.
func (o *Outbox) chargeMemory(n int) {
	o.overhead.Add(int64(n))
	o.totals.Memory.Charge(int64(n))
}

// pushLocked appends a chunk to the queue, and charges it.
func (o *Outbox) pushLocked(c *Chunk) {
	o.queue.push(c)
	o.chargeChunk(c, c.memSize())
}

// free takes back the charge of a chunk that is in no queue, and pools it.
func (o *Outbox) free(c *Chunk) {
	o.chargeChunk(c, 0)
	c.recycle()
}

// discardLocked counts messages that can no longer be written as undelivered, and releases their buffers. Their
// bytes stay in o.bytes: what is there when the connection ends is what it lost.
func (o *Outbox) discardLocked(p *Unflushed) {
	lost := 0
	for i := range p.entries {
		switch e := &p.entries[i]; e.Kind {
		case KindMissed:
			e.Format = FormatRESP2 // no client is left to get the loss
			if e.isTracked() {
				o.closeTrackLocked(e.Account.Track)
			}
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

// Discard counts messages as undelivered that were matched by a closing connection. They are never queued.
func (o *Outbox) Discard(a *Account, count int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	e := FrameInfo{Account: a, Count: int32(count)} //nolint:gosec // of one run
	o.countMatchedLocked(&e)
	o.finishLocked(&e, 0)
	o.totals.Undelivered.Add(int64(count))
}

// countMatchedLocked counts the messages of an entry as matched. Every message passes here once.
func (o *Outbox) countMatchedLocked(e *FrameInfo) {
	e.Account.Matched += int64(e.Count)
	o.counts.Matched += int64(e.Count)
}

// finishLocked ends an entry: so many of its messages are delivered, the others undelivered. Every entry of
// messages passes here once.
func (o *Outbox) finishLocked(e *FrameInfo, written int) {
	if e.isTracked() {
		o.takenLocked(e.Account.Track, e, written)
	}
	if e.Kind == kindMessages {
		a, rest := e.Account, int64(e.Count)-int64(written)
		if written > 0 {
			a.deliveredAt = o.progressAt
		}
		a.Delivered += int64(written)
		o.counts.Delivered += int64(written)
		if rest > 0 {
			a.Undelivered += rest
			o.counts.Undelivered += rest
		}
		a.assertBalancedLocked()
	}
}

// countLocked counts frames as they come in. Messages that come while a barrier stands are exempt from the limit.
func (o *Outbox) countLocked(entries []FrameInfo, exempt bool) {
	for i := range entries {
		e := &entries[i]
		if exempt && e.Kind.isLimited() {
			o.exempt.Add(int64(e.bytes))
		}
		switch e.Kind {
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

// isShared reports whether a fragment is sent from its own buffer. A short one, and one that is a small part of its
// buffer, is copied: it would keep the whole buffer from reuse.
func (s *Fragment) isShared() bool {
	return s.Large != nil || len(s.Bytes) >= minShared && (s.Buf == nil || s.Buf.WorthPinning(len(s.Bytes)))
}

// shareLocked appends a fragment as a chunk of its own, and takes over its reference to the buffer.
func (o *Outbox) shareLocked(s *Fragment, entries []FrameInfo, barrier uint64) {
	c := newChunk()
	c.bytes, c.buf, c.large, c.barrier = s.Bytes, s.Buf, s.Large, barrier
	c.reserve(len(entries))
	c.entries = append(c.entries, entries...)
	o.pushLocked(c)
}

// appendableLocked is the last chunk, if it has that barrier and room for size bytes more, or a new one.
func (o *Outbox) appendableLocked(size int, barrier uint64) *Chunk {
	c, before := o.queue.last, 0
	if c != nil && c.appendable {
		if c.barrier == barrier && cap(c.bytes)-len(c.bytes) >= size {
			return c
		}
		before = len(c.buf.Bytes)
	}
	c = o.newAppendable(size, before)
	c.barrier = barrier
	o.pushLocked(c)
	return c
}

// newAppendable returns a chunk of its own with room for at least size bytes. The first, and the first behind a
// shared fragment, is small if that is enough. The next ones are four times the one before, up to a medium one.
func (o *Outbox) newAppendable(size, before int) *Chunk {
	c := newChunk()
	switch size = max(size, min(4*before, MediumBuffers.BufferSize)); {
	case size <= SmallBuffers.BufferSize:
		c.buf = SmallBuffers.Get(o.totals.Memory)
	case size <= PageBuffers.BufferSize:
		c.buf = PageBuffers.Get(o.totals.Memory)
	default:
		c.buf = NewBuffer(o.totals.Memory, size)
	}
	c.bytes, c.appendable = c.buf.Bytes[:0], true
	return c
}
