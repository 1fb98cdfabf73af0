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
	ready     bool       // what follows is about the topic at hand
	used      [4]uint64  // which bytes the topic has
	maskIndex [256]uint8 // of the mask of each
	masks     []uint64   // side by side; kept for the next search, but for much more than usual
	state     []uint64
}

// maxKeptMasks is how many words of masks are kept: those of a topic of common length.
const maxKeptMasks = 16 << 10

// find returns where the first place ends at which the topic has the piece, or -1, and how many words and bytes it has
// looked at. Later pieces of one glob are searched in what is left of the topic.
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

// indexBytes learns which bytes the topic has.
func (s *longSearch) indexBytes(topic []byte) {
	s.used, s.ready = [4]uint64{}, true
	masks := 0
	for _, c := range topic {
		if bit := uint64(1) << (c % 64); s.used[c/64]&bit == 0 {
			s.used[c/64] |= bit
			s.maskIndex[c] = uint8(masks) //nolint:gosec // there are 256 at most
			masks++
		}
	}
}

// buildMasks makes the masks for a piece, so many words each. An element that takes more than half of the bytes is noted as
// what it does not take, or each ? would cost a bit for each byte.
func (s *longSearch) buildMasks(p piece, words int) (steps int) {
	masks := popCount(s.used)
	s.masks, s.state = zeroed(s.masks, masks*words), zeroed(s.state, words)
	inverted := s.state // which elements take most bytes, until the search begins
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

func popCount(set [4]uint64) (n int) {
	for _, word := range set {
		n += bits.OnesCount64(word)
	}
	return n
}

// elementAt returns which bytes the element of the glob at g takes, and where the next one starts.
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

// classAt is elementAt for the set whose first byte, after the bracket, is at g: see matchClass.
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

// zeroed is n zeros, in the memory of s if that is enough.
func zeroed(s []uint64, n int) []uint64 {
	if cap(s) < n {
		return make([]uint64, n)
	}
	s = s[:n]
	clear(s)
	return s
}
