package server

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// The kernel may take one byte at a time, and an eviction has the writer come twice for the same place.
func TestALargeLineIsTheSameHoweverItIsTaken(t *testing.T) {
	sent, shown := strings.Repeat("\x00x", escapedPiece), strings.Repeat(`\x00x`, escapedPiece)
	want := "UPDATE a " + shown + "\r\n"
	f := &largeFrame{head: []byte("UPDATE a "), payload: []byte(sent), tail: []byte("\r\n"), escaped: true, size: len(want)}
	w, got := newEscapedFrame(f), make([]byte, 0, len(want))
	for at := range want {
		w.piece(at)
		got = append(got, w.piece(at)[0])
	}
	assert.Equal(t, want, string(got))
}
