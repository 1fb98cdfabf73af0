package outbox

import (
	"errors"
	"sync/atomic"
	"time"
)

// WriteQueue holds chunks that are dequeued for writing. Drop policies no longer reach them; an eviction
// discards the unwritten rest. The writer owns it.
type WriteQueue struct {
	*queue
	// ChunkOffset is the number of written bytes of the first chunk.
	ChunkOffset int
	// entry is the index of the entry in which they end.
	entry int
	// entryOffset is the number of written bytes of that entry.
	entryOffset int

	// escaped is the large line that is being written. nil if the frame is another one.
	escaped *escapedFrame
}

// Piece returns the bytes of a chunk from an offset on, as far as they are adjacent.
func (h *WriteQueue) Piece(c *Chunk, at int) []byte {
	switch {
	case c.large == nil:
		return c.bytes[at:]
	case c.IsEscaped():
		if h.escaped == nil || h.escaped.frame != c.large || at == 0 { // at 0 the same frame may come again, in another chunk
			h.escaped = newEscapedFrame(c.large)
		}
		return h.escaped.piece(at)
	}
	return c.large.piece(at)
}

// IsEmpty reports whether nothing is left of what was dequeued.
func (h *WriteQueue) IsEmpty() bool { return h.queue == nil || h.First == nil }

// AtNotice reports whether the close notice is next. All before it must be written or discarded first.
func (h *WriteQueue) AtNotice() bool { return h.First != nil && h.First.notice }

// FrameEnd is the end of the frame that is partly written, in the first chunk. Between two frames it is the
// ChunkOffset of h. The writer calls it.
func (o *Outbox) FrameEnd(h *WriteQueue) (end int, err error) {
	c, at := h.First, h.ChunkOffset
	if c.large != nil && at > 0 {
		return c.large.Size, nil
	}
	for end < at {
		n := o.framing.FrameLen(c.bytes[end:])
		if n == 0 {
			return 0, errPartialFrame
		}
		end += n
	}
	return end, nil
}

var errPartialFrame = errors.New("a chunk that ends inside a frame")

// MaxWrite bounds the bytes of one call to the kernel: progress shows in the outbox at least that often.
const MaxWrite = 1 << 20

// maxDequeue is about how many bytes the writer dequeues at once. They cannot be dropped any more, so it is a
// small part of a low limit.
func (o *Outbox) maxDequeue() int { return int(min(MaxWrite, max(o.Limit/4, minShared))) }

// Dequeue gives the writer its next chunks, and discards what it has left. The writer ends with false: from then
// on, Add starts another one.
func (o *Outbox) Dequeue(h *WriteQueue, sock writeDeadliner) bool {
	o.mu.Lock()
	o.abandonLocked(h)
	if dropped := o.discarded; dropped != nil {
		o.discarded = nil
		o.mu.Unlock()
		o.discardQueue(dropped)
		o.mu.Lock()
	}
	if o.evicted.Load() {
		_ = sock.SetWriteDeadline(time.Now().Add(closeNoticeTimeout))
	}
	if o.failed || o.queue == nil || o.isClosed(o.queue.First) {
		o.dequeuedBytes.Store(0)
		o.writing = false
		o.mu.Unlock()
		return false
	}
	most, waiting := o.maxDequeue(), o.bytes.Load()
	if o.evicted.Load() { // lost bytes still count as waiting; only the close notice does wait
		waiting = int64(o.queue.First.Size())
	}
	if waiting <= int64(most) && o.marksLocked() == 0 && o.barrierLocked() == 0 {
		o.dequeuedBytes.Store(waiting)
		h.queue, o.queue = o.queue, nil
	} else {
		h.queue = o.queue.split(most, o.totals.Released.Load())
		o.dequeuedBytes.Store(max(int64(most), int64(h.First.Size())))
		if o.queue.length == 0 {
			o.queue.recycle()
			o.queue = nil
		}
	}
	o.mu.Unlock()
	o.encodeGaps(h)
	return true
}

// encodeGaps encodes the losses in dequeued chunks. Their gaps are closed with it: the next loss opens a new
// one.
func (o *Outbox) encodeGaps(h *WriteQueue) {
	if o.gapBytes.Load() == 0 { // there is none anywhere: the chunks need not be touched
		return
	}
	for c := h.First; c != nil; c = c.Next {
		if c.gap == nil {
			continue
		}
		o.chargeGaps(-c.gap.cost())
		c.bytes, c.gap = c.gap.appendLosses(nil), nil
		c.entries[0].bytes = len(c.bytes)
		o.bytes.Add(int64(len(c.bytes)))
		o.chargeChunk(c, c.memSize())
	}
}

// chargeGaps counts n bytes as the memory of losses. It needs no mutex.
func (o *Outbox) chargeGaps(n int) {
	o.gapBytes.Add(int64(n))
	o.chargeMemory(n)
}

// MarkWritten records that the kernel has taken n bytes more. It returns how many of them were replies. Chunks
// are freed without the mutex: they are the writer's.
func (o *Outbox) MarkWritten(h *WriteQueue, n int) (replies int) {
	o.bytes.Add(-int64(n))
	o.mu.Lock()
	if n > 0 {
		o.progressAt = o.totals.now()
	}
	delivered, replayed, filled, exempt := 0, 0, 0, 0
	done := (*Chunk)(nil) // the last one that is written whole
	for c := h.First; c != nil; c = c.Next {
		for ; h.entry < len(c.entries); h.entry++ {
			e := &c.entries[h.entry]
			part := min(n, e.bytes-h.entryOffset)
			n, h.ChunkOffset, h.entryOffset = n-part, h.ChunkOffset+part, h.entryOffset+part
			switch e.Kind {
			case KindReplies: // partly written replies count, or their rest would pass for messages
				replies += part
			case KindReplayed:
				replayed += part
			case KindFilled:
				filled += part
			}
			if c.barrier > 0 && e.Kind.isLimited() {
				exempt += part
			}
			if h.entryOffset < e.bytes {
				break
			}
			o.finishLocked(e, int(e.Count))
			delivered += e.messages()
			h.entryOffset = 0
		}
		if h.entry < len(c.entries) {
			break
		}
		done, h.ChunkOffset, h.entry = c, 0, 0
	}
	o.totals.Delivered.Add(int64(delivered))
	subtract(&o.replies, replies)
	if exempt += replayed + filled; exempt > 0 {
		o.exempt.Add(-int64(exempt))
		x := o.specialLocked()
		subtract(&x.replayed, replayed)
		subtract(&x.filled, filled)
	}
	o.mu.Unlock()
	for c := h.First; done != nil; c = h.First {
		h.remove(c)
		if c == done {
			done = nil
		}
		o.free(c)
	}
	return replies
}

// subtract takes back n bytes, and touches nothing for none.
func subtract(from *atomic.Int64, n int) {
	if n > 0 {
		from.Add(-int64(n))
	}
}

// abandonLocked ends what the writer has dequeued and not finished. Frames that are written whole are delivered,
// all others are undelivered.
func (o *Outbox) abandonLocked(h *WriteQueue) {
	if h.queue == nil {
		return
	}
	delivered, undelivered := 0, 0
	for c := h.First; c != nil; c = h.First {
		for ; h.entry < len(c.entries); h.entry++ {
			e, written := &c.entries[h.entry], 0
			if h.entryOffset > 0 && (e.Kind == kindMessages || e.isTracked()) && c.large == nil {
				start := h.ChunkOffset - h.entryOffset
				written = o.completeFrames(c.bytes[start:start+e.bytes], h.entryOffset)
			}
			h.entryOffset = 0
			o.finishLocked(e, written)
			if n := e.messages(); n > 0 {
				delivered += written
				undelivered += n - written
			}
		}
		if c.gap != nil {
			o.chargeGaps(-c.gap.cost())
		}
		h.entry = 0
		h.remove(c)
		o.free(c)
	}
	o.totals.Delivered.Add(int64(delivered))
	o.totals.Undelivered.Add(int64(undelivered))
	h.recycle()
	*h = WriteQueue{}
}

// completeFrames is the number of frames that end within the first n bytes of b.
func (o *Outbox) completeFrames(b []byte, n int) (frames int) {
	for end := 0; ; frames++ {
		if end += frameLen(b[end:], o.framing); end > n {
			return frames
		}
		if end == len(b) {
			return frames + 1
		}
	}
}
