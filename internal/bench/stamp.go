package bench

import (
	"encoding/binary"
	"time"
)

// stampLen is the length of a stamp in bytes: three words of eight characters.
//
//	pp ssssss   the publisher (12 bits) and the number of the message among those of this publisher (36 bits)
//	tttttttt    when it was meant to be sent, in nanoseconds from the start of the run (48 bits, three days)
//	mmmmmmmm    the mark of the run, so that messages of somebody else are noticed
//
// A character carries six bits and is one of the 64 from '0' to 'o': printable, so that a line shows it as it is.
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

// readWord reads what putWord wrote. It is not ok if one of the characters is none of ours.
func readWord(b []byte) (v uint64, ok bool) {
	x := binary.BigEndian.Uint64(b) - zeros
	y := x&0x003F003F003F003F | x&0x3F003F003F003F00>>2
	z := y&0x00000FFF00000FFF | y&0x0FFF00000FFF0000>>4
	return z&0xFFFFFF | z>>8&0xFFFFFF000000, x&0xC0C0C0C0C0C0C0C0 == 0
}

// putStamp overwrites the first two words of a stamp. The third one stays the same over a run.
func putStamp(b []byte, publisher, sequence int, at time.Duration) {
	putWord(b, uint64(publisher)<<sequenceBits|uint64(sequence))
	putWord(b[8:], uint64(at))
}

// stamp is a stamp that has been read.
type stamp struct {
	publisher, sequence int
	at                  time.Duration // when it was meant to be sent
}

func readStamp(b []byte) stamp {
	v, _ := readWord(b)
	at, _ := readWord(b[8:])
	return stamp{int(v >> sequenceBits), int(v & maxSequence), time.Duration(at)}
}
