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

// Matcher is Match for one goroutine that matches often. It counts the cost, and keeps the memory of long pieces for the
// next match. The zero value is ready.
//
// Stars divide a glob into pieces. The first piece is anchored at the start of the topic. Each element of a piece
// takes exactly one byte, so the last piece has a fixed place too. A piece in between is searched, and its first
// match is as good as any later one. So a match never backtracks, and its cost is bounded:
//
//   - a literal piece is found by strings.Index;
//   - a short piece with other elements is tried at each place, at most shortPiece bytes for each byte of the topic;
//   - a long one is found by Shift-And, 64 elements at a time for each byte of the topic: see longSearch.
type Matcher struct {
	// Steps rises by the cost of each match besides strings.Index: bytes of the glob that it read, and words of masks. A
	// step takes about a nanosecond. Callers bound their work by steps: a clock would make it random.
	Steps int

	long *longSearch // nil until the first long piece
}

// shortPiece is the length of a piece, in bytes of the glob, up to which it is tried at each place: Shift-And is slower there.
const shortPiece = 16

// Match is the function Match, and adds its cost to Steps.
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
		m.long.ready = false // its masks are those of another topic
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

// literalPrefix returns the glob up to its next star or its end, if that is all literal bytes: then plain is true. Otherwise
// it returns the bytes before the first other element.
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

// piece is the part of a glob between two stars, or behind the last, with elements other than literal bytes.
type piece struct {
	text     string
	elements int // each takes one byte
}

// pieceAt returns the piece that glob begins with.
func pieceAt(glob string) piece {
	g, elements := 0, 0
	for ; g < len(glob) && glob[g] != '*'; elements++ {
		switch glob[g] {
		case '[', '\\':
			g, _ = matchElement(glob, g, 0) // only for the end of the element
		default:
			g++
		}
	}
	return piece{text: glob[:g], elements: elements}
}

// matchesEnd reports whether the topic ends with the piece.
func (p piece) matchesEnd(topic []byte) bool {
	if p.elements > len(topic) {
		return false
	}
	_, _, ok := matchPiece(p.text, topic[len(topic)-p.elements:])
	return ok
}

// find returns the end of the first match of the piece in the topic, or -1.
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

// findShort tries the piece at each place. If it begins with a literal byte, it skips to the next such byte in the topic.
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

// unsafeString is b as a string without a copy. It is valid while no code writes to b: strings.Index keeps nothing.
func unsafeString(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// matchPiece matches the piece that glob begins with to the start of a topic. It returns how much of both it has read.
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

// matchElement matches one byte to the element of the glob at g, and returns the index of the next element.
func matchElement(glob string, g int, c byte) (next int, ok bool) {
	switch glob[g] {
	case '?':
		return g + 1, true
	case '[':
		return matchClass(glob, g+1, c)
	case '\\':
		if g+1 < len(glob) { // a backslash at the end of the glob is a literal
			g++
		}
	}
	return g + 1, glob[g] == c
}

// matchClass matches c to the class whose first byte, after the bracket, is at g.
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

// rangeAt parses one byte of a class, or one range, and returns the index of the next one.
func rangeAt(glob string, g int) (low, high byte, next int) {
	switch {
	case glob[g] == '\\' && g+1 < len(glob):
		return glob[g+1], glob[g+1], g + 2
	case g+2 < len(glob) && glob[g+1] == '-':
		return min(glob[g], glob[g+2]), max(glob[g], glob[g+2]), g + 3
	}
	return glob[g], glob[g], g + 1
}
