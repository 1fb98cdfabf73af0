package stream

import (
	"slices"
	"sort"
)

// index has the ids of a stream by ordinal: its live ones, deleted ones between them, and the rest of a block in front.
//
// The last block is open: its codes grow. A full one goes to the last page. What a snapshot may hold is never changed:
// codes and heads are appended to, and the rest is copied first.
type index struct {
	first, next uint64 // the oldest live ordinal, or next; the ordinal of the entry to come
	live        uint64
	kept        uint64 // bytes of the entries in the blocks from that of first on

	// The open block. Its last id is the last id of the stream.
	open     ID // its first id
	codes    []byte
	dead     *bitmap // nil if none is deleted; it is replaced, never changed
	count    uint16
	run      uint16 // ids at its end that have no code yet, each one number higher
	captured bool   // a snapshot may hold codes
	rule     uint16 // of retention, counted from 1; 0 is none. It is the stream's, and here because there is room

	full *sealed // nil without a full block
}

// sealed has all blocks but the open one.
type sealed struct {
	pages []*page // a new list whenever one is replaced or removed, since snapshots may hold it
	gen   uint64  // counts the snapshots
	saved uint64  // blocks with smaller ordinals are in the last checkpoint, but for what was deleted since
	bytes int64   // of heads, codes and deleted ids, about
	// content is the bytes of the entries in the blocks from that of the first live entry on.
	content uint64
}

func newIndex() index { return index{first: 1, next: 1} }

// isDense reports whether all ids from first to next-1 are alive, so that counting is subtraction.
func (x *index) isDense() bool { return x.live == x.next-x.first }

// append adds the id of an entry of that size behind prev, which is the last id of the stream, and returns its ordinal.
func (x *index) append(prev, id ID, size uint64) uint64 {
	if x.count == blockSize || x.openBytes() >= blockBytes {
		x.seal()
	}
	x.kept += size
	switch {
	case x.count == 0:
		x.open = id
	case id.Ms == prev.Ms && id.Seq == prev.Seq+1:
		x.run++
	default:
		x.endRun()
		x.codes = appendCode(x.codes, prev, id)
	}
	x.count++
	x.live++
	x.next++
	return x.next - 1
}

// appendRun is append for the entries of a run, in a step for each block. It returns the first ordinal.
func (x *index) appendRun(prev ID, c *Change) (first uint64) {
	first = x.next
	for id, messages := c.ID, c.Messages; len(messages) > 0; {
		x.append(prev, id, messageBytes(messages[0]))
		n, size := x.room(messages[1:], c)
		x.kept += size
		x.run, x.count = x.run+uint16(n), x.count+uint16(n)
		x.live, x.next = x.live+uint64(n), x.next+uint64(n)
		messages = messages[1+n:]
		prev.Ms, prev.Seq = id.Ms, id.Seq+uint64(n)
		id = ID{prev.Ms, prev.Seq + 1}
	}
	return first
}

// room returns how many of the next messages of a run the open block takes, and what these count.
func (x *index) room(messages [][]byte, c *Change) (n int, size uint64) {
	most, open := min(len(messages), blockSize-int(x.count)), x.openBytes()
	if c.oneLength && open+c.size < blockBytes {
		return most, uint64(most) * (c.size / uint64(len(c.Messages)))
	}
	for n < most && open+size < blockBytes {
		size += messageBytes(messages[n])
		n++
	}
	return n, size
}

// openBytes is the bytes of the entries in the open block.
func (x *index) openBytes() uint64 {
	if x.full == nil {
		return x.kept
	}
	return x.kept - x.full.content
}

func (x *index) endRun() {
	if x.run > 0 {
		x.codes = appendRun(x.codes, int(x.run))
		x.run = 0
	}
}

// seal moves the open block to the last page.
func (x *index) seal() {
	if x.count == 0 {
		return
	}
	x.endRun()
	h := head{first: x.open, ordinal: x.next - uint64(x.count), count: uint32(x.count), bytes: x.openBytes()}
	x.push(h, x.codes, x.dead)
	x.clearOpen()
}

// clearOpen makes the open block empty. Its memory serves again unless a snapshot may hold it.
func (x *index) clearOpen() {
	x.count, x.run, x.dead = 0, 0, nil
	if x.codes = x.codes[:0]; x.captured {
		x.codes = nil
	}
	x.captured = false
}

// push appends a sealed block.
func (x *index) push(h head, codes []byte, deleted *bitmap) {
	if x.full == nil {
		x.full = &sealed{}
	}
	f := x.full
	last := len(f.pages) - 1
	if last >= 0 && len(f.pages[last].heads) == pageBlocks {
		f.pages[last].clip()
		last = -1
	}
	if last < 0 {
		f.pages = append(f.pages, &page{gen: f.gen})
		last = len(f.pages) - 1
	}
	if deleted != nil {
		x.own(last)
	}
	f.pages[last].add(h, codes, deleted)
	f.bytes += headBytes + int64(len(codes))
	f.content += h.bytes
}

// own makes a page one that no snapshot holds.
func (x *index) own(i int) {
	f := x.full
	if f.pages[i].gen == f.gen {
		return
	}
	f.pages = slices.Clone(f.pages)
	f.pages[i] = f.pages[i].copy(f.gen)
}

// remove deletes one entry. It returns false if it is not alive.
func (x *index) remove(ordinal uint64) bool {
	if ordinal < x.first || ordinal >= x.next {
		return false
	}
	if start := x.next - uint64(x.count); ordinal >= start {
		if !x.removeOpen(int(ordinal - start)) {
			return false
		}
	} else if !x.removeSealed(ordinal) {
		return false
	}
	if x.live--; ordinal == x.first {
		x.trimTo(x.nextLive(ordinal + 1))
	}
	return true
}

func (x *index) removeOpen(i int) bool {
	var m bitmap
	if x.dead != nil {
		m = *x.dead
	}
	if m.has(i) {
		return false
	}
	m.set(i)
	x.dead = &m
	return true
}

func (x *index) removeSealed(ordinal uint64) bool {
	v := x.view()
	at := v.locate(ordinal)
	h := v.head(at)
	if ordinal < h.ordinal || v.isDead(at, int(ordinal-h.ordinal)) {
		return false
	}
	x.own(at.page)
	x.full.bytes += 2
	return x.full.pages[at.page].kill(at.block, int(ordinal-h.ordinal))
}

// nextLive returns the first live ordinal from there on, or next.
func (x *index) nextLive(ordinal uint64) uint64 {
	if x.live == 0 {
		return x.next
	}
	v := x.view()
	return v.nextLive(ordinal)
}

// trim removes all entries below an ordinal, and returns how many were alive.
func (x *index) trim(to uint64) uint64 {
	if to = min(to, x.next); to <= x.first {
		return 0
	}
	if x.isDense() {
		gone := to - x.first
		x.live -= gone
		x.trimTo(to)
		return gone
	}
	v := x.view()
	gone := v.rank(to)
	x.live -= gone
	x.trimTo(x.nextLive(to))
	return gone
}

// trimTo makes an ordinal the first one, and gives up the blocks before it.
func (x *index) trimTo(first uint64) {
	if f := x.full; f != nil {
		gone := f.passed(x.first, first)
		f.content -= gone
		x.kept -= gone
	}
	x.first = first
	if x.live == 0 {
		x.first, x.kept = x.next, 0
		x.full = nil
		x.clearOpen()
		return
	}
	f := x.full
	if f == nil {
		return
	}
	whole := 0
	for whole < len(f.pages) && f.pages[whole].end() <= first {
		f.bytes -= f.pages[whole].bytes()
		whole++
	}
	if whole == len(f.pages) {
		x.full = &sealed{gen: f.gen, saved: f.saved}
		return
	}
	if whole > 0 {
		f.pages = slices.Clone(f.pages[whole:])
	}
	// Half of the first page is given up at once, so that many short streams do not hold what is long gone.
	p := f.pages[0]
	if len(p.heads) < minCut || p.heads[minCut-1].end() > first {
		return
	}
	if gone := blocksBefore(p.heads, first); gone >= len(p.heads)/2 {
		f.pages = slices.Clone(f.pages)
		f.pages[0] = p.cut(gone, len(p.heads), f.gen)
		f.bytes += f.pages[0].bytes() - p.bytes()
	}
}

// minCut is how many blocks a page gives up at least.
const minCut = 4

// blocksBefore counts the blocks that end before an ordinal.
func blocksBefore(heads []head, ordinal uint64) int {
	return sort.Search(len(heads), func(i int) bool { return heads[i].end() > ordinal })
}

// endBlock ends the open block, and removes the deleted ids behind the last live one: XSETID may make the last id smaller than
// those, and the ids to come must be larger than what is before them.
func (x *index) endBlock() {
	if x.live == 0 {
		x.trimTo(x.next)
		return
	}
	x.seal()
	v := x.view()
	at, place := v.lastLive()
	h := v.head(at)
	if place+1 < int(h.count) || at.page+1 < len(x.full.pages) || at.block+1 < len(x.full.pages[at.page].heads) {
		x.cutTail(&v, at, place)
	}
}

// cutTail removes all ids behind one place.
func (x *index) cutTail(v *view, at position, place int) {
	f := x.full
	b := v.block(at)
	var codes []byte
	prev, d := b.first, b.decoder()
	for range place {
		d.next()
		codes = appendCode(codes, prev, d.id)
		prev = d.id
	}
	deleted := b.dead
	for i := place + 1; i < blockSize; i++ {
		deleted[i>>6] &^= 1 << (i & 63)
	}
	pages := slices.Clone(f.pages[:at.page])
	for i, p := range f.pages[at.page:] {
		f.bytes -= p.bytes()
		for j := range p.heads {
			if i > 0 || j >= at.block {
				f.content -= p.heads[j].bytes
			}
		}
	}
	if at.block > 0 {
		pages = append(pages, f.pages[at.page].cut(0, at.block, f.gen))
		f.bytes += pages[at.page].bytes()
	}
	f.pages = pages
	f.saved = min(f.saved, b.ordinal)
	x.push(head{first: b.first, ordinal: b.ordinal, count: uint32(place + 1), bytes: b.bytes}, codes, &deleted)
	x.kept = f.content
}
