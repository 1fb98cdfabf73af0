package log

import (
	"encoding/binary"
	"errors"
	"math"
)

const (
	// maxExtent bounds an extent of several records: a reader of one entry reads that much for it.
	maxExtent = 4 << 10
	// maxOffset bounds offsets and lengths, so that sums of them do not overflow.
	maxOffset = 1 << 48
)

// errIndex is the error of an index that is not whole. It is made again from the records.
var errIndex = errors.New("the index of the segment is not whole")

// extent is a piece of a segment: whole records that follow each other. Each of them holds entries of the stream with that
// key, and the ordinals of these lie between first and last.
type extent struct {
	key            uint64
	first, last    uint64
	offset, length int64
}

// isBefore reports whether e stands before an extent of key that begins with first.
func (e extent) isBefore(key, first uint64) bool {
	return e.key < key || e.key == key && e.first < first
}

// joins reports whether next, which stands behind e, is better kept as a part of e: it is in a record of e, or the next
// record with the next entry.
func (e extent) joins(next extent) bool {
	if next.key != e.key {
		return false
	}
	end := e.offset + e.length
	return next.offset >= e.offset && next.offset < end ||
		next.offset == end && next.first == e.last+1 && e.length+next.length <= maxExtent
}

// join makes next a part of e.
func (e *extent) join(next extent) {
	e.last = max(e.last, next.last)
	e.length = max(e.length, next.offset-e.offset+next.length)
}

// The flags of an extent's code, beside the distance from the end of the extent before it: a new key, and then the offset
// is whole; ordinals that are left out; more than one ordinal.
const (
	flagKey = 1 << iota
	flagSkip
	flagMany
	flagBits = iota
)

// appendExtent encodes e behind before. The first extent of a block has the zero extent before it, and a new key.
func appendExtent(b []byte, e, before extent, newKey bool) []byte {
	var flags uint64
	if e.last > e.first {
		flags = flagMany
	}
	skipped := e.first - before.last - 1
	switch {
	case newKey:
		b = binary.AppendUvarint(b, uint64(e.offset)<<flagBits|flags|flagKey) //nolint:gosec // an offset
		b = binary.AppendUvarint(b, e.key-before.key)
		b = binary.AppendUvarint(b, e.first)
	default:
		if skipped > 0 {
			flags |= flagSkip
		}
		b = binary.AppendUvarint(b, uint64(e.offset-before.offset-before.length)<<flagBits|flags) //nolint:gosec // it is behind before
		if skipped > 0 {
			b = binary.AppendUvarint(b, skipped)
		}
	}
	b = binary.AppendUvarint(b, uint64(e.length)) //nolint:gosec // a length
	if flags&flagMany != 0 {
		b = binary.AppendUvarint(b, e.last-e.first)
	}
	return b
}

// decoder goes over the extents of a block.
type decoder struct {
	rest   []byte
	extent extent
	begun  bool
	err    error
}

// next decodes an extent, and returns false at the end and for a block that is not whole.
func (d *decoder) next() bool {
	if len(d.rest) == 0 || d.err != nil {
		return false
	}
	before := d.extent
	code := d.number()
	flags, distance := code&(1<<flagBits-1), code>>flagBits
	e := extent{key: before.key}
	var start uint64
	var ok bool
	if flags&flagKey != 0 {
		e.key += d.number()
		e.first = d.number()
		ok = e.key > before.key || !d.begun
	} else {
		start = uint64(before.offset + before.length) //nolint:gosec // no more than maxOffset
		e.first = before.last + 1
		if flags&flagSkip != 0 {
			e.first += d.number()
		}
		ok = d.begun && e.first > before.last
	}
	length := d.number()
	e.last = e.first
	if flags&flagMany != 0 {
		e.last += d.number()
	}
	if !ok || d.err != nil || e.last < e.first || distance > maxOffset || length == 0 || length > maxOffset || start+distance+length > maxOffset {
		d.err = errIndex
		return false
	}
	e.offset, e.length = int64(start+distance), int64(length) //nolint:gosec // no more than maxOffset
	d.extent, d.begun = e, true
	return true
}

func (d *decoder) number() uint64 {
	n, width := binary.Uvarint(d.rest)
	if width <= 0 {
		d.err = errIndex
		return math.MaxUint64
	}
	d.rest = d.rest[width:]
	return n
}
