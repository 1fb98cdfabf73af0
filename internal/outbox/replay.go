package outbox

// A replay adds messages of the past, beside the core, which goes on adding at the end of the queue. Its bytes do not count
// against the limit, and no policy drops them: it waits while too many of them are in the outbox.
//
// When the subscription joins, the core adds a mark: what comes behind it is to follow the rest of the replay. The
// writer stops there until the mark is removed.

// Mark is the place up to which a replay goes on adding. It is in one outbox at most, once.
type Mark struct{ chunk *Chunk }

// AddMark puts a mark behind all that waits. The core calls it.
func (o *Outbox) AddMark(m *Mark) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.failed || o.evicted.Load() {
		return
	}
	if o.queue == nil {
		o.queue = queues.Get().(*queue)
	}
	o.markLocked(m, o.barrierLocked())
}

// markLocked puts a mark behind all that waits, for AddMark and for places.
func (o *Outbox) markLocked(m *Mark, barrier uint64) {
	c := newChunk()
	c.mark, c.barrier = true, barrier
	c.entries = append(c.entries, FrameInfo{Kind: KindOther})
	m.chunk = c
	o.specialLocked().marks++
	o.pushLocked(c)
}

// RemoveMark lets the writer pass, and reports whether one must be started.
func (o *Outbox) RemoveMark(m *Mark) (start bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.failed || o.evicted.Load() { // the mark has gone with what waited
		return false
	}
	return o.removeMarkLocked(m)
}

func (o *Outbox) removeMarkLocked(m *Mark) (start bool) {
	q := o.queue
	if q.oldest.chunk == m.chunk {
		q.oldest = cursor{chunk: m.chunk.Next}
	}
	o.specialLocked().marks--
	before, behind := m.chunk.prev, m.chunk.Next
	q.remove(m.chunk)
	o.free(m.chunk)
	m.chunk = nil
	if before != nil && before.gap != nil && behind != nil && behind.gap != nil {
		o.mergeGapLocked(before, behind)
	}
	if q.length == 0 {
		q.recycle()
		o.queue = nil
	}
	return o.startLocked()
}

// AddReplay takes frames of a replay, in front of a mark or, without one, behind all that waits. Each message counts as
// replayed for one of the accounts. Not ok means that the outbox takes nothing more. A writer is to be started if start is true.
func (o *Outbox) AddReplay(p *Unflushed, m *Mark, accounts []*Account) (ok, start bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.failed || o.evicted.Load() {
		p.Discard()
		return false, false
	}
	o.noteStampsLocked(p, true)
	o.specialLocked().replayed.Add(o.insertLocked(p, m))
	for _, a := range accounts {
		a.Replayed++
	}
	o.counts.Replayed += int64(len(accounts))
	o.totals.Replayed.Add(int64(len(accounts)))
	if o.queue.length == 0 {
		o.queue.recycle()
		o.queue = nil
	}
	return true, o.startLocked()
}

// insertLocked takes frames in front of a mark or, without one, behind all that waits, and returns their size. They are exempt from
// the limit.
func (o *Outbox) insertLocked(p *Unflushed, m *Mark) (size int64) {
	if o.queue == nil {
		o.queue = queues.Get().(*queue)
	}
	var before *Chunk
	if m != nil {
		before = m.chunk
	}
	for i, at := 0, 0; i < len(p.fragments); i++ {
		s := &p.fragments[i]
		c := o.replayChunk(s)
		c.entries = append(c.entries, p.entries[at:at+s.entries]...)
		at += s.entries
		if before != nil {
			c.barrier = before.barrier
		}
		o.queue.insert(before, c)
		o.chargeChunk(c, c.memSize())
		size += int64(s.Size())
	}
	o.exempt.Add(size)
	o.bytes.Add(size)
	return size
}

// replayChunk makes a chunk of a fragment, and takes over its reference to the buffer.
func (o *Outbox) replayChunk(s *Fragment) *Chunk {
	c := newChunk()
	if s.isShared() || s.Buf == nil {
		c.bytes, c.buf, c.large = s.Bytes, s.Buf, s.Large
		return c
	}
	if len(s.Bytes) <= SmallBuffers.BufferSize {
		c.buf = SmallBuffers.Get(o.totals.Memory)
	} else {
		c.buf = NewBuffer(o.totals.Memory, len(s.Bytes))
	}
	c.bytes = append(c.buf.Bytes[:0], s.Bytes...)
	s.Buf.Release()
	return c
}

// startLocked reports whether a writer must be started: there is none, and something waits that it may write.
func (o *Outbox) startLocked() bool {
	if o.writing || o.queue == nil || o.isClosed(o.queue.First) {
		return false
	}
	o.writing, o.progressAt = true, o.totals.now()
	return true
}
