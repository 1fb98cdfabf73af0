// Package invariant holds checks that run under the race detector and cost nothing otherwise.
package invariant

import "fmt"

// Scribble overwrites bytes that nobody may read any more. A frame or a read buffer that is reused too early then
// shows up as a message full of '#' in the tests, instead of one wrong message in a million on a busy day.
func Scribble(b []byte) {
	if !On {
		return
	}
	b = b[:cap(b)]
	for i := range b {
		b[i] = '#'
	}
}

// Check panics when something that must hold does not.
func Check(holds bool, format string, args ...any) {
	if On && !holds {
		panic("invariant: " + fmt.Sprintf(format, args...))
	}
}
