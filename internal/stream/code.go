package stream

import (
	"encoding/binary"
	"math/bits"
)

// A block holds its first id whole. Each other one is a code, relative to the id before it:
//
//	v&1 == 0   v>>1 milliseconds later, with number 0
//	v&3 == 1   v>>2 ids, each one number higher than the one before
//	v&7 == 3   v>>3 milliseconds later; a second varint has the number, or how much higher it is within the same millisecond
//	v == 7     eight bytes of milliseconds later, and the number as a varint
//
// v is a varint. The first code takes a byte up to 63 milliseconds; no code takes more than 19.
const (
	runTag   = 1
	otherTag = 3
	farTag   = 7

	maxInterval = 1 << 62
	maxOther    = 1 << 60
)

// appendCode appends the code of id behind prev, which is smaller. Runs have appendRun.
func appendCode(b []byte, prev, id ID) []byte {
	later := id.Ms - prev.Ms
	switch {
	case id.Seq == 0 && later < maxInterval:
		return binary.AppendUvarint(b, later<<1)
	case later == 0:
		return binary.AppendUvarint(append(b, otherTag), id.Seq-prev.Seq)
	case later < maxOther:
		return binary.AppendUvarint(binary.AppendUvarint(b, later<<3|otherTag), id.Seq)
	}
	b = binary.LittleEndian.AppendUint64(append(b, farTag), later)
	return binary.AppendUvarint(b, id.Seq)
}

// appendRun appends the code of n ids, each one number higher than the one before.
func appendRun(b []byte, n int) []byte {
	return binary.AppendUvarint(b, uint64(n)<<2|runTag)
}

// decoder walks over the ids of a block. Codes that are cut off, which only a damaged checkpoint can have, repeat the last id.
type decoder struct {
	id    ID // the present one
	codes []byte
	run   int // ids that follow, one number higher each
	tail  int // a run behind the codes, that has no code yet
}

// next goes to the next id.
func (d *decoder) next() {
	if d.run > 0 {
		d.run--
		d.id.Seq++
		return
	}
	if len(d.codes) > 0 && d.codes[0] < 0x80 && d.codes[0]&1 == 0 { // the usual code, without a call
		d.id = ID{d.id.Ms + uint64(d.codes[0]>>1), 0}
		d.codes = d.codes[1:]
		return
	}
	d.slow()
}

func (d *decoder) slow() {
	if len(d.codes) == 0 {
		d.run, d.tail = d.tail, 0
		if d.run > 0 {
			d.next()
		}
		return
	}
	v := d.uvarint()
	switch {
	case v&1 == 0:
		d.id = ID{d.id.Ms + v>>1, 0}
	case v&3 == runTag:
		if d.run = int(v >> 2 & 0xffff); d.run > 0 {
			d.next()
		}
	case v == farTag:
		var later uint64
		if len(d.codes) >= 8 {
			later = binary.LittleEndian.Uint64(d.codes)
			d.codes = d.codes[8:]
		}
		d.id = ID{d.id.Ms + later, d.uvarint()}
	case v>>3 == 0:
		d.id.Seq += d.uvarint()
	default:
		d.id = ID{d.id.Ms + v>>3, d.uvarint()}
	}
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.codes)
	if n <= 0 {
		d.codes = nil
		return 0
	}
	d.codes = d.codes[n:]
	return v
}

// bitmap has a bit for each id of a block: those that are deleted.
type bitmap [blockSize / 64]uint64

func (m *bitmap) has(i int) bool { return m[i>>6]>>(i&63)&1 != 0 }
func (m *bitmap) set(i int)      { m[i>>6] |= 1 << (i & 63) }

// count counts the bits from..to-1.
func (m *bitmap) count(from, to int) (n int) {
	for w := range m {
		low, high := max(from-w*64, 0), min(to-w*64, 64)
		if low < high {
			n += bits.OnesCount64(m[w] >> low << (64 - high + low))
		}
	}
	return n
}
