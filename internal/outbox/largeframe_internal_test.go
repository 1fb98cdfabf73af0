package outbox

import (
	"crypto/sha256"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/conchmq/conch/protocol"
)

// The kernel may take one byte at a time, and an eviction has the writer come twice for the same place.
func TestALargeFrameIsTheSameHoweverItIsTaken(t *testing.T) {
	tests := []struct {
		encoding protocol.Encoding
		unit     string
	}{
		{protocol.LineEscaped, "\x00x"},
		{protocol.TextEscaped, "é\xff\xe2\x80"},
		{protocol.EventLines, "a\n"},
		{protocol.Base64, "\xff\n"},
		{protocol.JSONEscaped, "é\u2028\"\x01"},
	}
	for _, tt := range tests {
		sent := []byte(strings.Repeat(tt.unit, 3*escapedPiece/len(tt.unit)))
		want := "head " + string(tt.encoding.Append(nil, sent)) + " tail"
		f := &LargeFrame{Head: []byte("head "), Payload: sent, Tail: []byte(" tail"), Encoding: tt.encoding, Size: len(want)}
		w, got := newEscapedFrame(f), make([]byte, 0, len(want))
		for at := range len(want) {
			w.piece(at)
			got = append(got, w.piece(at)[0])
		}
		assert.Equal(t, sha256.Sum256([]byte(want)), sha256.Sum256(got), "encoding %d", tt.encoding)
	}
}
