package stream

import (
	"slices"
	"sort"
)

// readPage reads blocks, which follow those that the stream has.
func (l *loader) readPage(in *input) error {
	heads := in.count(headBytes)
	p := &page{heads: make([]head, 0, heads)}
	end := uint64(1)
	if f := l.current.ids.full; f != nil && len(f.pages) > 0 {
		end = f.pages[len(f.pages)-1].end()
	}
	for range heads {
		h := head{first: ID{in.fixed64(), in.fixed64()}, ordinal: in.fixed64()}
		h.offset, h.count, h.bytes = in.fixed32(), in.fixed32(), in.fixed64()
		last := len(p.heads) - 1
		if h.count < 1 || h.count > blockSize || h.ordinal < end || h.end() < h.ordinal || last < 0 && h.offset > 0 || last >= 0 && h.offset < p.heads[last].offset {
			return l.corrupt("a block that does not fit")
		}
		end = h.end()
		p.heads, p.count, p.content = append(p.heads, h), p.count+int(h.count), p.content+h.bytes
	}
	length := in.uvarint()
	var err error
	if in.flag() {
		var kind byte
		if kind, p.codes, err = l.read(nil); err == nil && kind != sectionCodes {
			err = l.corrupt("a page without codes")
		}
	} else {
		p.codes = slices.Clone(in.bytes(length))
	}
	if err != nil || in.bad {
		return err
	}
	if heads == 0 || heads > pageBlocks || uint64(len(p.codes)) != length || length < uint64(p.heads[heads-1].offset) {
		return l.corrupt("a page that does not fit")
	}
	l.current.ids.pushPage(p)
	return nil
}

func (l *loader) readDead(in *input) error {
	ordinal, m := in.uvarint(), in.bitmap()
	x := &l.current.ids
	if x.full == nil {
		return l.corrupt("deleted ids without a block")
	}
	v := x.view()
	at := v.locate(ordinal)
	if v.isOpen(at) || v.head(at).ordinal != ordinal || m.count(int(v.head(at).count), blockSize) > 0 {
		return l.corrupt("deleted ids without a block")
	}
	for i := range int(v.head(at).count) {
		if m.has(i) {
			x.full.pages[at.page].kill(at.block, i)
		}
	}
	return nil
}

// dropFrom removes the blocks that begin at an ordinal or behind it.
func (x *index) dropFrom(ordinal uint64) {
	if x.full == nil {
		return
	}
	pages := x.full.pages
	for len(pages) > 0 && pages[len(pages)-1].first() >= ordinal {
		pages = pages[:len(pages)-1]
	}
	if n := len(pages); n > 0 && pages[n-1].end() > ordinal {
		p := pages[n-1]
		pages[n-1] = p.cut(0, sort.Search(len(p.heads), func(i int) bool { return p.heads[i].ordinal >= ordinal }), 0)
	}
	x.full.pages = pages
}

// pushPage appends blocks: to the last page, if they have room there.
func (x *index) pushPage(p *page) {
	if x.full == nil {
		x.full = &sealed{}
	}
	f := x.full
	if n := len(f.pages); n > 0 && len(f.pages[n-1].heads)+len(p.heads) <= pageBlocks {
		for i, h := range p.heads {
			x.push(h, p.codesOf(i), nil)
		}
		return
	}
	f.pages = append(f.pages, p)
	f.bytes += p.bytes()
}

// settle makes an index that was read whole: it counts the live ids, and gives up blocks before the first one. It returns false if
// the blocks do not fit to the ordinals.
func (x *index) settle() bool {
	if x.full != nil && len(x.full.pages) == 0 {
		x.full = nil
	}
	start := x.next - uint64(x.count)
	if f := x.full; f != nil && f.pages[len(f.pages)-1].end() > start || x.count > 0 && x.first > x.next {
		return false
	}
	if x.dead != nil && x.dead.count(int(x.count), blockSize) > 0 {
		return false
	}
	if x.full != nil {
		x.full.bytes, x.full.content = 0, 0
		for _, p := range x.full.pages {
			x.full.bytes += p.bytes()
		}
		x.eachKept(func(h *head) { x.full.content += h.bytes })
		if x.full.content > x.kept {
			return false
		}
	}
	v := x.view()
	v.dense = false
	x.live = v.rank(v.next)
	x.trimTo(x.nextLive(x.first))
	return true
}
