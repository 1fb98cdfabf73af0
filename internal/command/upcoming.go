package command

import (
	"slices"
	"sync/atomic"

	"github.com/conchmq/conch/internal/stream"
)

const (
	// maxUpcoming bounds the bytes of entries that are encoded ahead, and maxUpcomingEntries their number.
	maxUpcoming        = 16 << 10
	maxUpcomingEntries = 256
	// maxFound and maxFoundEntries bound the same where a filler reads ahead.
	maxFound        = 64 << 10
	maxFoundEntries = 1024
	// upcomingStreams is for how many streams there are some.
	upcomingStreams = 8
)

// upcoming are entries of one stream in the text of replies. Consumers of a group read them in small pieces, one behind the other,
// and finding each piece in the log takes longer than all the rest. Entries do not change, so these need no care: what is deleted
// is not asked for.
type upcoming struct {
	key      uint64
	ordinals []uint64
	ends     []int // of the texts
	text     []byte
}

// upcomingSlot has them for one stream at a time. ahead is the core's, of entries in memory. Where they lie in files, a filler that
// reads some for a reply reads on, and leaves what it has found. isReading is up meanwhile: one filler is enough.
type upcomingSlot struct {
	ahead     upcoming
	found     atomic.Pointer[upcoming] // does not change any more
	isReading atomic.Bool
}

// append appends the entries of a range with their tails, if all of them are here.
func (u *upcoming) append(b []byte, key uint64, r *stream.Range, t *tails) (_ []byte, ok bool) {
	at, found := slices.BinarySearch(u.ordinals, r.First())
	if u.key != key || !found {
		return b, false
	}
	start, left := len(b), r.Len()
	for ; left > 0 && at < len(u.ordinals); at++ {
		if !r.Live(u.ordinals[at]) {
			continue
		}
		from := 0
		if at > 0 {
			from = u.ends[at-1]
		}
		if tail := t.of(r.Len() - left); len(tail) > 0 {
			b = append(append(b, "*4"...), u.text[from+len("*2"):u.ends[at]]...)
			b = append(b, tail...)
		} else {
			b = append(b, u.text[from:u.ends[at]]...)
		}
		left--
	}
	if left > 0 || len(b)-start > maxUpcoming {
		return b[:start], false
	}
	return b, true
}

// slotOf is where the entries of a stream may be ahead.
func (s *streams) slotOf(st *stream.Stream) *upcomingSlot {
	return &s.upcoming[st.Number()%upcomingStreams]
}

// append appends the entries of a range with their tails, if all of them are here.
func (u *upcomingSlot) append(b []byte, st *stream.Stream, r *stream.Range, t *tails) (_ []byte, ok bool) {
	if b, ok = u.ahead.append(b, st.Number(), r, t); !ok {
		if found := u.found.Load(); found != nil {
			b, ok = found.append(b, st.Number(), r, t)
		}
	}
	return b, ok
}

// entriesAhead appends the entries of a range, if they are few and in memory, and encodes those behind them.
func (w *response) entriesAhead(st *stream.Stream, r *stream.Range, t *tails) (ok bool) {
	s := &w.executor.service.streams
	if w.fill != nil || s.inExec || len(w.buf) > maxTextNow {
		return false
	}
	u := s.slotOf(st)
	if w.buf, ok = u.append(w.buf, st, r, t); ok || r.Len() > maxEntriesNow {
		return ok
	}
	if s.lookAhead(&u.ahead, st, r.First()) {
		w.buf, ok = u.ahead.append(w.buf, st.Number(), r, t)
	}
	return ok
}

// freshEntries appends entries that a group reads. If they lie in files, the filler that gets them reads on for the next ones.
func (w *response) freshEntries(st *stream.Stream, r stream.Range, t *tails) {
	if w.entriesAhead(st, &r, t) {
		return
	}
	p := w.addPart(st, r)
	p.tails = *t
	if s := &w.executor.service.streams; !s.inExec && r.Len() <= maxUpcomingEntries {
		p.ahead, p.until = s.slotOf(st), min(r.First()+maxFoundEntries, st.LastOrdinal())
	}
}

// lookAhead encodes the entries of a stream from an ordinal on. It returns false if they are not in memory.
func (s *streams) lookAhead(u *upcoming, st *stream.Stream, first uint64) bool {
	s.makeReadable()
	pin := s.store.Pin(st.Number(), first, min(first+maxUpcomingEntries-1, st.LastOrdinal()))
	defer pin.Release()
	if !pin.Recent() {
		return false
	}
	*u = upcoming{key: st.Number(), ordinals: u.ordinals[:0], ends: u.ends[:0], text: u.text[:0]}
	scanned, more := 0, true
	err := pin.Read(func(changes []byte) bool {
		if scanned += len(changes); scanned > maxScannedNow {
			return false
		}
		failed := stream.EachEntry(changes, u.key, func(e *stream.Entry) bool {
			more = e.Ordinal < first || e.Fields.Size() < maxUpcoming && u.add(&s.text, e, maxUpcoming)
			return more
		})
		return failed == nil && more
	})
	return err == nil
}

// add adds an entry, and reports whether there is room for more within so many bytes.
func (u *upcoming) add(text *entryText, e *stream.Entry, most int) bool {
	u.text = text.append(u.text, e.ID, e.Fields, nil)
	u.ordinals, u.ends = append(u.ordinals, e.Ordinal), append(u.ends, len(u.text))
	return len(u.text) < most && len(u.ordinals) < maxFoundEntries
}

// readAhead reads the entries of a part and those behind it, and leaves them for the core. It returns false if it has not added those
// of the part: they are read by themselves then.
func (x *filling) readAhead(p *fillPart) bool {
	if !p.ahead.isReading.CompareAndSwap(false, true) {
		return false // others read the same
	}
	defer p.ahead.isReading.Store(false)
	u := &upcoming{key: p.key, text: make([]byte, 0, maxFound)}
	more, first, last := true, p.rng.First(), p.rng.Last()
	err := p.pin.Read(func(changes []byte) bool {
		failed := stream.EachEntry(changes, u.key, func(e *stream.Entry) bool {
			if e.Ordinal < first {
				return true
			}
			end := len(u.text) + entrySize(e.Fields)
			more = end <= maxUpcoming || e.Ordinal > last && end <= maxFound
			more = more && u.add(&x.text, e, maxFound)
			return more
		})
		return failed == nil && more
	})
	text, ok := u.append(nil, p.key, &p.rng, &p.tails)
	if err != nil || !ok {
		return false
	}
	p.ahead.found.Store(u)
	return x.write(text) == nil
}
