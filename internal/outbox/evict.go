package outbox

import "time"

// Evict drops what waits, and queues the close notice instead, if there is one. It interrupts a write that the
// client does not take. The core calls it, and starts a writer if it returns true.
func (o *Outbox) Evict(sock writeDeadliner, notice []byte) (start bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.failed {
		return false
	}
	o.evicted.Store(true)
	o.discarded, o.queue = o.queue, nil
	o.endSpecialLocked()
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
		_ = sock.SetWriteDeadline(time.Unix(1, 0)) // Dequeue and StartNoticeDeadline set the next one
		return false
	}
	o.writing = o.queue != nil || o.discarded != nil
	return o.writing
}

// Fail discards what waits, what is dequeued, and what may still come. It is the last call of a writer, which
// ends with it.
func (o *Outbox) Fail(h *WriteQueue) {
	o.mu.Lock()
	o.failed, o.writing = true, false
	o.abandonLocked(h)
	if x := o.special.Load(); x != nil {
		x.filled.Store(0) // what fills places need not wait for room
	}
	queue, dropped := o.queue, o.discarded
	o.queue, o.discarded = nil, nil
	o.mu.Unlock()
	o.discardQueue(queue)
	o.discardQueue(dropped)
	o.dequeuedBytes.Store(0)
}

// discardQueue counts a queue that is not written as undelivered, and frees it. A nil queue is an empty one.
//
// There may be millions of entries, and the core may wait for the mutex. So it is held for one chunk at a time.
func (o *Outbox) discardQueue(q *queue) {
	if q == nil {
		return
	}
	for c := q.First; c != nil; c = q.First {
		o.mu.Lock()
		undelivered := 0
		for i := range c.entries {
			o.finishLocked(&c.entries[i], 0)
			undelivered += c.entries[i].messages()
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
