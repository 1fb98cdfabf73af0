package stream

// Apply makes a planned change so. It cannot fail.
func (s *Streams) Apply(c *Change) Result {
	s.time, s.sequence = max(s.time, c.Time), max(s.sequence, c.newest())
	switch c.Kind {
	case Add, AddRun:
		return s.applyAdd(c)
	case Remove:
		return s.applyRemove(c)
	case Flush:
		return s.applyFlush()
	case Retention:
		s.applyRules(c)
		return Result{}
	case Retain:
		return s.applyRetain(c)
	case Durable:
		s.applyDurable(c)
		return Result{}
	case Defaults:
		s.duration, s.maxSize = c.Duration, c.MaxSize
		s.given |= c.Given
		return Result{}
	case SetCursor, HoldCursor, RemoveCursor:
		s.applyCursor(c)
		return Result{}
	case SetSourcePosition, RemoveSourcePosition:
		s.applySourcePosition(c)
		return Result{}
	}
	st := s.changed(c)
	r := Result{Stream: st, Number: st.number, ID: c.ID, Created: c.Create}
	before := st.bytes()
	if c.Refs == DelRef {
		st.unref(c)
	}
	switch c.Kind {
	case Duplicate:
		st.window.duplicates++
	case Delete:
		r.Removed = st.delete(c)
	case Trim:
		st.trim(c.TrimTo, &r)
	case SetID:
		if c.ID != st.last {
			st.ids.endBlock()
		}
		st.last = c.ID
		st.setCounters(c.EntriesAdded, c.MaxDeleted)
	case Configure:
		st.duration, st.maxSize = c.Duration, c.MaxSize
		if st.window != nil {
			st.window.clear()
		}
	case SetExpiry:
		s.setExpiry(st, c.At)
	case Prune:
		s.prune(st, c.Time)
	case Fence:
		st.own()
		st.fence = c.Token
	default:
		st.applyGroup(c)
		if st.ids.rule > 0 {
			s.awaitReaders(st, c)
		}
	}
	s.bytes += st.bytes() - before
	s.entries -= r.Removed
	if c.changesKey() {
		s.touch(st)
	}
	return r
}

// changesKey reports whether a client that watches the key learns of it. As in Redis, that is not so for groups.
func (c *Change) changesKey() bool {
	return c.Create || c.Kind != Duplicate && c.Kind != Prune && (c.Kind < CreateGroup || c.Kind == AddRun)
}

// changed returns the stream of a change that is about to be applied, and makes it if the change does. A checkpoint that is being
// collected gets its state first.
func (s *Streams) changed(c *Change) *Stream {
	if c.Create {
		return s.create(c)
	}
	st := c.stream
	if st == nil {
		st = s.ByNumber(c.Number)
	}
	s.saving.before(st)
	return st
}

func (s *Streams) applyAdd(c *Change) Result {
	st := s.changed(c)
	before := st.bytes()
	r := Result{Stream: st, Number: st.number, ID: c.ID, Created: c.Create}
	if c.Kind == AddRun {
		r.Ordinal = st.ids.appendRun(st.last, c)
	} else {
		r.Ordinal = st.ids.append(st.last, c.ID, c.entryBytes())
	}
	st.last = c.LastID()
	if c.TrimTo > 0 {
		st.trim(c.TrimTo, &r)
	}
	if st.ids.rule > 0 {
		s.awaitRule(st, c)
	}
	if c.Idempotent {
		s.track(st, c)
	}
	s.bytes += st.bytes() - before
	s.entries += c.Entries() - r.Removed
	s.touch(st)
	return r
}

// create makes the stream of a change.
func (s *Streams) create(c *Change) *Stream {
	name := string(c.Name)
	if over := s.names[name]; over != nil {
		s.remove(over)
	}
	st := newStream(name, c.Number)
	st.duration, st.maxSize = c.Duration, c.MaxSize
	s.put(st)
	s.saving.made(st)
	s.assign(st)
	return st
}

// put adds a stream, which has the largest number.
func (s *Streams) put(st *Stream) {
	s.names[st.name] = st
	s.order.add(st)
	s.next = st.number + 1
	s.bytes += st.bytes() + int64(len(st.name))
}

// track tracks the idempotent id of an entry.
func (s *Streams) track(st *Stream, c *Change) {
	if st.window == nil {
		st.own()
		st.window = &window{due: deadline{index: -1, stream: st, ends: windowEnds}}
	}
	w := st.window
	w.add(c, st.duration, st.maxSize)
	if w.due.index < 0 {
		w.due.at = c.Time + int64(st.duration)*1000
		s.due.set(&w.due)
	}
}

// prune removes the idempotent ids whose time is up, and sets when that is done again.
func (s *Streams) prune(st *Stream, now int64) {
	w := st.window
	w.prune(now, st.duration)
	if s.due.remove(&w.due); w.tracked > 0 {
		w.due.at = now + int64(st.duration)*1000
		s.due.set(&w.due)
	}
}

func (st *Stream) delete(c *Change) (n int) {
	for _, ordinal := range c.Ordinals {
		if st.ids.remove(ordinal) {
			n++
		}
	}
	if st.maxDeleted.Less(c.ID) {
		st.own()
		st.maxDeleted = c.ID
	}
	return n
}

func (s *Streams) setExpiry(st *Stream, at int64) {
	if st.expiry != nil {
		s.countExpiry(-1, st.expiry.at)
	}
	switch {
	case at == 0 && st.expiry != nil:
		s.due.remove(st.expiry)
		st.expiry = nil
	case at == 0:
	case st.expiry == nil:
		st.own()
		st.expiry = &deadline{at: at + 1, stream: st, index: -1}
		s.due.set(st.expiry)
	default:
		st.expiry.at = at + 1
		s.due.set(st.expiry)
	}
	if st.expiry != nil {
		s.countExpiry(1, st.expiry.at)
	}
}

// countExpiry counts a stream with an expiry, or one less.
func (s *Streams) countExpiry(n int, at int64) {
	s.expiring += n
	if s.expirySum += float64(n) * float64(at); s.expiring == 0 {
		s.expirySum = 0 // without what was rounded
	}
}

func (s *Streams) applyRemove(c *Change) (r Result) {
	for _, number := range c.Numbers {
		st := s.ByNumber(number)
		if st == nil {
			continue // a record that names it twice
		}
		r.Number = number
		r.Removed += st.Len()
		r.Keys++
		s.remove(st)
	}
	return r
}

// remove removes a stream.
func (s *Streams) remove(st *Stream) {
	s.saving.before(st)
	st.gone = true
	delete(s.names, st.name)
	s.order.remove(st.number)
	s.saving.gone(st, s.order.count)
	if st.expiry != nil {
		s.due.remove(st.expiry)
		s.countExpiry(-1, st.expiry.at)
	}
	if st.window != nil {
		s.due.remove(&st.window.due)
	}
	s.due.remove(st.retention)
	s.bytes -= st.bytes() + int64(len(st.name))
	s.entries -= st.Len()
	s.touch(st)
}

// applyFlush takes no longer for more streams: none is touched, but for those that are watched.
func (s *Streams) applyFlush() Result {
	r := Result{Removed: s.entries, Keys: s.order.count}
	for name, w := range s.watched { // each by itself: the order does not show
		if s.names[name] != nil {
			w.version++
		}
	}
	s.saving.flush(s.next)
	s.names, s.order = make(map[string]*Stream), &numbered{}
	s.due, s.expiring, s.expirySum, s.bytes, s.entries = nil, 0, 0, 0, 0
	s.sweep = sweep{}
	return r
}
