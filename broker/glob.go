package broker

import (
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
//
// It walks both once and keeps one place to come back to, the last star: stars before that have taken as little as
// they can and never need another try. So no glob takes exponential time, unlike plain recursion. Where bytes alone
// stand between two stars, the time is about that of reading both; a piece with something else in it is tried at each
// place, which takes at most the length of the piece times that of the topic: see Laborious.
func Match(glob string, topic []byte) bool {
	if len(topic) == 0 {
		return glob == ""
	}
	g, t := 0, 0
	star, mark := -1, 0 // where the last star stands, and what of the topic it has taken
	for t < len(topic) {
		if g < len(glob) && glob[g] == '*' {
			star, mark = g, t
			g++
			piece, plain := plainPiece(glob[g:])
			switch {
			case !plain:
			case g+len(piece) == len(glob):
				return len(piece) <= len(topic)-t && string(topic[len(topic)-len(piece):]) == piece
			default:
				i := strings.Index(view(topic[t:]), piece)
				if i < 0 {
					return false
				}
				g, t = g+len(piece), t+i+len(piece)
			}
			continue
		}
		if g < len(glob) {
			if next, ok := matchByte(glob, g, topic[t]); ok {
				g, t = next, t+1
				continue
			}
		}
		if star < 0 {
			return false
		}
		mark++
		g, t = star+1, mark
	}
	for g < len(glob) && glob[g] == '*' {
		g++
	}
	return g == len(glob)
}

// view is b as a string, while nobody writes to it.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// plainPiece is what stands before the next star, or before the end, if that is bytes alone.
func plainPiece(glob string) (piece string, plain bool) {
	for i := range len(glob) {
		switch glob[i] {
		case '*':
			return glob[:i], true
		case '?', '[', '\\':
			return "", false
		}
	}
	return glob, true
}

// Laborious tells whether something other than bytes stands behind a star of the glob, so that Match may need time in
// proportion to the length of the glob times that of the topic.
func Laborious(glob string) bool {
	_, behind, _ := strings.Cut(glob, "*")
	return strings.ContainsAny(behind, `?[\`)
}

// matchByte holds one byte against the element of the glob at g, and returns where the next element starts.
func matchByte(glob string, g int, c byte) (next int, ok bool) {
	switch glob[g] {
	case '?':
		return g + 1, true
	case '[':
		return matchSet(glob, g+1, c)
	case '\\':
		if g+1 < len(glob) { // a backslash that ends the glob stands for itself
			g++
		}
	}
	return g + 1, glob[g] == c
}

// matchSet holds c against the set whose first byte, after the bracket, is at g.
func matchSet(glob string, g int, c byte) (next int, ok bool) {
	not := g < len(glob) && glob[g] == '^'
	if not {
		g++
	}
	for ; g < len(glob) && glob[g] != ']'; g++ {
		switch {
		case glob[g] == '\\' && g+1 < len(glob):
			g++
			ok = ok || glob[g] == c
		case g+2 < len(glob) && glob[g+1] == '-':
			low, high := min(glob[g], glob[g+2]), max(glob[g], glob[g+2])
			ok = ok || low <= c && c <= high
			g += 2
		default:
			ok = ok || glob[g] == c
		}
	}
	if g < len(glob) {
		g++ // the closing bracket
	}
	return g, ok != not
}
