package stream

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
