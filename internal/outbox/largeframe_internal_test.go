package outbox

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// The kernel may take one byte at a time, and an eviction has the writer come twice for the same place.
func TestALargeLineIsTheSameHoweverItIsTaken(t *testing.T) {
	sent, shown := strings.Repeat("\x00x", escapedPiece), strings.Repeat(`\x00x`, escapedPiece)
	want := "UPDATE a " + shown + "\r\n"
	f := &LargeFrame{Head: []byte("UPDATE a "), Payload: []byte(sent), Tail: []byte("\r\n"), Escaped: true, Size: len(want)}
	w, got := newEscapedFrame(f), make([]byte, 0, len(want))
	for at := range want {
		w.piece(at)
		got = append(got, w.piece(at)[0])
	}
	assert.Equal(t, want, string(got))
}
