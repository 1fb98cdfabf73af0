package stream

import "math"

// Range is the entries from one id to another at the instant at which it was made. It does not change with the stream, and other
// goroutines may use it.
type Range struct {
	view    view
	low     uint64 // the ordinals of its oldest and its newest live entry; both 0 without any
	high    uint64
	count   int
	reverse bool
	current cursor
}

// cursor is the block in which Live looked last.
type cursor struct {
	start, end uint64
	dead       bitmap
}

// Range returns the entries from..to, both included, count at most unless count is 0 or less. In reverse it has the newest ones.
func (st *Stream) Range(from, to ID, count int, reverse bool) Range {
	v := st.ids.view()
	low, high, n := v.span(from, to, count, reverse)
	if n == 0 {
		return Range{reverse: reverse}
	}
	return Range{view: st.ids.capture(), low: low, high: high, count: n, reverse: reverse}
}

// rangeBehind returns the entries that a group has yet to read, count at most unless count is 0 or less.
func (st *Stream) rangeBehind(g *Group, count int) Range {
	v := st.ids.view()
	low := g.behind(&v)
	if low >= v.next {
		return Range{}
	}
	if count <= 0 {
		count = math.MaxInt
	}
	high, n := v.take(low, v.next, count, false)
	if n == 0 {
		return Range{}
	}
	return Range{view: st.ids.capture(), low: v.nextLive(low), high: high, count: n}
}

// Len returns how many entries it has.
func (r *Range) Len() int { return r.count }

// First returns the ordinal of the oldest entry, Last that of the newest. Both are 0 if there is none.
func (r *Range) First() uint64 { return r.low }

// Last returns the ordinal of the newest entry.
func (r *Range) Last() uint64 { return r.high }

// Reverse reports whether the newest entry comes first.
func (r *Range) Reverse() bool { return r.reverse }

// Live reports whether the entry with that ordinal belongs to the range. It is fast for ordinals near the one before.
func (r *Range) Live(ordinal uint64) bool {
	if ordinal < r.low || ordinal > r.high || r.count == 0 {
		return false
	}
	if r.view.dense {
		return true
	}
	c := &r.current
	if ordinal < c.start || ordinal >= c.end {
		at := r.view.locate(ordinal)
		h := r.view.head(at)
		*c = cursor{start: h.ordinal, end: h.end(), dead: r.view.dead(at)}
	}
	return ordinal >= c.start && ordinal < c.end && !c.dead.has(int(ordinal-c.start))
}

// Each calls f for the entries, in the direction of the range, until f returns false.
func (r *Range) Each(f func(ordinal uint64, id ID) bool) {
	switch {
	case r.count == 0:
	case r.reverse:
		r.view.eachBack(r.low, r.high, f)
	default:
		r.view.each(r.low, r.high, f)
	}
}

// RangeOf returns the range that has exactly these entries, in ascending order and without another one between them. ok is false if
// there is none.
func (st *Stream) RangeOf(ids []ID) (r Range, ok bool) {
	for i := 1; i < len(ids); i++ {
		if !ids[i-1].Less(ids[i]) {
			return Range{}, false
		}
	}
	r = st.Range(ids[0], ids[len(ids)-1], len(ids)+1, false)
	return r, r.Len() == len(ids)
}

// Ordinals returns the ordinals of ids whose entries exist, in their order.
func (st *Stream) Ordinals(ids []ID) []uint64 {
	v, ordinals := st.ids.view(), make([]uint64, len(ids))
	x := seeker{view: &v}
	for i, id := range ids {
		ordinals[i], _ = x.seek(id)
	}
	return ordinals
}

// EntriesIn returns how many entries have so many bytes, on the average of the stream: most at most, and at least one.
func (st *Stream) EntriesIn(bytes, most uint64) uint64 {
	if st.ids.live == 0 {
		return 1
	}
	return max(min(bytes*st.ids.live/max(st.ids.kept, 1), most), 1)
}
