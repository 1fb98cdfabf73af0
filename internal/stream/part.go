package stream

import (
	"encoding/binary"
	"hash/crc32"
	"io"
)

// A checkpoint is a sequence of sections: the length, a CRC32C and the kind, and the content. Items, one behind the other, are the
// content of most; the codes of a page of some size have a section of their own, so that opening reads them to their place.
const (
	sectionHead = 9

	sectionItems byte = 1
	sectionCodes byte = 2

	itemHead     byte = 1 // the state but for streams; the first item
	itemRemoved  byte = 2 // numbers of streams that are gone
	itemStream   byte = 3
	itemPage     byte = 4 // of the stream before it
	itemDead     byte = 5 // deleted ids of a block
	itemProducer byte = 6
	itemEnd      byte = 7  // the last one
	itemRules    byte = 8  // of retention
	itemDurable  byte = 9  // which topics are durable
	itemGroup    byte = 10 // of the stream before it
	itemConsumer byte = 11 // of the group before it
	itemPending  byte = 12 // of the group before it, behind its consumers
	itemCursor   byte = 13 // of a subscriber
	itemSource   byte = 14 // how far a source has read

	itemHeldCursor byte = 15 // a cursor that a connection of a node moves

	checkpointVersion = 4

	sectionSize = 256 << 10 // at which a section of items ends
	ownCodes    = 4 << 10   // from which on codes have their own section
	removedSize = 10_000    // numbers in an item
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Part is some streams of a checkpoint. It does not change: any goroutine may write it.
type Part struct {
	head  *checkpointHead // of the first part
	small sections        // streams that are bytes already
	large []*frozen
	last  bool
	count uint64 // of all streams, in the last part
}

// WriteTo writes the part. All parts in their order are the checkpoint.
func (p *Part) WriteTo(w io.Writer) (int64, error) {
	out := &sections{w: w}
	if p.head != nil {
		out.item(itemHead, sectionSize)
		p.head.write(out)
	}
	out.flush()
	for _, b := range append(p.small.full, p.small.b) {
		out.b = b
		out.flush()
	}
	for _, f := range p.large {
		f.write(out)
	}
	if p.last {
		out.item(itemEnd, sectionSize)
		out.b = binary.AppendUvarint(out.b, p.count)
	}
	out.flush()
	return out.written, out.err
}

// sections makes sections of items, and writes them. The first error stays.
type sections struct {
	w       io.Writer // nil: full ones are kept
	b       []byte    // the section of items, with room for its head
	full    [][]byte
	written int64
	err     error
}

// item begins an item, and a section if the one before has that size.
func (s *sections) item(kind byte, size int) {
	if len(s.b) >= size {
		s.flush()
	}
	if len(s.b) == 0 {
		s.b = append(s.b, make([]byte, sectionHead)...)
	}
	s.b = append(s.b, kind)
}

// flush writes the section of items.
func (s *sections) flush() {
	if len(s.b) == 0 {
		return
	}
	if s.w == nil {
		s.full, s.b = append(s.full, s.b), make([]byte, 0, cap(s.b))
		return
	}
	fillHead(s.b, sectionItems, s.b[sectionHead:])
	s.write(s.b)
	s.b = s.b[:0]
}

func (s *sections) codes(codes []byte) {
	s.flush()
	var head [sectionHead]byte
	fillHead(head[:], sectionCodes, codes)
	s.write(head[:])
	s.write(codes)
}

func fillHead(head []byte, kind byte, content []byte) {
	binary.LittleEndian.PutUint32(head, uint32(len(content)))
	head[8] = kind
	binary.LittleEndian.PutUint32(head[4:], crc32.Update(crc32.Checksum(head[8:9], castagnoli), castagnoli, content))
}

func (s *sections) write(b []byte) {
	if s.err != nil {
		return
	}
	n, err := s.w.Write(b)
	s.written += int64(n)
	s.err = err
}

func (h *checkpointHead) write(out *sections) {
	b := append(out.b, checkpointVersion, boolByte(h.base))
	for _, n := range []uint64{h.sequence, uint64(h.time), h.next, uint64(h.duration), uint64(h.maxSize), h.flushed, uint64(h.given)} {
		b = binary.AppendUvarint(b, n)
	}
	out.b = b
	out.item(itemRules, sectionSize)
	b = appendRules(out.b, h.rules)
	out.b = binary.AppendUvarint(binary.AppendUvarint(b, h.sweep.from), h.sweep.end)
	h.writeCursors(out)
	h.writeSourcePositions(out)
	out.item(itemDurable, sectionSize)
	out.b = appendText(out.b, h.durable.String())
	for removed := h.removed; len(removed) > 0; {
		n := min(removedSize, len(removed))
		out.item(itemRemoved, sectionSize)
		out.b = binary.AppendUvarint(out.b, uint64(n))
		for _, number := range removed[:n] {
			out.b = binary.AppendUvarint(out.b, number)
		}
		removed = removed[n:]
	}
}

func boolByte(on bool) byte {
	if on {
		return 1
	}
	return 0
}

func (f *frozen) write(out *sections) {
	out.item(itemStream, sectionSize)
	out.b = f.stream.appendTo(out.b, &f.ids, f.from)
	if w := f.stream.window; w != nil {
		for _, n := range []uint64{w.added, w.duplicates, uint64(f.due)} {
			out.b = binary.AppendUvarint(out.b, n)
		}
	}
	f.writeBlocks(out)
	for i := range f.producers {
		f.producers[i].write(out)
	}
	for i := range f.groups {
		f.groups[i].write(out)
	}
}

// appendTo appends the item of a stream, but for the counters of its window. The item has the open block.
func (st *Stream) appendTo(b []byte, v *view, from uint64) []byte {
	b = appendText(binary.AppendUvarint(b, st.number), st.name)
	b = appendID(appendID(b, st.last), st.maxDeleted)
	expiry := int64(0)
	if st.expiry != nil {
		expiry = st.expiry.at
	}
	for _, n := range [...]uint64{st.EntriesAdded(), uint64(st.duration), uint64(st.maxSize), uint64(expiry), st.fence, st.trimmed, v.first, v.next, from, st.ids.kept} {
		b = binary.AppendUvarint(b, n)
	}
	b = appendID(binary.AppendUvarint(b, uint64(v.tail.count)), v.tail.first)
	b = appendText(binary.AppendUvarint(b, uint64(v.tailRun)), v.tailCodes)
	if b = append(b, boolByte(v.tailDead != nil)); v.tailDead != nil {
		b = appendBitmap(b, v.tailDead)
	}
	next := uint64(0)
	if st.groups != nil {
		next = st.groups.next
	}
	return append(binary.AppendUvarint(b, next), boolByte(st.window != nil))
}

// writeBlocks writes the blocks that are not in an earlier checkpoint, and what was deleted from those that are.
func (f *frozen) writeBlocks(out *sections) {
	v := &f.ids
	for _, i := range f.dead {
		p := v.pageAt(int(i))
		for block, n := range p.dead.in[:len(p.heads)] {
			if h := &p.heads[block]; n > 0 && h.ordinal < f.from && h.end() > v.first { // others may be gone where it is read
				m := p.dead.block(block)
				out.item(itemDead, sectionSize)
				out.b = appendBitmap(binary.AppendUvarint(out.b, p.heads[block].ordinal), &m)
			}
		}
	}
	for i := range len(v.pages) + 1 {
		p := v.pageAt(i)
		if len(p.heads) == 0 || p.end() <= f.from {
			continue
		}
		if p.first() < f.from {
			p = p.cut(blocksBefore(p.heads, f.from), len(p.heads), 0)
		}
		p.write(out)
	}
}

func (p *page) write(out *sections) {
	out.item(itemPage, sectionSize)
	b := binary.AppendUvarint(out.b, uint64(len(p.heads)))
	for i := range p.heads {
		h := &p.heads[i]
		b = binary.LittleEndian.AppendUint64(b, h.first.Ms)
		b = binary.LittleEndian.AppendUint64(b, h.first.Seq)
		b = binary.LittleEndian.AppendUint64(b, h.ordinal)
		b = binary.LittleEndian.AppendUint32(b, h.offset)
		b = binary.LittleEndian.AppendUint32(b, h.count)
		b = binary.LittleEndian.AppendUint64(b, h.bytes)
	}
	own := len(p.codes) >= ownCodes
	b = append(binary.AppendUvarint(b, uint64(len(p.codes))), boolByte(own))
	if !own {
		b = append(b, p.codes...)
	}
	if out.b = b; own {
		out.codes(p.codes)
	}
	if p.dead == nil {
		return
	}
	for block, n := range p.dead.in[:len(p.heads)] {
		if n > 0 {
			m := p.dead.block(block)
			out.item(itemDead, sectionSize)
			out.b = appendBitmap(binary.AppendUvarint(out.b, p.heads[block].ordinal), &m)
		}
	}
}

func (p *frozenProducer) write(out *sections) {
	out.item(itemProducer, sectionSize)
	b := binary.AppendUvarint(append(out.b, p.id[:]...), uint64(len(p.queue)))
	for i := range p.queue {
		t := &p.queue[i]
		b = binary.AppendUvarint(appendID(append(b, t.message[:]...), t.id), uint64(t.at))
	}
	out.b = b
}

func appendBitmap(b []byte, m *bitmap) []byte {
	for _, word := range m {
		b = binary.LittleEndian.AppendUint64(b, word)
	}
	return b
}
