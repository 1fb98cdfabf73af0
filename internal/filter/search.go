package filter

import "strings"

// kmpThreshold is the length in bytes up to which contains uses strings.Contains, which is fastest. Its worst case is the
// product of both lengths: 80 ms for a crafted payload of 1 MiB and two of its fields.
const kmpThreshold = 256

// contains reports whether part is in s, in time linear in both.
func contains(s, part string) bool {
	if len(part) <= kmpThreshold || len(part) > len(s) {
		return strings.Contains(s, part)
	}
	// Knuth, Morris, Pratt: back[i] is the length of the longest proper prefix of part that also ends at its byte i.
	back := make([]int32, len(part))
	at := int32(0)
	for i := 1; i < len(part); i++ {
		at = advance(part, back, at, part[i])
		back[i] = at
	}
	at = 0
	for i := range len(s) {
		if at = advance(part, back, at, s[i]); int(at) == len(part) {
			return true
		}
	}
	return false
}

// advance returns the matched length of part after one more byte, given the length before, which is not all of part.
func advance(part string, back []int32, at int32, b byte) int32 {
	for at > 0 && part[at] != b {
		at = back[at-1]
	}
	if part[at] == b {
		at++
	}
	return at
}
