package command

import (
	"slices"

	"github.com/conchmq/conch/internal/stream"
)

const (
	// maxUpcoming bounds the bytes of entries that are encoded ahead, and maxUpcomingEntries their number.
	maxUpcoming        = 16 << 10
	maxUpcomingEntries = 256
	// upcomingStreams is for how many streams there are some.
	upcomingStreams = 8
)

// upcoming are entries of one stream in the text of replies. Consumers of a group read them in small pieces, one behind the other,
// and finding each piece in the log takes longer than all the rest. Entries do not change, so these need no care: what is deleted
// is not asked for. The core owns them.
type upcoming struct {
	key      uint64
	ordinals []uint64
	ends     []int // of the texts
	text     []byte
}

// append appends the entries of a range, if all of them are here.
func (u *upcoming) append(b []byte, key uint64, r *stream.Range) (_ []byte, ok bool) {
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
		b = append(b, u.text[from:u.ends[at]]...)
		left--
	}
	if left > 0 || len(b)-start > maxBytesNow {
		return b[:start], false
	}
	return b, true
}

// entriesAhead appends the entries of a range that a group reads, if they are few and in memory, and encodes those behind them.
func (w *response) entriesAhead(st *stream.Stream, r *stream.Range) (ok bool) {
	s := &w.executor.service.streams
	if w.fill != nil || r.Len() > maxEntriesNow || s.inExec || len(w.buf) > maxTextNow {
		return false
	}
	u := &s.upcoming[st.Number()%upcomingStreams]
	if w.buf, ok = u.append(w.buf, st.Number(), r); !ok && s.lookAhead(u, st, r.First()) {
		w.buf, ok = u.append(w.buf, st.Number(), r)
	}
	return ok
}

// lookAhead encodes the entries of a stream from an ordinal on. It returns false if they are not in memory.
func (s *streams) lookAhead(u *upcoming, st *stream.Stream, first uint64) bool {
	s.makeReadable()
	*u = upcoming{key: st.Number(), ordinals: u.ordinals[:0], ends: u.ends[:0], text: u.text[:0]}
	pin := s.store.Pin(u.key, first, min(first+maxUpcomingEntries-1, st.LastOrdinal()))
	defer pin.Release()
	if !pin.Recent() {
		return false
	}
	scanned, more := 0, true
	err := pin.Read(func(changes []byte) bool {
		if scanned += len(changes); scanned > maxScannedNow {
			return false
		}
		failed := stream.EachEntry(changes, u.key, func(e *stream.Entry) bool {
			more = e.Ordinal < first || e.Fields.Size() < maxUpcoming && u.add(&s.text, e)
			return more
		})
		return failed == nil && more
	})
	return err == nil
}

// add adds an entry, and reports whether there is room for more.
func (u *upcoming) add(text *entryText, e *stream.Entry) bool {
	u.text = text.append(u.text, e.ID, e.Fields)
	u.ordinals, u.ends = append(u.ordinals, e.Ordinal), append(u.ends, len(u.text))
	return len(u.text) < maxUpcoming && len(u.ordinals) < maxUpcomingEntries
}
