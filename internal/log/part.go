package log

import (
	"encoding/binary"
	"hash/crc32"
	"io"
	"slices"
	"sort"
	"sync"
)

// part is an index that does not change: extents in the order of keys and ordinals, in blocks of about blockSize bytes. Of
// each block the first extent is in memory. The blocks are too, or they stand in a file and are read when they are needed.
type part struct {
	blocks  []block
	lastKey uint64
	data    []byte
	file    io.ReaderAt // nil: data has the blocks
	at      int64
}

// block is the first extent of a block, its end among all blocks, and its sum.
type block struct {
	key, first uint64
	end, sum   uint32
}

// In a file a part is its blocks, the table of them, and a trailer: magic, the length of all blocks, the last key, the number
// of blocks, and the sum of the table and of the trailer to here.
const (
	blockSize       = 2 << 10
	tableRow        = 24
	partTrailerSize = 32
	partMagic       = "conchix1"
)

// size is the memory that it takes.
func (p *part) bytes() int { return cap(p.blocks)*tableRow + cap(p.data) }

// blockBuffers are for blocks that are read from files.
var blockBuffers = sync.Pool{New: func() any { return new([2 * blockSize]byte) }}

// read returns the bytes of a block. Those from a file are read into buf, and checked.
func (p *part) read(i int, buf []byte) ([]byte, error) {
	start, end := uint32(0), p.blocks[i].end
	if i > 0 {
		start = p.blocks[i-1].end
	}
	if p.file == nil {
		return p.data[start:end], nil
	}
	b := slices.Grow(buf[:0], int(end-start))[:end-start]
	if _, err := p.file.ReadAt(b, p.at+int64(start)); err != nil {
		return nil, err
	}
	if crc32.Checksum(b, castagnoli) != p.blocks[i].sum {
		return nil, errIndex
	}
	return b, nil
}

// load takes all blocks into memory.
func (p *part) load() error {
	if len(p.blocks) == 0 {
		p.file = nil
		return nil
	}
	data := make([]byte, 0, p.blocks[len(p.blocks)-1].end)
	for i := range p.blocks {
		b, err := p.read(i, data[len(data):])
		if err != nil {
			return err
		}
		data = data[:len(data)+len(b)] // b is a part of it
	}
	p.data, p.file = data, nil
	return nil
}

// seek returns the last block that begins at or before that ordinal of key; the first one if none does.
func (p *part) seek(key, ordinal uint64) int {
	behind := sort.Search(len(p.blocks), func(i int) bool {
		b := p.blocks[i]
		return b.key > key || b.key == key && b.first > ordinal
	})
	return max(0, behind-1)
}

// find appends the extents with ordinals from first to last of key, in order, until dst has most of them.
func (p *part) find(dst []extent, key, first, last uint64, most int) ([]extent, error) {
	if key > p.lastKey {
		return dst, nil
	}
	buf, _ := blockBuffers.Get().(*[2 * blockSize]byte)
	defer blockBuffers.Put(buf)
	for i := p.seek(key, first); i < len(p.blocks) && len(dst) < most; i++ {
		if b := p.blocks[i]; b.key > key || b.key == key && b.first > last {
			break
		}
		var err error
		if dst, err = p.findIn(i, dst, key, first, last, most, buf[:]); err != nil {
			return dst, err
		}
	}
	return dst, nil
}

// findBack is find from the last extent to the first.
func (p *part) findBack(dst []extent, key, first, last uint64, most int) ([]extent, error) {
	if key > p.lastKey {
		return dst, nil
	}
	buf, _ := blockBuffers.Get().(*[2 * blockSize]byte)
	defer blockBuffers.Put(buf)
	var found []extent
	for i := p.seek(key, last); i >= 0 && i < len(p.blocks) && len(dst) < most; i-- {
		var err error
		if found, err = p.findIn(i, found[:0], key, first, last, int(^uint(0)>>1), buf[:]); err != nil {
			return dst, err
		}
		slices.Reverse(found)
		dst = append(dst, found[:min(len(found), most-len(dst))]...)
		if b := p.blocks[i]; b.key < key || b.key == key && b.first <= first {
			break
		}
	}
	return dst, nil
}

// findIn is find within one block.
func (p *part) findIn(i int, dst []extent, key, first, last uint64, most int, buf []byte) ([]extent, error) {
	b, err := p.read(i, buf)
	if err != nil {
		return dst, err
	}
	d := decoder{rest: b}
	for len(dst) < most && d.next() {
		e := d.extent
		if e.key > key || e.key == key && e.first > last {
			break
		}
		if e.key == key && e.last >= first {
			dst = append(dst, e)
		}
	}
	return dst, d.err
}

// appendTo encodes the part for a file.
func (p *part) appendTo(b []byte) []byte {
	b = append(b, p.data...)
	start := len(b)
	for _, row := range p.blocks {
		b = binary.LittleEndian.AppendUint64(b, row.key)
		b = binary.LittleEndian.AppendUint64(b, row.first)
		b = binary.LittleEndian.AppendUint32(b, row.end)
		b = binary.LittleEndian.AppendUint32(b, row.sum)
	}
	b = append(b, partMagic...)
	b = binary.LittleEndian.AppendUint64(b, uint64(len(p.data)))
	b = binary.LittleEndian.AppendUint64(b, p.lastKey)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(p.blocks))) //nolint:gosec // blocks of 2 KiB within 4 GiB
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

// openPart reads the table of a part that ends at end in a file. All before start is something else.
func openPart(file io.ReaderAt, start, end int64) (*part, error) {
	var trailer [partTrailerSize]byte
	if end-start < partTrailerSize {
		return nil, errIndex
	}
	if _, err := file.ReadAt(trailer[:], end-partTrailerSize); err != nil {
		return nil, err
	}
	length := binary.LittleEndian.Uint64(trailer[8:])
	count := int64(binary.LittleEndian.Uint32(trailer[24:]))
	room := end - start - partTrailerSize - count*tableRow
	if string(trailer[:8]) != partMagic || room < 0 || length != uint64(room) {
		return nil, errIndex
	}
	table := make([]byte, count*tableRow)
	if _, err := file.ReadAt(table, start+room); err != nil {
		return nil, err
	}
	sum := crc32.Update(crc32.Checksum(table, castagnoli), castagnoli, trailer[:28])
	if sum != binary.LittleEndian.Uint32(trailer[28:]) {
		return nil, errIndex
	}
	p := &part{file: file, at: start, blocks: make([]block, count), lastKey: binary.LittleEndian.Uint64(trailer[16:])}
	return p, p.parseTable(table, length)
}

// parseTable takes over the rows of a table, and checks that they ascend and end with the blocks.
func (p *part) parseTable(table []byte, length uint64) error {
	before := block{}
	for i := range p.blocks {
		row := table[i*tableRow:]
		b := block{
			binary.LittleEndian.Uint64(row), binary.LittleEndian.Uint64(row[8:]),
			binary.LittleEndian.Uint32(row[16:]), binary.LittleEndian.Uint32(row[20:]),
		}
		if b.end <= before.end || i > 0 && (b.key < before.key || b.key == before.key && b.first <= before.first) {
			return errIndex
		}
		p.blocks[i], before = b, b
	}
	if uint64(before.end) != length {
		return errIndex
	}
	return nil
}

// partWriter makes a part of extents that come in order.
type partWriter struct {
	part    part
	start   int    // of the last block
	pending extent // the last one, which the next may be a part of
	before  extent // the one in front of it
}

// add takes the next extent. Of one key, ordinals and offsets ascend; what does not is left out, as it could not be found.
func (w *partWriter) add(e extent) {
	if last := w.pending; last.length > 0 && last.key == e.key {
		if last.joins(e) {
			w.pending.join(e)
			return
		}
		if e.first <= last.last || e.offset < last.offset+last.length {
			return
		}
	}
	w.put()
	w.pending = e
}

// put encodes the pending extent.
func (w *partWriter) put() {
	e := w.pending
	if e.length == 0 {
		return
	}
	if len(w.part.data)-w.start >= blockSize {
		w.endBlock()
	}
	newKey := e.key != w.before.key
	if len(w.part.data) == w.start {
		w.part.blocks = append(w.part.blocks, block{key: e.key, first: e.first})
		w.before, newKey = extent{}, true
	}
	w.part.data = appendExtent(w.part.data, e, w.before, newKey)
	w.before = e
}

func (w *partWriter) endBlock() {
	if len(w.part.data) == w.start {
		return
	}
	last := &w.part.blocks[len(w.part.blocks)-1]
	last.end = uint32(len(w.part.data)) //nolint:gosec // an index is smaller than its segment
	last.sum = crc32.Checksum(w.part.data[w.start:], castagnoli)
	w.start = len(w.part.data)
}

// finish returns the part.
func (w *partWriter) finish() *part {
	w.put()
	w.endBlock()
	w.part.lastKey = w.pending.key
	w.part.data, w.part.blocks = slices.Clip(w.part.data), slices.Clip(w.part.blocks)
	return &w.part
}

// cursor goes over all extents of a part.
type cursor struct {
	part *part
	next int // block
	d    decoder
	buf  []byte
	err  error
}

// advance reports whether there is one more extent, which is d.extent then.
func (c *cursor) advance() bool {
	for c.err == nil && !c.d.next() {
		if c.err = c.d.err; c.err != nil || c.next == len(c.part.blocks) {
			return false
		}
		var b []byte
		if b, c.err = c.part.read(c.next, c.buf); c.err == nil {
			c.d, c.next = decoder{rest: b}, c.next+1
			c.buf = b[:0:cap(b)]
		}
	}
	return c.err == nil
}

// head is the extent at which a cursor stands.
type head struct {
	key, first uint64
	cursor     int
}

// heads is a heap of them: the first in order is at the front.
type heads []head

func (h heads) isBefore(i, j int) bool {
	a, b := h[i], h[j]
	return a.key < b.key || a.key == b.key && (a.first < b.first || a.first == b.first && a.cursor < b.cursor)
}

// down moves the head at i to where it belongs, among those below it.
func (h heads) down(i int) {
	for {
		least := 2*i + 1
		if least >= len(h) {
			return
		}
		if least+1 < len(h) && h.isBefore(least+1, least) {
			least++
		}
		if !h.isBefore(least, i) {
			return
		}
		h[i], h[least] = h[least], h[i]
		i = least
	}
}

// mergeParts calls f for the extents of all parts, in order, with the number of the part. A false result ends it.
func mergeParts(parts []*part, f func(i int, e extent) bool) error {
	cursors := make([]cursor, len(parts))
	var h heads
	for i, p := range parts {
		c := &cursors[i]
		c.part = p
		if c.advance() {
			h = append(h, head{c.d.extent.key, c.d.extent.first, i})
		} else if c.err != nil {
			return c.err
		}
	}
	for i := len(h) / 2; i >= 0; i-- {
		h.down(i)
	}
	for len(h) > 0 {
		c := &cursors[h[0].cursor]
		if !f(h[0].cursor, c.d.extent) {
			return nil
		}
		if c.advance() {
			h[0].key, h[0].first = c.d.extent.key, c.d.extent.first
		} else if c.err != nil {
			return c.err
		} else {
			h[0] = h[len(h)-1]
			h = h[:len(h)-1]
		}
		h.down(0)
	}
	return nil
}

// joinParts makes one part of several.
func joinParts(parts []*part) (*part, error) {
	var w partWriter
	err := mergeParts(parts, func(_ int, e extent) bool {
		w.add(e)
		return true
	})
	return w.finish(), err
}
