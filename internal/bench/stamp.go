package bench

import (
	"encoding/binary"
	"time"
)

// stampLen is the length of a stamp in bytes: three words of eight characters.
//
//	pp ssssss   the publisher (12 bits) and the number of the message among those of this publisher (36 bits)
//	tttttttt    the scheduled time, in nanoseconds from the start of the run (48 bits, three days)
//	mmmmmmmm    the mark of the run, which distinguishes messages of other programs
//
// A character carries six bits and is one of the 64 from '0' to 'o': printable, so that lines do not escape it.
const stampLen = 24

const (
	sequenceBits = 36
	maxSequence  = 1<<sequenceBits - 1
)

// zeros is the word of eight characters '0'.
const zeros = 0x3030303030303030

// putWord writes the low 48 bits of v as eight characters.
func putWord(b []byte, v uint64) {
	z := v&0xFFFFFF | v<<8&0x00FFFFFF00000000
	y := z&0x00000FFF00000FFF | z<<4&0x0FFF00000FFF0000
	x := y&0x003F003F003F003F | y<<2&0x3F003F003F003F00
	binary.BigEndian.PutUint64(b, x+zeros)
}

// readWord decodes a word of putWord. ok is false if a character is out of range.
func readWord(b []byte) (v uint64, ok bool) {
	x := binary.BigEndian.Uint64(b) - zeros
	y := x&0x003F003F003F003F | x&0x3F003F003F003F00>>2
	z := y&0x00000FFF00000FFF | y&0x0FFF00000FFF0000>>4
	return z&0xFFFFFF | z>>8&0xFFFFFF000000, x&0xC0C0C0C0C0C0C0C0 == 0
}

// putStamp overwrites the first two words of a stamp. The third one is constant during a run.
func putStamp(b []byte, publisher, sequence int, at time.Duration) {
	putWord(b, uint64(publisher)<<sequenceBits|uint64(sequence))
	putWord(b[8:], uint64(at))
}

// stamp is a decoded stamp.
type stamp struct {
	publisher, sequence int
	at                  time.Duration // scheduled time
}

func readStamp(b []byte) stamp {
	v, _ := readWord(b)
	at, _ := readWord(b[8:])
	return stamp{int(v >> sequenceBits), int(v & maxSequence), time.Duration(at)}
}
