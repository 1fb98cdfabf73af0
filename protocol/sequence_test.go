package protocol

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestNumberedUpdates(t *testing.T) {
	hi, sly := []byte("hi"), []byte("UPDATE #1<0 \n<")
	for _, tt := range []struct {
		topic           string
		payloads        [][]byte
		crlf            bool
		first, previous uint64
		want            string
		number          uint64
		tells           bool
		afterLoss       string // of number 7
	}{
		{"a", [][]byte{hi}, false, 12, 0, "UPDATE #12 a hi\n", 12, false, "UPDATE #12<7 a hi\n"},
		{"a", [][]byte{hi}, true, 12, 9, "UPDATE #12<9 a hi\r\n", 12, true, ""},
		{"a", [][]byte{hi, hi}, false, 9, 4, "UPDATE #9<4 a hi\nUPDATE #10 a hi\n", 9, true, ""},
		{"a", [][]byte{sly}, false, 12, 0, `UPDATE #12 a UPDATE #1<0 \n<` + "\n", 12, false, `UPDATE #12<7 a UPDATE #1<0 \n<` + "\n"},
		{" #3<1", [][]byte{nil}, false, 12, 0, `UPDATE #12 \x20#3<1 ` + "\n", 12, false, `UPDATE #12<7 \x20#3<1 ` + "\n"},
		{"a", [][]byte{hi}, false, 1<<64 - 1, 1<<64 - 2, "UPDATE #18446744073709551615<18446744073709551614 a hi\n", 1<<64 - 1, true, ""},
	} {
		got := AppendSeqUpdates(nil, []byte(tt.topic), tt.payloads, tt.crlf, tt.first, tt.previous)
		assert.Equal(t, tt.want, string(got))
		number, tells := ParseUpdateSeq(got)
		assert.Equal(t, tt.number, number, tt.want)
		assert.Equal(t, tt.tells, tells, tt.want)
		if !tells {
			assert.Equal(t, "> "+tt.afterLoss, string(AppendWithPrevious([]byte("> "), got, 7)))
		}
	}
	for _, other := range []string{"", "UPDATE a hi\n", "UPDATE #x a\n", "+OK\r\n"} {
		number, _ := ParseUpdateSeq([]byte(other))
		assert.Zero(t, number, other)
	}
}

// FrameLen finds the end of each frame.
func TestNumberedFramesHaveALength(t *testing.T) {
	for _, frame := range [][]byte{
		AppendSeqMessage(nil, "message", []byte("a"), []byte("\r\n$1\r\n"), 12, 9),
		AppendSeqPatternMessage(nil, "*", []byte("a"), nil, 12, 0),
		AppendSeqUpdates(nil, []byte("a"), [][]byte{[]byte("hi")}, true, 12, 9),
		AppendSeqReply(nil, 3, 12),
	} {
		assert.Equal(t, len(frame), FrameLen(append(frame, "+next\r\n"...)), "%q", frame)
	}
}
