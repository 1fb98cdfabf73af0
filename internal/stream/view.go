package stream

import "slices"

// view is an index at one instant. All reading is done on views. One that leaves the core is made by capture, so that nothing it
// holds is changed later; others are valid until the next change.
type view struct {
	pages       []*page // all but the last
	last        page    // a copy: the core appends to it
	tail        head    // of the open block
	tailCodes   []byte
	tailRun     int
	tailDead    *bitmap
	first, next uint64
	dense       bool // all from first to next-1 are alive
}

// position is the place of a block: page len(pages) is the last one, and the block behind its last is the open one.
type position struct{ page, block int }

// block is one block, ready to be read.
type block struct {
	head
	codes []byte
	run   int
	dead  bitmap
}

func (b *block) decoder() decoder { return decoder{id: b.first, codes: b.codes, tail: b.run} }

func (x *index) view() view {
	v := view{first: x.first, next: x.next, dense: x.isDense()}
	if x.full != nil {
		n := len(x.full.pages)
		if n > 0 {
			v.pages, v.last = x.full.pages[:n-1:n-1], *x.full.pages[n-1]
		}
	}
	v.tail = head{first: x.open, ordinal: x.next - uint64(x.count), count: uint32(x.count)}
	v.tailCodes, v.tailRun, v.tailDead = x.codes, int(x.run), x.dead
	return v
}

// capture returns a view that other goroutines may read, for as long as they like.
func (x *index) capture() view {
	x.captured = true
	if x.full != nil {
		x.full.gen++
	}
	return x.view()
}

func (v *view) heads(p int) []head {
	if p < len(v.pages) {
		return v.pages[p].heads
	}
	return v.last.heads
}

func (v *view) isOpen(at position) bool {
	return at.page == len(v.pages) && at.block == len(v.last.heads)
}

func (v *view) pageAt(p int) *page {
	if p < len(v.pages) {
		return v.pages[p]
	}
	return &v.last
}

func (v *view) head(at position) *head {
	if v.isOpen(at) {
		return &v.tail
	}
	return &v.heads(at.page)[at.block]
}

func (v *view) block(at position) block {
	if v.isOpen(at) {
		return block{head: v.tail, codes: v.tailCodes, run: v.tailRun, dead: v.dead(at)}
	}
	p := v.pageAt(at.page)
	return block{head: p.heads[at.block], codes: p.codesOf(at.block), dead: v.dead(at)}
}

// dead returns the deleted ids of a block.
func (v *view) dead(at position) (m bitmap) {
	if v.isOpen(at) {
		if v.tailDead != nil {
			m = *v.tailDead
		}
		return m
	}
	return v.pageAt(at.page).dead.block(at.block)
}

func (v *view) isDead(at position, place int) bool {
	m := v.dead(at)
	return m.has(place)
}

// forward goes to the next block. It is false at the open one.
func (v *view) forward(at *position) bool {
	if v.isOpen(*at) {
		return false
	}
	at.block++
	if at.page < len(v.pages) && at.block == len(v.pages[at.page].heads) {
		*at = position{at.page + 1, 0}
	}
	return true
}

// back goes to the block before. It is false at the first one.
func (v *view) back(at *position) bool {
	switch {
	case at.block > 0:
		at.block--
	case at.page > 0:
		*at = position{at.page - 1, len(v.pages[at.page-1].heads) - 1}
	default:
		return false
	}
	return true
}

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
	p := searchFirst(len(v.pages), func(i int) bool {
		heads := v.pages[i].heads
		return before(&heads[len(heads)-1])
	})
	heads := v.heads(p)
	return position{p, searchFirst(len(heads), func(i int) bool { return before(&heads[i]) })}
}

// searchFirst returns the first of n for which before is false.
func searchFirst(n int, before func(int) bool) int {
	low := 0
	for low < n {
		if middle := int(uint(low+n) >> 1); before(middle) {
			low = middle + 1
		} else {
			n = middle
		}
	}
	return low
}

// seek returns the ordinal of the first id, alive or not, that is not below id; or next.
func (v *view) seek(id ID) uint64 {
	ordinal, _ := v.seekID(id)
	return ordinal
}

// seekID returns as well the id that it found.
func (v *view) seekID(id ID) (uint64, ID) {
	at := position{len(v.pages), len(v.last.heads)}
	if v.tail.count == 0 || id.Less(v.tail.first) {
		// The block before the first one that begins behind id, or else the very first.
		at = v.search(func(h *head) bool { return !id.Less(h.first) })
		v.back(&at)
	}
	for {
		b := v.block(at)
		d := b.decoder()
		for i := range int(b.count) {
			if i > 0 {
				d.next()
			}
			if ordinal := b.ordinal + uint64(i); ordinal >= v.first && !d.id.Less(id) {
				return ordinal, d.id
			}
		}
		if !v.forward(&at) {
			return v.next, ID{}
		}
	}
}

// find returns the ordinal of an id that is alive.
func (v *view) find(id ID) (ordinal uint64, ok bool) {
	ordinal, found := v.seekID(id)
	return ordinal, ordinal < v.next && found == id && v.alive(ordinal)
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

// rank returns how many live entries stand before an ordinal.
func (v *view) rank(ordinal uint64) uint64 {
	if v.dense {
		return min(max(ordinal, v.first), v.next) - v.first
	}
	n := 0
	at, found := v.skip(func(end uint64, alive int) bool {
		if end <= ordinal {
			n += alive
		}
		return end <= ordinal
	})
	if h := v.head(at); found && ordinal > h.ordinal {
		m, from, to := v.dead(at), v.start(h), h.place(ordinal)
		n += max(to-from-m.count(from, to), 0)
	}
	return uint64(n)
}

// at returns the ordinal of the live entry before which rank others stand; next if there are not so many.
func (v *view) at(rank uint64) uint64 {
	if v.dense {
		return min(v.first+min(rank, v.next-v.first), v.next)
	}
	at, found := v.skip(func(_ uint64, alive int) bool {
		pass := uint64(alive) <= rank
		if pass {
			rank -= uint64(alive)
		}
		return pass
	})
	if !found {
		return v.next
	}
	h, m := v.head(at), v.dead(at)
	return h.ordinal + uint64(m.pick(v.start(h), int(h.count), int(rank)+1, false))
}

// skip passes over what lies behind first, pages and blocks, while pass is true. It returns the block at which it stops.
func (v *view) skip(pass func(end uint64, alive int) bool) (at position, found bool) {
	for at = v.locate(v.first); ; {
		if at.block == 0 && at.page < len(v.pages) {
			if p := v.pages[at.page]; p.first() >= v.first && pass(p.end(), p.alive()) {
				at.page++
				continue
			}
		}
		if !pass(v.head(at).end(), v.aliveIn(at)) {
			return at, true
		}
		if !v.forward(&at) {
			return at, false
		}
	}
}

// start returns the place in a block from which on ids are not trimmed.
func (v *view) start(h *head) int { return h.place(v.first) }

// aliveIn counts the live ids of a block.
func (v *view) aliveIn(at position) int {
	h := v.head(at)
	from := v.start(h)
	alive := int(h.count) - from
	if v.isOpen(at) && v.tailDead == nil {
		return alive
	}
	if p := v.pageAt(at.page); !v.isOpen(at) && (p.dead == nil || p.dead.in[at.block] == 0) {
		return alive
	}
	m := v.dead(at)
	return alive - m.count(from, int(h.count))
}

// each calls f for the live ids from..to, forward.
func (v *view) each(from, to uint64, f func(ordinal uint64, id ID) bool) {
	for at := v.locate(from); ; {
		b := v.block(at)
		d := b.decoder()
		for i := range int(b.count) {
			if i > 0 {
				d.next()
			}
			ordinal := b.ordinal + uint64(i)
			if ordinal > to {
				return
			}
			if ordinal >= from && !b.dead.has(i) && !f(ordinal, d.id) {
				return
			}
		}
		if !v.forward(&at) {
			return
		}
	}
}

// eachBack calls f for the live ids to..from, backward.
func (v *view) eachBack(from, to uint64, f func(ordinal uint64, id ID) bool) {
	ids := make([]ID, 0, blockSize)
	for at := v.locate(to); ; {
		b := v.block(at)
		ids = ids[:0]
		d := b.decoder()
		for i := range int(b.count) {
			if i > 0 {
				d.next()
			}
			ids = append(ids, d.id)
		}
		for i, id := range slices.Backward(ids) {
			ordinal := b.ordinal + uint64(i)
			if ordinal < from {
				return
			}
			if ordinal <= to && !b.dead.has(i) && !f(ordinal, id) {
				return
			}
		}
		if !v.back(&at) {
			return
		}
	}
}

// live calls add for the runs of live ordinals from..to-1.
func (v *view) live(from, to uint64, add func(first uint64, count int)) {
	if from, to = max(from, v.first), min(to, v.next); from >= to {
		return
	}
	if v.dense {
		add(from, int(to-from))
		return
	}
	start, n := uint64(0), 0
	for at := v.locate(from); ; {
		h, dead := v.head(at), v.dead(at)
		for i := range int(h.count) {
			ordinal := h.ordinal + uint64(i)
			if ordinal < from || ordinal >= to || dead.has(i) {
				continue
			}
			if n > 0 && ordinal != start+uint64(n) {
				add(start, n)
				n = 0
			}
			if n == 0 {
				start = ordinal
			}
			n++
		}
		if h.end() >= to || !v.forward(&at) {
			break
		}
	}
	if n > 0 {
		add(start, n)
	}
}
