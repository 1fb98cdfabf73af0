package broker

import (
	"bytes"
	"strings"
	"unsafe"
)

// Match reports whether a topic matches a Redis glob, byte for byte as Redis 7 does it:
//
//   - any bytes, none too, and any separator among them
//     ?       one byte
//     [abc]   one of these; ranges as [a-z], turned round if need be; [^abc] none of these; an open [ ends with the glob
//     \x      x itself, also inside brackets
//
// And as there, the empty topic is matched by the empty glob alone, not by a star.
func Match(glob string, topic []byte) bool {
	var m Matcher
	return m.Match(glob, topic)
}

// Matcher is Match for one goroutine that matches often. It counts what that costs, and keeps the memory that long
// pieces need for the next match. The zero value is ready.
//
// Stars cut a glob into pieces. The first piece is anchored at the start of the topic. Each element of a piece but a
// star takes exactly one byte, so the place of the last piece is fixed too. A piece in between is searched, and the first
// place where it matches is as good as any later one. So a match never goes back, and its cost is bounded:
//
//   - bytes alone are found by strings.Index;
//   - a short piece with something else in it is tried at each place, at most shortPiece bytes for each byte of the topic;
//   - a long one is found by Shift-And, 64 elements at a time for each byte of the topic: see longSearch.
type Matcher struct {
	// Steps rises by what each match costs besides strings.Index: bytes of the glob that were read, and words of masks. A
	// step takes about a nanosecond.
	Steps int

	long *longSearch // nil until the first long piece
}

// shortPiece is how many bytes of a glob a piece may have that is tried at each place. Shift-And would be slower.
const shortPiece = 16

// Match is the function Match, with its cost added to Steps.
func (m *Matcher) Match(glob string, topic []byte) bool {
	if len(topic) == 0 {
		return glob == ""
	}
	g, t, ok := matchPiece(glob, topic)
	m.Steps += g
	if !ok || g == len(glob) {
		return ok && t == len(topic)
	}
	if m.long != nil {
		m.long.ready = false // it is another topic
	}
	for {
		for g < len(glob) && glob[g] == '*' {
			g++
		}
		text, plain := literalPrefix(glob[g:])
		m.Steps += len(text)
		switch {
		case !plain:
			p := pieceAt(glob[g:])
			m.Steps += len(p.text)
			if g += len(p.text); g == len(glob) {
				return p.matchesEnd(topic[t:])
			}
			n := m.find(p, topic[t:])
			if n < 0 {
				return false
			}
			t += n
		case g+len(text) == len(glob):
			return len(text) <= len(topic)-t && string(topic[len(topic)-len(text):]) == text
		default:
			i := strings.Index(unsafeString(topic[t:]), text)
			if i < 0 {
				return false
			}
			g, t = g+len(text), t+i+len(text)
		}
	}
}

// literalPrefix is what stands before the next star, or before the end, if that is bytes alone. If not, it is what stands
// before the first other element.
func literalPrefix(glob string) (text string, plain bool) {
	for i := range len(glob) {
		switch glob[i] {
		case '*':
			return glob[:i], true
		case '?', '[', '\\':
			return glob[:i], false
		}
	}
	return glob, true
}

// piece is what stands between two stars, or behind the last, if not all of it is bytes.
type piece struct {
	text     string
	elements int // each takes one byte
}

// pieceAt is the piece that glob begins with.
func pieceAt(glob string) piece {
	g, elements := 0, 0
	for ; g < len(glob) && glob[g] != '*'; elements++ {
		switch glob[g] {
		case '[', '\\':
			g, _ = matchElement(glob, g, 0) // only to learn where the element ends
		default:
			g++
		}
	}
	return piece{text: glob[:g], elements: elements}
}

// matchesEnd tells whether the topic ends with the piece.
func (p piece) matchesEnd(topic []byte) bool {
	if p.elements > len(topic) {
		return false
	}
	_, _, ok := matchPiece(p.text, topic[len(topic)-p.elements:])
	return ok
}

// find returns where the first place ends at which the topic has the piece, or -1.
func (m *Matcher) find(p piece, topic []byte) int {
	switch {
	case p.elements > len(topic):
		return -1
	case len(p.text) <= shortPiece:
		return m.findShort(p, topic)
	}
	if m.long == nil {
		m.long = new(longSearch)
	}
	end, steps := m.long.find(p, topic)
	m.Steps += steps
	return end
}

// findShort tries each place, but for those that do not have the first byte, if that is one.
func (m *Matcher) findShort(p piece, topic []byte) int {
	first := p.text[0]
	literal := strings.IndexByte(`?[\`, first) < 0
	for at, last := 0, len(topic)-p.elements; at <= last; at++ {
		if literal {
			skip := bytes.IndexByte(topic[at:last+1], first)
			if skip < 0 {
				return -1
			}
			at += skip
		}
		read, n, ok := matchPiece(p.text, topic[at:])
		m.Steps += 1 + read
		if ok {
			return at + n
		}
	}
	return -1
}

// unsafeString is b as a string, while nobody writes to it.
func unsafeString(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// matchPiece holds the front of a topic against the piece that glob begins with. It returns how much of both it has
// read.
func matchPiece(glob string, topic []byte) (g, t int, ok bool) {
	for g < len(glob) && glob[g] != '*' {
		if t == len(topic) {
			return g, t, false
		}
		switch c := glob[g]; c {
		case '?':
			g++
		case '[', '\\':
			if g, ok = matchElement(glob, g, topic[t]); !ok {
				return g, t, false
			}
		default:
			if c != topic[t] {
				return g, t, false
			}
			g++
		}
		t++
	}
	return g, t, true
}

// matchElement holds one byte against the element of the glob at g, and returns where the next element starts.
func matchElement(glob string, g int, c byte) (next int, ok bool) {
	switch glob[g] {
	case '?':
		return g + 1, true
	case '[':
		return matchClass(glob, g+1, c)
	case '\\':
		if g+1 < len(glob) { // a backslash that ends the glob stands for itself
			g++
		}
	}
	return g + 1, glob[g] == c
}

// matchClass holds c against the set whose first byte, after the bracket, is at g.
func matchClass(glob string, g int, c byte) (next int, ok bool) {
	negated := g < len(glob) && glob[g] == '^'
	if negated {
		g++
	}
	for g < len(glob) && glob[g] != ']' {
		var low, high byte
		low, high, g = rangeAt(glob, g)
		ok = ok || low <= c && c <= high
	}
	if g < len(glob) {
		g++ // the closing bracket
	}
	return g, ok != negated
}

// rangeAt reads one byte of a set, or one range, and returns where the next one starts.
func rangeAt(glob string, g int) (low, high byte, next int) {
	switch {
	case glob[g] == '\\' && g+1 < len(glob):
		return glob[g+1], glob[g+1], g + 2
	case g+2 < len(glob) && glob[g+1] == '-':
		return min(glob[g], glob[g+2]), max(glob[g], glob[g+2]), g + 3
	}
	return glob[g], glob[g], g + 1
}
