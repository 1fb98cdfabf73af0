package stream

import "testing"

// A block with codes that are not what appendCode writes, which only a damaged checkpoint has, is read to its end.
func FuzzDecoder(f *testing.F) {
	f.Add([]byte{}, 200)
	f.Add([]byte{runTag}, 256)
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, 5)
	f.Add([]byte{farTag, 1, 2}, 5)
	f.Add([]byte{otherTag, 0x80}, 5)
	f.Add([]byte{0xfd, 0xff, 0x03, 2, 2}, 256)
	f.Fuzz(func(_ *testing.T, codes []byte, count int) {
		v := view{tail: head{first: ID{7, 7}, ordinal: 1, count: uint32(count & 255)}, tailCodes: codes, first: 1, next: 1 + uint64(count&255)}
		v.each(1, v.next, func(uint64, ID) bool { return true })
		v.eachBack(1, v.next, func(uint64, ID) bool { return true })
		v.seek(ID{1 << 40, 3})
	})
}
