package server

import (
	"net"
	"time"
)

// hand is what the writer has taken out of an outbox: nobody drops it any more, though an eviction has its rest thrown
// away. It is the writer's.
type hand struct {
	*queue
	at    int // bytes of the first chunk that are written
	begun int // bytes of the first entry that are written
}

// most is about how many bytes the writer takes at once. What it has in hand cannot be dropped any more, so where the
// limit is low that is a small part of it.
func (o *outbox) most() int { return int(min(maxWrite, max(o.limit/4, shareAt))) }

// take gives the writer something to write, once it is done with what it had. False ends the writer.
func (o *outbox) take(h *hand, sock net.Conn) bool {
	o.mu.Lock()
	o.letGo(h)
	if o.evicted.Load() {
		_ = sock.SetWriteDeadline(time.Now().Add(partingTime))
	}
	if o.broken || o.queue == nil {
		o.writing = false
		o.mu.Unlock()
		return false
	}
	if most := o.most(); o.waiting.Load() <= int64(most) {
		h.queue, o.queue = o.queue, nil
	} else if h.queue = o.queue.split(most); o.queue.chunks.len() == 0 {
		o.queue.recycle()
		o.queue = nil
	}
	cuts := o.takeCuts(h)
	o.mu.Unlock()
	o.tell(h)
	o.tellCuts(h, cuts)
	return true
}

// tell writes out the notes of what was missed. From here on the gaps are closed: the next loss opens a new one.
func (o *outbox) tell(h *hand) {
	at := 0
	for i := range h.chunks.all() {
		c := h.chunks.at(i)
		if c.gap != nil {
			o.noted.Add(-int64(c.gap.weight()))
			c.bytes, c.gap = c.gap.appendNotes(nil), nil
			h.entries.at(at).bytes = len(c.bytes)
			o.waiting.Add(int64(len(c.bytes)))
			o.totals.memory.hold(int64(len(c.bytes)))
		}
		at += c.entries
	}
}

// wrote notes progress: n bytes more are with the kernel.
func (o *outbox) wrote(h *hand, n int) {
	o.waiting.Add(-int64(n))
	o.totals.memory.hold(-int64(n))
	o.mu.Lock()
	replies, delivered, done := 0, 0, 0
	for left := n; done < h.entries.len(); done++ {
		e := h.entries.at(done)
		part := min(left, e.bytes-h.begun)
		left -= part
		h.begun += part
		if e.kind == kindReplies { // a long one counts as far as it is written, or what is left of it would hide messages
			replies += part
		}
		if h.begun < e.bytes {
			break
		}
		o.settle(e, e.count)
		delivered += e.count
		h.begun = 0
	}
	h.entries.skip(done)
	o.totals.delivered.Add(int64(delivered))
	if replies > 0 {
		if left := o.replies.Add(-int64(replies)); left <= maxReplies && left+int64(replies) > maxReplies {
			o.reader.Signal()
		}
	}
	o.mu.Unlock()
	h.advance(n)
}

// advance gives back the chunks that are written.
func (h *hand) advance(n int) {
	done := 0
	for h.at += n; done < h.chunks.len() && h.at >= len(h.chunks.at(done).bytes); done++ {
		c := h.chunks.at(done)
		h.at -= len(c.bytes)
		c.in.release()
	}
	h.chunks.skip(done)
}

// letGo is the end of what the writer has in hand, if there is anything left: whole frames that were written are
// delivered, the others are not. Called under the mutex.
func (o *outbox) letGo(h *hand) {
	if h.queue == nil {
		return
	}
	delivered, undelivered, left := 0, 0, -h.at
	for i := range h.entries.all() {
		e, written := h.entries.at(i), 0
		if i == 0 && h.begun > 0 && e.kind == kindMessages {
			start := h.at - h.begun
			written = wholeFrames(h.chunks.at(0).bytes[start:start+e.bytes], h.begun)
		}
		o.settle(e, written)
		delivered += written
		undelivered += e.count - written
	}
	o.totals.delivered.Add(int64(delivered))
	o.totals.undelivered.Add(int64(undelivered))
	for i := range h.chunks.all() {
		c := h.chunks.at(i)
		if c.gap != nil {
			o.noted.Add(-int64(c.gap.weight()))
		}
		left += len(c.bytes)
		c.in.release()
	}
	o.totals.memory.hold(-int64(left))
	h.recycle()
	*h = hand{}
}

// wholeFrames is how many frames end within the first n bytes of b.
func wholeFrames(b []byte, n int) (frames int) {
	for end := 0; ; frames++ {
		if end += frameLen(b[end:]); end > n {
			return frames
		}
		if end == len(b) {
			return frames + 1
		}
	}
}
