package stream

import (
	"math/bits"
	"slices"
)

const (
	// blockSize is how many ids a block has. A block is shorter if it is the last, or stood last when XSETID moved the last id.
	blockSize = 256
	// blockBytes is how many bytes of entries end a block, too: retention by bytes gives up whole blocks.
	blockBytes = 1 << 20
	// pageBlocks is how many blocks a page has.
	pageBlocks = 128
)

// head is what is known of a block without its codes.
type head struct {
	first   ID
	ordinal uint64 // of the first id
	offset  uint32 // of its codes, in those of the page
	count   uint32
	bytes   uint64 // of its entries, deleted ones included
}

func (h *head) end() uint64 { return h.ordinal + uint64(h.count) }

// page has blocks that are sealed. Heads and codes are only appended to, so that a snapshot may hold their beginnings. A page that a
// snapshot may hold is copied before an id of it is deleted.
type page struct {
	heads   []head
	codes   []byte
	count   int      // ids
	content uint64   // bytes of the entries of all its blocks
	dead    *deadIDs // nil if none is deleted
	gen     uint64   // generation of snapshots in which it was made: the core may change dead while it is the present one
	unsaved bool     // dead has changed since the last checkpoint, and is not nil
}

func (p *page) first() uint64 { return p.heads[0].ordinal }
func (p *page) end() uint64   { return p.heads[len(p.heads)-1].end() }

// bytes is about what the page takes.
func (p *page) bytes() int64 {
	n := headBytes*len(p.heads) + len(p.codes)
	if p.dead != nil {
		n += 2 * p.dead.total
	}
	return int64(n)
}

// alive counts the ids that are not deleted.
func (p *page) alive() int {
	if p.dead == nil {
		return p.count
	}
	return p.count - p.dead.total
}

// add appends a block with its codes. deleted is nil, or has its deleted ids.
func (p *page) add(h head, codes []byte, deleted *bitmap) {
	h.offset = uint32(len(p.codes))
	p.heads = append(p.heads, h)
	p.codes = append(p.codes, codes...)
	p.count += int(h.count)
	p.content += h.bytes
	if deleted == nil {
		return
	}
	for i := range int(h.count) {
		if deleted.has(i) {
			p.kill(len(p.heads)-1, i)
		}
	}
}

// kill deletes an id. It returns false if that was done before.
func (p *page) kill(block, i int) bool {
	if p.dead == nil {
		p.dead = &deadIDs{}
	}
	p.unsaved = true
	return p.dead.add(block, i)
}

// codesOf returns the codes of a block.
func (p *page) codesOf(i int) []byte {
	end := len(p.codes)
	if i+1 < len(p.heads) {
		end = int(p.heads[i+1].offset)
	}
	return p.codes[p.heads[i].offset:end]
}

// copy returns a copy that the core may change in generation gen.
func (p *page) copy(gen uint64) *page {
	c := *p
	c.gen = gen
	if p.dead != nil {
		c.dead = p.dead.clone()
	}
	return &c
}

// cut returns a page with the blocks from..to-1 alone.
func (p *page) cut(from, to int, gen uint64) *page {
	c := &page{gen: gen, heads: make([]head, 0, to-from)}
	start, end := p.heads[from].offset, len(p.codes)
	if to < len(p.heads) {
		end = int(p.heads[to].offset)
	}
	c.codes = slices.Clone(p.codes[start:end])
	for i := from; i < to; i++ {
		h := p.heads[i]
		h.offset -= start
		c.heads = append(c.heads, h)
		c.count += int(h.count)
		c.content += h.bytes
	}
	if p.dead != nil {
		c.dead = p.dead.cut(from, to)
	}
	c.unsaved = p.unsaved && c.dead != nil
	return c
}

// clip gives up what slices of a full page have too much.
func (p *page) clip() {
	if cap(p.codes) > len(p.codes)+len(p.codes)/16 {
		p.codes = slices.Clone(p.codes)
	}
	if cap(p.heads) > len(p.heads) {
		p.heads = slices.Clone(p.heads)
	}
}

// maxList is how many deleted ids a list has, before a bitmap is smaller.
const maxList = pageBlocks * blockSize / 16

// deadIDs are the deleted ids of a page: a list while there are few, then a bitmap.
type deadIDs struct {
	total int
	in    [pageBlocks]uint16 // by block
	list  []uint16           // ascending places in the page: block and place in it
	maps  []bitmap           // instead of the list, one for each block
}

func (d *deadIDs) add(block, i int) bool {
	place := uint16(block*blockSize + i)
	if d.maps != nil {
		if d.maps[block].has(i) {
			return false
		}
		d.maps[block].set(i)
	} else {
		at, found := slices.BinarySearch(d.list, place)
		if found {
			return false
		}
		d.list = slices.Insert(d.list, at, place)
		if len(d.list) > maxList {
			d.spread()
		}
	}
	d.total++
	d.in[block]++
	return true
}

// spread makes the list bitmaps.
func (d *deadIDs) spread() {
	d.maps = make([]bitmap, pageBlocks)
	for _, place := range d.list {
		d.maps[place/blockSize].set(int(place % blockSize))
	}
	d.list = nil
}

// block returns the deleted ids of a block.
func (d *deadIDs) block(block int) (m bitmap) {
	if d == nil || d.in[block] == 0 {
		return m
	}
	if d.maps != nil {
		return d.maps[block]
	}
	low := uint16(block * blockSize)
	at, _ := slices.BinarySearch(d.list, low)
	for _, place := range d.list[at : at+int(d.in[block])] {
		m.set(int(place - low))
	}
	return m
}

func (d *deadIDs) clone() *deadIDs {
	c := *d
	c.list = slices.Clone(d.list)
	c.maps = slices.Clone(d.maps)
	return &c
}

// cut returns those of the blocks from..to-1, which become the first ones; nil without any.
func (d *deadIDs) cut(from, to int) *deadIDs {
	c := &deadIDs{}
	for block := from; block < to; block++ {
		m := d.block(block)
		for w, word := range m {
			for ; word != 0; word &= word - 1 {
				c.add(block-from, w*64+bits.TrailingZeros64(word))
			}
		}
	}
	if c.total == 0 {
		return nil
	}
	return c
}
