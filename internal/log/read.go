package log

import (
	"slices"
	"sort"
	"sync"
)

const (
	// maxWindow is how much of a file is read at once, but for a record that is larger.
	maxWindow = 256 << 10
	// maxSkipped is how many bytes between two extents are read rather than skipped: a call costs as much as copying them.
	maxSkipped = 8 << 10
	// minRead is as how many bytes a call counts that reads fewer.
	minRead = 4 << 10
	// extentsAtOnce is how many extents are looked up at once.
	extentsAtOnce = 256
)

// reading is one call of Pin.Read.
type reading struct {
	pin     *Pin
	f       func(payload []byte) bool
	done    bool // nothing more is wanted
	damages []error

	window   []byte
	extents  []extent
	payloads [][]byte // of an extent that is read from the end
}

// readings are those that have ended, for their memory.
var readings = sync.Pool{New: func() any { return new(reading) }}

func newReading(p *Pin, f func(payload []byte) bool) *reading {
	r, _ := readings.Get().(*reading)
	r.pin, r.f, r.done = p, f, p.first > p.last
	return r
}

// free ends a reading.
func (r *reading) free() {
	r.pin, r.f, r.damages = nil, nil, nil
	readings.Put(r)
}

// buffer returns a buffer of that size.
func (r *reading) buffer(size int64) []byte {
	if size > maxWindow {
		return make([]byte, size)
	}
	if int64(cap(r.window)) < size {
		r.window = make([]byte, size)
	}
	return r.window[:size]
}

// forward reads the entries in a segment.
func (r *reading) forward(s *segment) error {
	p := r.pin
	first, from := p.first, int64(0) // what has smaller ordinals, or is before that offset, was read
	for {
		x := p.log.growing(s)
		found, end, err := p.log.find(s, r.extents[:0], p.key, first, p.last, extentsAtOnce, false)
		if err != nil {
			return err
		}
		r.extents = found
		if err := r.readExtents(s, found, from, end, false); err != nil || r.done {
			return err
		}
		if n := len(found); n > 0 {
			last := found[n-1]
			if last.last >= p.last {
				r.done = true
				return nil
			}
			first, from = last.last+1, min(end, last.offset+last.length)
		}
		if len(found) == extentsAtOnce {
			continue
		}
		if x == nil {
			return nil
		}
		from = r.readUnindexed(s, max(from, end, segmentHeaderSize))
		if r.done || x.reach() <= from {
			return nil // else the writer has taken over what was to be read
		}
	}
}

// readUnindexed reads what the index of the segment does not have yet: all of it is in memory. It returns the end of it.
func (r *reading) readUnindexed(s *segment, from int64) int64 {
	for !r.done {
		c, b := r.pin.log.chunkAt(s, from)
		if c == nil {
			break
		}
		from += int64(len(b))
		walkChunk(b, func(_ int64, record Record) bool {
			wanted, isLast := r.wants(record)
			if wanted {
				r.emit(record.Payload)
			}
			r.done = r.done || isLast
			return !r.done
		})
		c.release()
	}
	return from
}

// wants reports whether a record has an entry that is pinned, and whether it has the last of them.
func (r *reading) wants(record Record) (wanted, isLast bool) {
	p := r.pin
	p.log.spansOf(record, func(s Span) {
		if last := s.First + uint64(s.Count) - 1; s.Key == p.key && s.Count > 0 && s.First <= p.last && last >= p.first { //nolint:gosec // positive
			wanted, isLast = true, isLast || last >= p.last
		}
	})
	return wanted, isLast
}

func (r *reading) emit(payload []byte) {
	if !r.done && !r.f(payload) {
		r.done = true
	}
}

// backward reads the entries in a segment from the last one on.
func (r *reading) backward(s *segment) error {
	p := r.pin
	last, limit := p.last, int64(maxOffset) // what is behind that offset was read
	for begun := false; !r.done; {
		x := p.log.growing(s)
		found, end, err := p.log.find(s, r.extents[:0], p.key, p.first, last, extentsAtOnce, true)
		if err != nil {
			return err
		}
		r.extents = found
		if !begun && x != nil {
			if !r.readUnindexedBack(s, x, max(end, segmentHeaderSize)) {
				continue // the writer has taken over what was to be read
			}
			limit = end
		}
		begun = true
		slices.Reverse(found)
		if err := r.readExtents(s, found, 0, limit, true); err != nil || r.done {
			return err
		}
		if len(found) > 0 && found[0].first <= p.first {
			r.done = true
		}
		if len(found) < extentsAtOnce {
			return nil
		}
		last = found[0].first - 1
	}
	return nil
}

// readUnindexedBack is readUnindexed from the last record on. It reads nothing, and returns false, if not all of it is there any more.
func (r *reading) readUnindexedBack(s *segment, x *index, from int64) bool {
	type unindexed struct {
		chunk *chunk
		bytes []byte
	}
	var pieces []unindexed
	defer func() {
		for _, p := range pieces {
			p.chunk.release()
		}
	}()
	for {
		c, b := r.pin.log.chunkAt(s, from)
		if c == nil {
			break
		}
		pieces = append(pieces, unindexed{c, b})
		from += int64(len(b))
	}
	if x.reach() > from {
		return false
	}
	for _, p := range slices.Backward(pieces) {
		r.payloads = r.payloads[:0]
		walkChunk(p.bytes, func(_ int64, record Record) bool {
			if wanted, _ := r.wants(record); wanted {
				r.payloads = append(r.payloads, record.Payload)
			}
			return true
		})
		r.emitBack()
	}
	return true
}

func (r *reading) emitBack() {
	for _, payload := range slices.Backward(r.payloads) {
		r.emit(payload)
	}
	clear(r.payloads) // no chunk is kept alive from here
}

// readExtents reads the records of extents between two offsets. The older ones are in the file, the newer ones in memory.
func (r *reading) readExtents(s *segment, found []extent, from, limit int64, back bool) error {
	inFile := r.countInFile(s, found)
	if !back {
		for i := 0; i < inFile && !r.done; {
			n := group(found[i:inFile], maxWindow)
			if err := r.readFile(s, found[i:i+n], from, limit, false); err != nil {
				return err
			}
			i += n
		}
		for _, e := range found[inFile:] {
			if err := r.readMemory(s, e, from, limit, false); err != nil || r.done {
				return err
			}
		}
		return nil
	}
	for _, e := range slices.Backward(found[inFile:]) {
		if err := r.readMemory(s, e, from, limit, true); err != nil || r.done {
			return err
		}
	}
	for i := inFile; i > 0 && !r.done; {
		n := groupBack(found[:i], maxWindow)
		if err := r.readFile(s, found[i-n:i], from, limit, true); err != nil {
			return err
		}
		i -= n
	}
	return nil
}

// countInFile returns how many of the extents, which ascend, are no longer in memory.
func (r *reading) countInFile(s *segment, found []extent) int {
	inMemory := func(i int) bool {
		c, _ := r.pin.log.chunkAt(s, found[i].offset)
		if c == nil {
			return false
		}
		c.release()
		return true
	}
	if n := len(found); n == 0 || !inMemory(n-1) {
		return n
	}
	return sort.Search(len(found)-1, inMemory)
}

// group returns how many of the extents are read by one call.
func group(extents []extent, most int64) int {
	start, end := extents[0].offset, extents[0].offset+extents[0].length
	for i, e := range extents[1:] {
		if e.offset-end > maxSkipped || e.offset+e.length-start > most {
			return i + 1
		}
		end = e.offset + e.length
	}
	return len(extents)
}

// groupBack is group for the last ones.
func groupBack(extents []extent, most int64) int {
	last := len(extents) - 1
	start, end := extents[last].offset, extents[last].offset+extents[last].length
	for i := last - 1; i >= 0; i-- {
		e := extents[i]
		if start-e.offset-e.length > maxSkipped || end-e.offset > most {
			return last - i
		}
		start = e.offset
	}
	return len(extents)
}

// readFile reads extents that lie close together.
func (r *reading) readFile(s *segment, extents []extent, from, limit int64, back bool) error {
	last := extents[len(extents)-1]
	start := extents[0].offset
	b := r.buffer(last.offset + last.length - start)
	if _, err := s.file().ReadAt(b, start); err != nil {
		return err
	}
	wanted := int64(0)
	for _, e := range extents {
		wanted += e.length
	}
	r.pin.log.countPassed(s, max(int64(len(b)), minRead)-wanted)
	if back {
		slices.Reverse(extents)
		defer slices.Reverse(extents)
	}
	for _, e := range extents {
		r.readBytes(s, b[e.offset-start:][:e.length], e.offset, from, limit, back)
		if r.done {
			break
		}
	}
	return nil
}

// readMemory reads an extent from chunks: from several, if it has several records.
func (r *reading) readMemory(s *segment, e extent, from, limit int64, back bool) error {
	c, b := r.pin.log.chunkAt(s, e.offset)
	if c == nil || int64(len(b)) < e.length {
		if c != nil {
			c.release()
		}
		return r.readPieces(s, e, from, limit, back)
	}
	defer c.release()
	r.payloads = r.payloads[:0]
	walkChunk(b[:e.length], func(i int64, record Record) bool {
		return r.pass(record, e.offset+i, from, limit, back)
	})
	if back {
		r.emitBack()
	}
	return nil
}

// pass passes a record on, which stands at an offset of the segment, and reports whether more are wanted. From the end they are kept.
func (r *reading) pass(record Record, at, from, limit int64, back bool) bool {
	switch {
	case at < from:
	case at >= limit:
		return false
	case back:
		r.payloads = append(r.payloads, record.Payload)
	default:
		r.emit(record.Payload)
	}
	return !r.done
}

// readPieces reads an extent that lies in two chunks, or that has left memory meanwhile.
func (r *reading) readPieces(s *segment, e extent, from, limit int64, back bool) error {
	b := make([]byte, 0, e.length)
	for int64(len(b)) < e.length {
		at := e.offset + int64(len(b))
		c, piece := r.pin.log.chunkAt(s, at)
		if c == nil {
			n, err := s.file().ReadAt(b[len(b):cap(b)], at)
			if err != nil {
				return err
			}
			b = b[:len(b)+n]
			break
		}
		b = append(b, piece[:min(int64(len(piece)), e.length-int64(len(b)))]...)
		c.release()
	}
	r.readBytes(s, b, e.offset, from, limit, back)
	return nil
}

// readBytes passes the records in b on, which stands at offset at of the segment.
func (r *reading) readBytes(s *segment, b []byte, at, from, limit int64, back bool) {
	r.payloads = r.payloads[:0]
	walk(b, s.salt, func(i int64, record Record) bool {
		return r.pass(record, at+i, from, limit, back)
	}, func(i int64, lost Record) {
		if at+i >= from && at+i < limit {
			r.damages = append(r.damages, &Damage{File: s.name(), Offset: at + i, First: lost.Number, Last: lost.Number})
		}
	})
	if back {
		r.emitBack()
	}
}

// walkChunk calls f for each record in bytes of a chunk, with its offset there, until f returns false. They were encoded here and never
// change, so nothing is summed again: that took a tenth of the time of a read.
func walkChunk(b []byte, f func(at int64, r Record) bool) {
	for at := 0; at < len(b); {
		r, size := decodeRecord(b[at:])
		if !f(int64(at), r) {
			return
		}
		at += size
	}
}

// walk calls f for each record in b, with its offset there, until f returns false. One that is not whole is passed to broken, if that is
// not nil, with what is known of it; the search goes on behind it.
func walk(b []byte, salt uint32, f func(at int64, r Record) bool, broken func(at int64, r Record)) {
	for at := 0; at < len(b); {
		r, size, err := parseRecord(b[at:], salt)
		if err == nil {
			if !f(int64(at), r) {
				return
			}
			at += size
			continue
		}
		r, length, whole := parseHeader(b[at:], salt)
		if broken != nil {
			broken(int64(at), r)
		}
		if whole && length <= len(b)-at-headerSize {
			at += headerSize + length
			continue
		}
		for at++; at < len(b); at++ {
			if _, length, whole := parseHeader(b[at:], salt); whole && length <= len(b)-at-headerSize {
				break
			}
		}
	}
}
