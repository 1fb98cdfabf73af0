package outbox

import (
	"errors"
	"time"

	"github.com/conchmq/conch/protocol"
)

// writeQueue is what the writer has taken out of an outbox: nobody drops it any more, though an eviction has its rest thrown
// away. It is the writer's.
type WriteQueue struct {
	*queue
	ChunkOffset int // bytes of the first chunk that are written
	entry       int // the entry in it that they end in
	entryOffset int // bytes of that entry that are written

	escaped *escapedFrame // the large line that is being written, if one is
}

// piece is what can be written of a chunk from a place on: as much as lies side by side.
func (h *WriteQueue) Piece(c *Chunk, at int) []byte {
	switch {
	case c.large == nil:
		return c.bytes[at:]
	case c.large.Escaped:
		if h.escaped == nil || h.escaped.frame != c.large || at == 0 { // or the same frame once more
			h.escaped = newEscapedFrame(c.large)
		}
		return h.escaped.piece(at)
	}
	return c.large.piece(at)
}

// atNotice reports whether the close notice comes next: what stands before it must be written, or thrown away, first.
func (h *WriteQueue) AtNotice() bool { return h.First != nil && h.First.notice }

// frameEnd is where the frame ends that the writer is in, in the first chunk: at the next byte to be written, if that is
// between two frames.
func (h *WriteQueue) FrameEnd() (end int, err error) {
	c, at := h.First, h.ChunkOffset
	if c.large != nil && at > 0 {
		return c.large.Size, nil
	}
	for end < at {
		n := protocol.FrameLen(c.bytes[end:])
		if n == 0 {
			return 0, errPartialFrame
		}
		end += n
	}
	return end, nil
}

var errPartialFrame = errors.New("a chunk that ends inside a frame")

// maxWrite is how much one call to the kernel is given: progress shows in the outbox at least that often.
const MaxWrite = 1 << 20

// maxDequeue is about how many bytes the writer takes at once. What it has dequeued cannot be dropped any more, so where the
// limit is low that is a small part of it.
func (o *Outbox) maxDequeue() int { return int(min(MaxWrite, max(o.Limit/4, minShared))) }

// dequeue gives the writer something to write, once it is done with what it had. False ends the writer.
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
	if o.failed || o.queue == nil {
		o.dequeuedBytes.Store(0)
		o.writing = false
		o.mu.Unlock()
		return false
	}
	most, waiting := o.maxDequeue(), o.bytes.Load()
	if o.evicted.Load() { // what was lost still counts as waiting: there is but the close notice
		waiting = int64(o.queue.First.Size())
	}
	if waiting <= int64(most) {
		o.dequeuedBytes.Store(waiting)
		h.queue, o.queue = o.queue, nil
	} else {
		h.queue = o.queue.split(most)
		o.dequeuedBytes.Store(max(int64(most), int64(h.First.Size())))
		if o.queue.length == 0 {
			o.queue.recycle()
			o.queue = nil
		}
	}
	cuts := o.takeCuts(h)
	o.mu.Unlock()
	o.encodeGaps(h)
	o.tellCuts(h, cuts)
	return true
}

// encodeGaps writes out the losses. From here on the gaps are closed: the next loss opens a new one.
func (o *Outbox) encodeGaps(h *WriteQueue) {
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

// chargeGaps counts what losses cost.
func (o *Outbox) chargeGaps(n int) {
	o.gapBytes.Add(int64(n))
	o.chargeMemory(n)
}

// markWritten notes progress: n bytes more are with the kernel. It returns how many bytes of them were replies.
func (o *Outbox) MarkWritten(h *WriteQueue, n int) (replies int) {
	o.bytes.Add(-int64(n))
	o.mu.Lock()
	delivered, done := 0, (*Chunk)(nil) // done: the chunks up to here are written
	for c := h.First; c != nil; c = c.Next {
		for ; h.entry < len(c.entries); h.entry++ {
			e := &c.entries[h.entry]
			part := min(n, e.bytes-h.entryOffset)
			n, h.ChunkOffset, h.entryOffset = n-part, h.ChunkOffset+part, h.entryOffset+part
			if e.Kind == KindReplies { // a long one counts as far as it is written, or what is left of it would hide messages
				replies += part
			}
			if h.entryOffset < e.bytes {
				break
			}
			o.finishLocked(e, int(e.Count))
			delivered += int(e.Count)
			h.entryOffset = 0
		}
		if h.entry < len(c.entries) {
			break
		}
		done, h.ChunkOffset, h.entry = c, 0, 0
	}
	o.totals.Delivered.Add(int64(delivered))
	if replies > 0 {
		o.replies.Add(-int64(replies))
	}
	o.mu.Unlock()
	for c := h.First; done != nil; c = h.First { // without the lock: the chunks are the writer's
		h.remove(c)
		if c == done {
			done = nil
		}
		o.free(c)
	}
	return replies
}

// abandonLocked is the end of what the writer has dequeued, if there is anything left: whole frames that were written are
// delivered, the others are not. Called under the mutex.
func (o *Outbox) abandonLocked(h *WriteQueue) {
	if h.queue == nil {
		return
	}
	delivered, undelivered := 0, 0
	for c := h.First; c != nil; c = h.First {
		for ; h.entry < len(c.entries); h.entry++ {
			e, written := &c.entries[h.entry], 0
			if h.entryOffset > 0 && e.Kind == kindMessages && c.large == nil {
				start := h.ChunkOffset - h.entryOffset
				written = completeFrames(c.bytes[start:start+e.bytes], h.entryOffset)
			}
			h.entryOffset = 0
			o.finishLocked(e, written)
			delivered += written
			undelivered += int(e.Count) - written
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

// completeFrames is how many frames end within the first n bytes of b.
func completeFrames(b []byte, n int) (frames int) {
	for end := 0; ; frames++ {
		if end += frameLen(b[end:]); end > n {
			return frames
		}
		if end == len(b) {
			return frames + 1
		}
	}
}
