package broker

import (
	"math/bits"
	"slices"
)

// longSearch finds a long piece of a glob in a topic by Shift-And. Bit i of the state is set if the last i+1 bytes match
// the first i+1 elements of the piece. The next byte shifts the state by one and keeps the bits of the elements that take
// this byte: its mask. There are masks only for bytes that the topic has, so their memory is at most 32 times the
// topic's: 128 KiB for a topic of 4 KiB, as long as its piece.
type longSearch struct {
	ready     bool       // used and maskIndex are those of the topic at hand
	used      [4]uint64  // the bytes that occur in the topic, one bit each
	maskIndex [256]uint8 // of each of them
	masks     []uint64   // one after the other; kept for the next search up to maxKeptMasks
	state     []uint64
}

// maxKeptMasks is the number of words of masks up to which they are kept: enough for a topic of common length.
const maxKeptMasks = 16 << 10

// find returns the end of the first match of the piece in the topic, or -1, and the number of words and bytes that it read.
// Later pieces of one glob come with the rest of the same topic, so its bytes are indexed once.
func (s *longSearch) find(p piece, topic []byte) (end, steps int) {
	if !s.ready {
		s.indexBytes(topic)
		steps += len(topic)
	}
	words := (p.elements + 63) / 64
	steps += s.buildMasks(p, words)
	state, found := s.state, uint64(1)<<((p.elements-1)%64)
	end = -1
	for t, c := range topic {
		mask := s.masks[int(s.maskIndex[c])*words:][:len(state)]
		carry := uint64(1) // the piece may start at each byte
		for w, was := range state {
			state[w] = (was<<1 | carry) & mask[w]
			carry = was >> 63
		}
		steps += words
		if state[words-1]&found != 0 {
			end = t + 1
			break
		}
	}
	if cap(s.masks) > maxKeptMasks {
		s.masks = nil
	}
	return end, steps
}

// indexBytes gives each byte that occurs in the topic a mask.
func (s *longSearch) indexBytes(topic []byte) {
	s.used, s.ready = [4]uint64{}, true
	masks := 0
	for _, c := range topic {
		if bit := uint64(1) << (c % 64); s.used[c/64]&bit == 0 {
			s.used[c/64] |= bit
			s.maskIndex[c] = uint8(masks) //nolint:gosec // 256 at most
			masks++
		}
	}
}

// buildMasks makes the masks for a piece, of so many words each. An element that takes more than half of the bytes is stored
// as those that it does not take, and inverted at the end: otherwise each ? would set a bit for each byte.
func (s *longSearch) buildMasks(p piece, words int) (steps int) {
	masks := popCount(s.used)
	s.masks, s.state = zeroed(s.masks, masks*words), zeroed(s.state, words)
	inverted := s.state // the inverted elements; the memory is the state's, which the search needs only later
	for g, i := 0, 0; i < p.elements; i++ {
		var taken [4]uint64
		taken, g = elementAt(p.text, g)
		for w := range taken {
			taken[w] &= s.used[w]
		}
		if 2*popCount(taken) > masks {
			inverted[i/64] |= 1 << (i % 64)
			for w := range taken {
				taken[w] ^= s.used[w]
			}
		}
		steps += s.setBit(taken, words, i)
	}
	for row := range slices.Chunk(s.masks, words) {
		for w := range row {
			row[w] ^= inverted[w]
		}
	}
	clear(inverted)
	return steps + 2*len(s.masks) + len(p.text)
}

// setBit sets bit i in the masks of these bytes.
func (s *longSearch) setBit(set [4]uint64, words, i int) (steps int) {
	for w, rest := range set {
		for ; rest != 0; rest &= rest - 1 {
			c := w*64 + bits.TrailingZeros64(rest)
			s.masks[int(s.maskIndex[c])*words+i/64] |= 1 << (i % 64)
			steps++
		}
	}
	return steps + 1
}

// popCount is the number of bytes in a set of bytes.
func popCount(set [4]uint64) (n int) {
	for _, word := range set {
		n += bits.OnesCount64(word)
	}
	return n
}

// elementAt returns the bytes that the element of the glob at g takes, and the index of the next element.
func elementAt(glob string, g int) (taken [4]uint64, next int) {
	switch c := glob[g]; {
	case c == '?':
		return [4]uint64{^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0)}, g + 1
	case c == '[':
		return classAt(glob, g+1)
	case c == '\\' && g+1 < len(glob):
		g++
	}
	taken[glob[g]/64] = 1 << (glob[g] % 64)
	return taken, g + 1
}

// classAt is elementAt for a class whose first byte, after the bracket, is at g: see matchClass.
func classAt(glob string, g int) (taken [4]uint64, next int) {
	negated := g < len(glob) && glob[g] == '^'
	if negated {
		g++
	}
	for g < len(glob) && glob[g] != ']' {
		var low, high byte
		low, high, g = rangeAt(glob, g)
		for w := low / 64; w <= high/64; w++ {
			from, to := max(low, w*64)%64, min(high, w*64+63)%64
			taken[w] |= (^uint64(0) >> (63 - to)) &^ (1<<from - 1)
		}
	}
	if g < len(glob) {
		g++ // the closing bracket
	}
	if negated {
		for w := range taken {
			taken[w] = ^taken[w]
		}
	}
	return taken, g
}

// zeroed returns n zeros, in the memory of s if that is large enough.
func zeroed(s []uint64, n int) []uint64 {
	if cap(s) < n {
		return make([]uint64, n)
	}
	s = s[:n]
	clear(s)
	return s
}
