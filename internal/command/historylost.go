package command

import (
	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/position"
	"github.com/conchmq/conch/internal/stream"
)

// What a limit of a stream has given up is reported in its place; what was deleted is no loss. Ordinals show it: between two entries
// that follow each other, those up to Stream.Trimmed were given up. In front of the first one, the log shows it, as far as it still has
// what was given up.

// passedEntry is the entry of a stream that came last. isKept: one that exists has come.
type passedEntry struct {
	ordinal, sequence uint64
	isKept            bool
}

// track takes note of an entry, and of those in front of it that were given up. False means that the connection ends.
func (h *history) track(row *readRow) bool {
	if !row.wanted && !row.gone {
		return true
	}
	at, known := h.passedOf(row.Key)
	last := *at
	*at = passedEntry{row.Ordinal, row.Sequence, last.isKept || row.wanted}
	end := min(row.trimmed, row.Ordinal) // those up to that one are lost
	switch {
	case known && last.ordinal+1 < end:
		for _, r := range h.pass.replays {
			switch n := end - last.ordinal - 1; {
			case !h.gets(r, row.name) || r.start > row.Sequence || !r.missesOlder() && !last.isKept:
			case r.start <= last.sequence+1:
				r.lost += n
			default: // it starts between the two
				r.missed = true
			}
		}
	case !known && end > 1:
		if !h.trackFirst(row, end) {
			return false
		}
	}
	if row.gone {
		for _, r := range h.pass.replays {
			if h.gets(r, row.name) && r.start <= row.Sequence && (r.missesOlder() || last.isKept) {
				r.lost++
			}
		}
	}
	return true
}

// passedOf returns the entry of a stream that came last; known is false for the first one. Most are of the stream of the one before.
func (h *history) passedOf(key uint64) (at *passedEntry, known bool) {
	if h.lastPassed != nil && h.lastKey == key {
		return h.lastPassed, true
	}
	if at, known = h.passed[key]; !known {
		at = new(passedEntry)
		h.passed[key] = at
	}
	h.lastKey, h.lastPassed = key, at
	return at, known
}

// missesOlder reports whether a replay may miss what was gone before it began: with FROM 0 and LAST it begins with what is kept.
func (r *replay) missesOlder() bool {
	return !r.exact && r.from.Kind != position.Oldest && r.from.Kind != position.Last
}

// gets reports whether a replay gets the entries of a stream.
func (h *history) gets(r *replay, name string) bool {
	if !r.durable || r.gone {
		return false
	}
	if r.isLiteral() {
		return r.sub.Topic() == name
	}
	return broker.Match(r.sub.Topic(), []byte(name))
}

// trackFirst reports what is missing in front of the first entry of a stream: of those with ordinals below end. FROM 0 and LAST miss nothing that was gone before.
func (h *history) trackFirst(row *readRow, end uint64) bool {
	counts := make(map[uint64]int) // by start
	for _, r := range h.pass.replays {
		if !h.gets(r, row.name) || !r.missesOlder() || r.start > row.Sequence {
			continue
		}
		n, ok := counts[r.start]
		if !ok {
			if n, ok = h.lostBefore(row.Key, end, r.start); !ok {
				return false
			}
			counts[r.start] = n
		}
		if n < 0 {
			r.missed = true
		} else {
			r.lost += uint64(n)
		}
	}
	return true
}

// trackEmpty reports what is missing of a stream that has no entry any more.
func (h *history) trackEmpty(r *replay) bool {
	if !r.isLiteral() || !r.missesOlder() {
		return true
	}
	var key, end uint64
	if !h.service.RunOnCore(func(broker.View) {
		if st := h.service.streams.state.Lookup([]byte(r.sub.Topic())); st != nil && st.Len() == 0 {
			key, end = st.Number(), st.Trimmed()
		}
	}) {
		return false
	}
	if end <= 1 {
		return true
	}
	n, ok := h.lostBefore(key, end, r.start)
	if n < 0 {
		r.missed = true
	} else {
		r.lost += uint64(n)
	}
	return ok
}

// lostBefore counts the entries of a stream from a number on, and below an ordinal. It is negative if that is unknown: the log does not
// have them any more. Not ok means that the connection ends.
func (h *history) lostBefore(key, end, start uint64) (n int, ok bool) {
	c := streamCursor{readStream: readStream{number: key}}
	if !h.service.RunOnCore(func(broker.View) { c.pin = h.service.streams.store.Pin(key, 1, end-1) }) {
		return 0, false
	}
	defer c.pin.Release()
	at := func(ordinal uint64) (e stream.Entry, here bool) {
		e, found, err := c.first(ordinal)
		return e, found && err == nil && e.Ordinal == ordinal
	}
	e, here := at(end - 1)
	switch {
	case !here:
		return -1, true
	case e.Sequence < start:
		return 0, true
	}
	low, high := uint64(1), end-1 // the first one from start on
	for low < high {
		middle := low + (high-low)/2
		e, found, err := c.first(middle)
		if found && err == nil && e.Sequence < start {
			low = e.Ordinal + 1
		} else {
			high = middle
		}
	}
	if _, here := at(low); !here {
		return -1, true
	}
	if low > 1 {
		if _, here := at(low - 1); !here {
			return -1, true
		}
	}
	return int(end - low), true //nolint:gosec // a count
}
