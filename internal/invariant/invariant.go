// Package invariant has checks that run under the race detector and cost nothing otherwise.
package invariant

import "fmt"

// Scribble overwrites bytes that must not be read any more. A frame or a read buffer that is reused too early then
// shows as a message full of '#' in every test, instead of one wrong message in a million under load.
func Scribble(b []byte) {
	if !On {
		return
	}
	b = b[:cap(b)]
	for i := range b {
		b[i] = '#'
	}
}

// Check panics if an invariant does not hold.
func Check(holds bool, format string, args ...any) {
	if On && !holds {
		panic("invariant: " + fmt.Sprintf(format, args...))
	}
}
