package stream

import "math"

// span finds the live entries from..to, count at most, from the end if reverse: the ordinals of the oldest and the newest one. It
// does not look beyond them, unless all are counted.
func (v *view) span(from, to ID, count int, reverse bool) (low, high uint64, n int) {
	low, end := v.seek(from), v.next
	if next, ok := to.Next(); ok {
		end = v.seek(next)
	}
	if low >= end {
		return 0, 0, 0
	}
	if count <= 0 {
		count = math.MaxInt
	}
	if reverse {
		low, n = v.take(low, end, count, true)
		high = v.prevLive(end)
	} else {
		high, n = v.take(low, end, count, false)
		low = v.nextLive(low)
	}
	if n == 0 {
		return 0, 0, 0
	}
	return low, high, n
}

// take counts the live entries low..end-1, most at most, from the end if reverse. edge is the ordinal of the last one that it counted.
func (v *view) take(low, end uint64, most int, reverse bool) (edge uint64, n int) {
	if v.dense {
		n = int(min(end-low, uint64(most)))
		if reverse {
			return end - uint64(n), n
		}
		return low + uint64(n) - 1, n
	}
	at, next := v.locate(low), v.forward
	if reverse {
		at, next = v.locate(end-1), v.back
	}
	for {
		if p := v.wholePage(at, low, end, reverse); p != nil && n+p.alive() < most {
			n += p.alive()
			at.block = len(p.heads) - 1
			if reverse {
				at.block = 0
			}
		} else {
			h, m := v.head(at), v.dead(at)
			from, to := h.place(low), h.place(end)
			alive := max(to-from-m.count(from, to), 0)
			if n+alive >= most {
				return h.ordinal + uint64(m.pick(from, to, most-n, reverse)), most
			}
			n += alive
		}
		if !next(&at) || !reverse && v.head(at).ordinal >= end || reverse && v.head(at).end() <= low {
			break
		}
	}
	if n == 0 {
		return 0, 0
	}
	if reverse {
		return v.nextLive(low), n
	}
	return v.prevLive(end), n
}

// wholePage returns the page that starts at a block, or ends at it if reverse, if all of it lies within low..end-1; else nil.
func (v *view) wholePage(at position, low, end uint64, reverse bool) *page {
	if at.page >= len(v.pages) {
		return nil
	}
	p := v.pages[at.page]
	if !reverse && at.block > 0 || reverse && at.block < len(p.heads)-1 || p.first() < low || p.end() > end {
		return nil
	}
	return p
}

// place returns the place of an ordinal in the block: 0 before it, count behind it.
func (h *head) place(ordinal uint64) int {
	return int(min(max(ordinal, h.ordinal)-h.ordinal, uint64(h.count)))
}

// pick returns the place of the nth bit that is not set, of those from..to-1, from the end if reverse. There are so many.
func (m *bitmap) pick(from, to, nth int, reverse bool) int {
	i, step := from, 1
	if reverse {
		i, step = to-1, -1
	}
	for ; ; i += step {
		if !m.has(i) {
			if nth--; nth == 0 {
				return i
			}
		}
	}
}
