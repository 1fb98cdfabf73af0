package stream

import "sort"

// locate finds the block that holds an ordinal, or else the first one behind it.
func (v *view) locate(ordinal uint64) position {
	return v.search(func(h *head) bool { return h.end() <= ordinal })
}

// search finds the first block for which before is false. It is true for blocks from the first to some block.
func (v *view) search(before func(*head) bool) position {
	n := len(v.last.heads)
	if n == 0 || before(&v.last.heads[n-1]) {
		return position{len(v.pages), n}
	}
	p := sort.Search(len(v.pages), func(i int) bool {
		heads := v.pages[i].heads
		return !before(&heads[len(heads)-1])
	})
	heads := v.heads(p)
	return position{p, sort.Search(len(heads), func(i int) bool { return !before(&heads[i]) })}
}

// seek returns the ordinal of the first id, alive or not, that is not below id; or next.
func (v *view) seek(id ID) uint64 {
	ordinal, _ := v.seekID(id)
	return ordinal
}

// seekID returns as well the id that it found.
func (v *view) seekID(id ID) (uint64, ID) {
	x := seeker{view: v}
	return x.seek(id)
}

// find returns the ordinal of an id that is alive.
func (v *view) find(id ID) (ordinal uint64, ok bool) {
	x := seeker{view: v}
	return x.find(id)
}

// alive reports whether an ordinal is that of a live entry.
func (v *view) alive(ordinal uint64) bool {
	if ordinal < v.first || ordinal >= v.next {
		return false
	}
	if v.dense {
		return true
	}
	at := v.locate(ordinal)
	h := v.head(at)
	return ordinal >= h.ordinal && ordinal < h.end() && !v.isDead(at, int(ordinal-h.ordinal))
}

// nextLive returns the first live ordinal from there on, or next.
func (v *view) nextLive(ordinal uint64) uint64 {
	if v.dense {
		return min(max(ordinal, v.first), v.next)
	}
	for at := v.locate(ordinal); ; {
		h, dead := v.head(at), v.dead(at)
		for i := range int(h.count) {
			if o := h.ordinal + uint64(i); o >= ordinal && !dead.has(i) {
				return o
			}
		}
		if !v.forward(&at) {
			return v.next
		}
	}
}

// prevLive returns the last live ordinal before one. There is one.
func (v *view) prevLive(end uint64) uint64 {
	if v.dense {
		return min(end, v.next) - 1
	}
	for at := v.locate(end - 1); ; {
		h, dead := v.head(at), v.dead(at)
		for i := h.place(end) - 1; i >= 0; i-- {
			if !dead.has(i) {
				return h.ordinal + uint64(i)
			}
		}
		if !v.back(&at) {
			return v.first
		}
	}
}

// lastLive returns the place of the newest live id. There is one.
func (v *view) lastLive() (position, int) {
	at := position{len(v.pages), len(v.last.heads)}
	for {
		h, dead := v.head(at), v.dead(at)
		for i := int(h.count) - 1; i >= 0; i-- {
			if !dead.has(i) {
				return at, i
			}
		}
		v.back(&at)
	}
}

// idAt returns the id of an ordinal that a block holds.
func (v *view) idAt(ordinal uint64) ID {
	b := v.block(v.locate(ordinal))
	d := b.decoder()
	for range ordinal - b.ordinal {
		d.next()
	}
	return d.id
}
