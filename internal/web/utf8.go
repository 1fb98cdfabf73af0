package web

import "unicode/utf8"

// utf8Check finds out whether bytes that come in pieces are UTF-8.
type utf8Check struct {
	part [utf8.UTFMax]byte // a character that a piece has cut
	n    int
}

// accepts reports whether the next piece can be part of a valid text.
func (u *utf8Check) accepts(piece []byte) bool {
	for u.n > 0 && len(piece) > 0 {
		u.part[u.n] = piece[0]
		u.n, piece = u.n+1, piece[1:]
		if part := u.part[:u.n]; utf8.FullRune(part) {
			if !utf8.Valid(part) {
				return false
			}
			u.n = 0
		}
	}
	end := len(piece)
	for back := 1; back <= min(utf8.UTFMax-1, len(piece)); back++ {
		if start := len(piece) - back; utf8.RuneStart(piece[start]) {
			if !utf8.FullRune(piece[start:]) {
				end = start
			}
			break
		}
	}
	if u.n == 0 {
		u.n = copy(u.part[:], piece[end:])
	}
	return utf8.Valid(piece[:end])
}

// isWhole reports whether no character is cut at the end, and begins anew.
func (u *utf8Check) isWhole() bool {
	whole := u.n == 0
	u.n = 0
	return whole
}
