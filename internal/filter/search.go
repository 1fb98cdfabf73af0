package filter

import "strings"

// kmpThreshold is up to how many bytes a part is left to the standard library, which is fastest. There the time may be that of
// the text times the part: 80 ms for two fields of one payload of 1 MiB, made for it.
const kmpThreshold = 256

// contains tells whether part is in s, in time linear in both.
func contains(s, part string) bool {
	if len(part) <= kmpThreshold || len(part) > len(s) {
		return strings.Contains(s, part)
	}
	// Knuth, Morris, Pratt: back[i] is how long a beginning of part also ends at its byte i, itself left out.
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

// advance is how much of part has been seen after one more byte, if it was as much as at before, and not all.
func advance(part string, back []int32, at int32, b byte) int32 {
	for at > 0 && part[at] != b {
		at = back[at-1]
	}
	if part[at] == b {
		at++
	}
	return at
}
