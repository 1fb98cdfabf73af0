package protocol

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestNumberedUpdates(t *testing.T) {
	hi, sly := []byte("hi"), []byte("UPDATE #1<0 \n<")
	for _, tt := range []struct {
		topic    string
		payloads [][]byte
		crlf     bool
		first    uint64
		want     string
	}{
		{"a", [][]byte{hi}, false, 12, "UPDATE #12 a hi\n"},
		{"a", [][]byte{hi}, true, 12, "UPDATE #12 a hi\r\n"},
		{"a", [][]byte{hi, hi}, false, 9, "UPDATE #9 a hi\nUPDATE #10 a hi\n"},
		{"a", [][]byte{sly}, false, 12, `UPDATE #12 a UPDATE #1<0 \n<` + "\n"},
		{" #3<1", [][]byte{nil}, false, 12, `UPDATE #12 \x20#3<1 ` + "\n"},
		{"a", [][]byte{hi}, false, 1<<64 - 1, "UPDATE #18446744073709551615 a hi\n"},
	} {
		assert.Equal(t, tt.want, string(AppendSeqUpdates(nil, []byte(tt.topic), tt.payloads, tt.crlf, tt.first)))
	}
}

// FrameLen finds the end of each frame.
func TestNumberedFramesHaveALength(t *testing.T) {
	for _, frame := range [][]byte{
		AppendSeqMessage(nil, "message", []byte("a"), []byte("\r\n$1\r\n"), 12, 9),
		AppendSeqPatternMessage(nil, "*", []byte("a"), nil, 12, 0),
		AppendSeqUpdates(nil, []byte("a"), [][]byte{[]byte("hi")}, true, 12),
		AppendSeqReply(nil, 3, 12),
	} {
		assert.Equal(t, len(frame), FrameLen(append(frame, "+next\r\n"...)), "%q", frame)
	}
}
