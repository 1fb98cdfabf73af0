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
	entry int // the entry in it that they end in
	begun int // bytes of that entry that are written
}

// most is about how many bytes the writer takes at once. What it has in hand cannot be dropped any more, so where the
// limit is low that is a small part of it.
func (o *outbox) most() int { return int(min(maxWrite, max(o.limit/4, shareAt))) }

// take gives the writer something to write, once it is done with what it had. False ends the writer.
func (o *outbox) take(h *hand, sock net.Conn) bool {
	o.mu.Lock()
	o.letGo(h)
	if dropped := o.dropped; dropped != nil {
		o.dropped = nil
		o.mu.Unlock()
		o.discard(dropped)
		o.mu.Lock()
	}
	if o.evicted.Load() {
		_ = sock.SetWriteDeadline(time.Now().Add(partingTime))
	}
	if o.broken || o.queue == nil {
		o.inHand.Store(0)
		o.writing = false
		o.mu.Unlock()
		return false
	}
	most, waiting := o.most(), o.waiting.Load()
	if o.evicted.Load() { // what was lost still counts as waiting: there is but the last words
		waiting = int64(o.queue.first.size())
	}
	if waiting <= int64(most) {
		o.inHand.Store(waiting)
		h.queue, o.queue = o.queue, nil
	} else {
		h.queue = o.queue.split(most)
		o.inHand.Store(max(int64(most), int64(h.first.size())))
		if o.queue.length == 0 {
			o.queue.recycle()
			o.queue = nil
		}
	}
	cuts := o.takeCuts(h)
	o.mu.Unlock()
	o.tell(h)
	o.tellCuts(h, cuts)
	return true
}

// tell writes out the notes of what was missed. From here on the gaps are closed: the next loss opens a new one.
func (o *outbox) tell(h *hand) {
	for c := h.first; c != nil; c = c.next {
		if c.gap == nil {
			continue
		}
		o.note(-c.gap.weight())
		c.bytes, c.gap = c.gap.appendNotes(nil), nil
		c.entries[0].bytes = len(c.bytes)
		o.waiting.Add(int64(len(c.bytes)))
		o.weigh(c, c.memory())
	}
}

// note counts what notes of what was missed cost.
func (o *outbox) note(n int) {
	o.noted.Add(int64(n))
	o.holdMemory(n)
}

// wrote notes progress: n bytes more are with the kernel.
func (o *outbox) wrote(h *hand, n int) {
	o.waiting.Add(-int64(n))
	o.mu.Lock()
	replies, delivered, done := 0, 0, (*chunk)(nil) // done: the chunks up to here are written
	for c := h.first; c != nil; c = c.next {
		for ; h.entry < len(c.entries); h.entry++ {
			e := &c.entries[h.entry]
			part := min(n, e.bytes-h.begun)
			n, h.at, h.begun = n-part, h.at+part, h.begun+part
			if e.kind == kindReplies { // a long one counts as far as it is written, or what is left of it would hide messages
				replies += part
			}
			if h.begun < e.bytes {
				break
			}
			o.settle(e, int(e.count))
			delivered += int(e.count)
			h.begun = 0
		}
		if h.entry < len(c.entries) {
			break
		}
		done, h.at, h.entry = c, 0, 0
	}
	o.totals.delivered.Add(int64(delivered))
	if replies > 0 {
		if left := o.replies.Add(-int64(replies)); left <= maxReplies && left+int64(replies) > maxReplies {
			o.reader.Signal()
		}
	}
	o.mu.Unlock()
	for c := h.first; done != nil; c = h.first { // without the lock: the chunks are the writer's
		h.remove(c)
		if c == done {
			done = nil
		}
		o.free(c)
	}
}

// letGo is the end of what the writer has in hand, if there is anything left: whole frames that were written are
// delivered, the others are not. Called under the mutex.
func (o *outbox) letGo(h *hand) {
	if h.queue == nil {
		return
	}
	delivered, undelivered := 0, 0
	for c := h.first; c != nil; c = h.first {
		for ; h.entry < len(c.entries); h.entry++ {
			e, written := &c.entries[h.entry], 0
			if h.begun > 0 && e.kind == kindMessages && c.large == nil {
				start := h.at - h.begun
				written = wholeFrames(c.bytes[start:start+e.bytes], h.begun)
			}
			h.begun = 0
			o.settle(e, written)
			delivered += written
			undelivered += int(e.count) - written
		}
		if c.gap != nil {
			o.note(-c.gap.weight())
		}
		h.entry = 0
		h.remove(c)
		o.free(c)
	}
	o.totals.delivered.Add(int64(delivered))
	o.totals.undelivered.Add(int64(undelivered))
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
