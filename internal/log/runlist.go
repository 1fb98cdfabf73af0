package log

import (
	"encoding/binary"
	"hash/crc32"
	"slices"
	"sort"
)

// run is frames that follow each other, in the content and in the file: at most frameSize bytes of content, so that the list of a file is short
// however small the frames are.
type run struct {
	offset, end int64 // in the content; what its frames have beyond the end was cut
	from, to    int64 // in the file
}

// runList is where the content of a file is, in its order. Gaps between them were lost, or are filled later.
type runList struct {
	list   []run
	frames int // how many there are, about
}

// end is the offset behind the content.
func (r *runList) end() int64 {
	if n := len(r.list); n > 0 {
		return r.list[n-1].end
	}
	return 0
}

// add enters a frame that stands at an offset of the file. What the content had at its offset and behind was cut, unless the frame fills a
// gap.
func (r *runList) add(h *frameHeader, at int64) {
	if h.kind&frameFill != 0 {
		r.fill(run{h.offset, h.end(), at, at + int64(h.size()+h.stored)})
		return
	}
	isCut := h.offset < r.end() // then what was there before must not show, also if this frame turns out to be broken
	r.cut(h.offset)
	if h.length == 0 {
		return
	}
	r.frames++
	to := at + int64(h.size()+h.stored)
	if n := len(r.list); n > 0 && !isCut {
		if last := &r.list[n-1]; last.end == h.offset && last.to == at && h.end()-last.offset <= frameSize {
			last.end, last.to = h.end(), to
			return
		}
	}
	r.list = append(r.list, run{h.offset, h.end(), at, to})
}

// fill enters a run in a gap. One that does not fit is left out.
func (r *runList) fill(x run) {
	if i := r.search(x.offset); i == len(r.list) || r.list[i].offset >= x.end {
		r.list = slices.Insert(r.list, i, x)
	}
}

// search returns the first run that ends behind an offset.
func (r *runList) search(offset int64) int {
	return sort.Search(len(r.list), func(i int) bool { return r.list[i].end > offset })
}

// cut ends the content at an offset.
func (r *runList) cut(offset int64) {
	n := len(r.list)
	for n > 0 && r.list[n-1].offset >= offset {
		n--
	}
	r.list = r.list[:n]
	if n > 0 {
		r.list[n-1].end = min(r.list[n-1].end, offset)
	}
}

// tableEnd is what a table ends with: magic, the offset of its frame in the file, a sum of the table and of this.
const (
	tableEnd      = 8 + 8 + 4
	tableEndMagic = "conchfre"
)

// appendTable encodes the runs as a frame that stands at an offset of the file, which ends with it.
func (r *runList) appendTable(b []byte, at int64, seed uint32) []byte {
	start := len(b)
	b = append(b, make([]byte, frameHeaderSize)...)
	b = binary.AppendUvarint(b, uint64(r.frames))    //nolint:gosec // a count
	b = binary.AppendUvarint(b, uint64(len(r.list))) //nolint:gosec // the same
	before := run{}
	for _, x := range r.list {
		for _, n := range []int64{x.offset - before.end, x.end - x.offset, x.from - before.to, x.to - x.from} {
			b = binary.AppendVarint(b, n)
		}
		before = x
	}
	b = append(b, tableEndMagic...)
	b = binary.LittleEndian.AppendUint64(b, uint64(at)) //nolint:gosec // an offset
	b = binary.LittleEndian.AppendUint32(b, crc32.Update(seed, castagnoli, b[start+frameHeaderSize:]))
	h := frameHeader{stored: len(b) - start - frameHeaderSize, kind: frameTable, offset: r.end()}
	h.put(b[start:], seed)
	return b
}

// parseTable reads what stands behind the header of such a frame.
func parseTable(b []byte, seed uint32) (r runList, whole bool) {
	n := len(b) - tableEnd
	if n < 0 || string(b[n:n+8]) != tableEndMagic || crc32.Update(seed, castagnoli, b[:len(b)-4]) != binary.LittleEndian.Uint32(b[len(b)-4:]) {
		return r, false
	}
	b = b[:n]
	frames, width := binary.Uvarint(b)
	count, more := binary.Uvarint(b[max(0, width):])
	if width <= 0 || more <= 0 || count > uint64(len(b)) {
		return r, false
	}
	b = b[width+more:]
	r.frames, r.list = int(frames), make([]run, 0, count) //nolint:gosec // a count
	before := run{}
	for range count {
		var numbers [4]int64
		for i := range numbers {
			n, width := binary.Varint(b)
			if width <= 0 {
				return runList{}, false
			}
			numbers[i], b = n, b[width:]
		}
		x := run{offset: before.end + numbers[0], from: before.to + numbers[2]}
		x.end, x.to = x.offset+numbers[1], x.from+numbers[3]
		if x.offset < before.end || x.end <= x.offset || x.end-x.offset > frameSize || x.from < 0 || x.to <= x.from || x.to > maxOffset {
			return runList{}, false
		}
		r.list, before = append(r.list, x), x
	}
	return r, len(b) == 0
}
