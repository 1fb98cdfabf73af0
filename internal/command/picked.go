package command

import (
	"github.com/conchmq/conch/internal/stream"
	"github.com/conchmq/conch/protocol"
)

// A consumer that claims gets a few entries of very many. Finding one in the log costs as much as reading some hundred, and a record
// has several: so near ones are read in one go, with those between them.
const (
	// maxBetween and maxBytesBetween bound what is read between two entries, by the average size of the stream's entries.
	maxBetween      = 256
	maxBytesBetween = 16 << 10
)

// tails are what stands behind the id and the fields of entries, two elements more. The zero value stands for entries without them.
type tails struct {
	text []byte
	// ends are the beginning of the first and the ends of all in text; nil if text stands behind each entry.
	ends []int
}

// newEntryTail stands behind an entry that was never delivered before: it was idle for 0 ms, and delivered 0 times.
var newEntryTail = tails{text: []byte(":0\r\n:0\r\n")}

// add adds the tail of the next entry.
func (t *tails) add(idle, deliveries int64) {
	if t.ends == nil {
		t.ends = append(t.ends, 0)
	}
	t.text = protocol.AppendInt(protocol.AppendInt(t.text, idle), deliveries)
	t.ends = append(t.ends, len(t.text))
}

// of returns the tail of the i-th entry.
func (t *tails) of(i int) []byte {
	if t.ends == nil {
		return t.text
	}
	return t.text[t.ends[i]:t.ends[i+1]]
}

// slice returns the tails of the entries from..to-1.
func (t *tails) slice(from, to int) tails {
	if t.ends == nil {
		return *t
	}
	return tails{t.text, t.ends[from : to+1]}
}

// picked appends entries that exist, in the order of their ids here.
func (w *response) picked(st *stream.Stream, ids []stream.ID, t tails) {
	if len(ids) == 0 {
		return
	}
	if r, ok := st.RangeOf(ids); ok && t.text == nil {
		w.eachEntry(st, r)
		return
	}
	ordinals := st.Ordinals(ids)
	near := st.EntriesIn(maxBytesBetween, maxBetween)
	for from, to := 0, 0; from < len(ids); from = to {
		for to = from + 1; to < len(ids) && ordinals[to] > ordinals[to-1] && ordinals[to]-ordinals[to-1] <= near; to++ {
		}
		w.pickedNear(st, ids[from:to], ordinals[from:to], t.slice(from, to), near)
	}
}

// pickedNear appends entries that are near each other, in ascending order.
func (w *response) pickedNear(st *stream.Stream, ids []stream.ID, ordinals []uint64, t tails, near uint64) {
	r := st.Range(ids[0], ids[len(ids)-1], 0, false)
	if len(ids) <= maxEntriesNow && r.Last()-r.First() <= near && w.readNow(st, &r, ordinals, &t) {
		return
	}
	p := w.addPart(st, r)
	p.only, p.count, p.tails = ordinals, len(ordinals), t
}
