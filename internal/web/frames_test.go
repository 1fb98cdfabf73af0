package web

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gobwas/ws"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// masked is a client's frame.
func masked(code ws.OpCode, fin bool, payload string) []byte {
	return ws.MustCompileFrame(ws.MaskFrame(ws.NewFrame(code, fin, []byte(payload))))
}

// decodeAll decodes a stream that comes in pieces, as a socket gives it.
func decodeAll(d *frameDecoder, stream []byte, piece int) (text string, pongs []string, err error) {
	for len(stream) > 0 && err == nil && d.closedBy == nil {
		n := min(piece, len(stream))
		b := append([]byte{0}, stream[:n]...)
		stream = stream[n:]
		n, err = d.decode(b, 1)
		text += string(b[:n])
		if d.pong != nil {
			pongs = append(pongs, string(d.pong))
			d.pong = nil
		}
	}
	return text, pongs, err
}

func TestFramesOfAClient(t *testing.T) {
	join := func(frames ...[]byte) []byte { return bytes.Join(frames, nil) }
	long := strings.Repeat("x", 1001)
	for _, test := range []struct {
		name    string
		stream  []byte
		objects bool
		want    string
		pongs   []string
		code    ws.StatusCode
	}{
		{"a message is a line", masked(ws.OpText, true, "PUB a hi"), false, "PUB a hi\n", nil, 0},
		{"a message of two lines", masked(ws.OpText, true, "a\nb"), false, "a\nb\n", nil, 0},
		{"an object in many lines is one", masked(ws.OpText, true, "{\n\"a\":\r\n1}"), true, "{ \"a\":  1}\n", nil, 0},
		{"an empty message", masked(ws.OpText, true, ""), false, "\n", nil, 0},
		{"fragments", join(masked(ws.OpText, false, "PU"), masked(ws.OpContinuation, false, "B a "), masked(ws.OpContinuation, true, "hi")), false, "PUB a hi\n", nil, 0},
		{"a character cut by a fragment", join(masked(ws.OpText, false, "\xe2\x80"), masked(ws.OpContinuation, true, "\xa8")), false, "\u2028\n", nil, 0},
		{"a ping within fragments", join(masked(ws.OpText, false, "a"), masked(ws.OpPing, true, "p"), masked(ws.OpContinuation, true, "b")), false, "ab\n", []string{"p"}, 0},
		{"a pong means nothing", join(masked(ws.OpPong, true, "p"), masked(ws.OpText, true, "a")), false, "a\n", nil, 0},
		{"several messages", join(masked(ws.OpText, true, "a"), masked(ws.OpText, true, ""), masked(ws.OpText, true, "b")), false, "a\n\nb\n", nil, 0},
		{"nothing behind a close", join(masked(ws.OpText, true, "a"), masked(ws.OpClose, true, "\x03\xe8bye"), masked(ws.OpText, true, "b")), false, "a\n", nil, 1000},
		{"a close without a status", masked(ws.OpClose, true, ""), false, "", nil, 1000},
		{"a close of an application", masked(ws.OpClose, true, "\x0f\xa0"), false, "", nil, 4000},
		{"a close with a wrong status", masked(ws.OpClose, true, "\x03\xed"), false, "", nil, 1002},
		{"a close of one byte", masked(ws.OpClose, true, "\x03"), false, "", nil, 1002},
		{"bytes", masked(ws.OpBinary, true, "a"), false, "", nil, 1003},
		{"no UTF-8", masked(ws.OpText, true, "a\xffb"), false, "", nil, 1007},
		{"half a character at the end", masked(ws.OpText, true, "a\xe2\x80"), false, "", nil, 1007},
		{"half a character in front of another message", join(masked(ws.OpText, true, "\xe2\x80"), masked(ws.OpText, true, "\xa8")), false, "", nil, 1007},
		{"no mask", ws.MustCompileFrame(ws.NewTextFrame([]byte("a"))), false, "", nil, 1002},
		{"a reserved bit", append([]byte{0xc1}, masked(ws.OpText, true, "a")[1:]...), false, "", nil, 1002},
		{"a reserved opcode", append([]byte{0x83}, masked(ws.OpText, true, "a")[1:]...), false, "", nil, 1002},
		{"a continuation of nothing", masked(ws.OpContinuation, true, "a"), false, "", nil, 1002},
		{"a message within a message", join(masked(ws.OpText, false, "a"), masked(ws.OpText, true, "b")), false, "", nil, 1002},
		{"a fragmented ping", masked(ws.OpPing, false, "a"), false, "", nil, 1002},
		{"a long ping", masked(ws.OpPing, true, strings.Repeat("p", 126)), false, "", nil, 1002},
		{"a line that is too long", masked(ws.OpText, true, long), false, "", nil, 1009},
		{"a line that grows by fragments", join(masked(ws.OpText, false, long[:600]), masked(ws.OpContinuation, true, long[:600])), false, "", nil, 1009},
		{"many lines are long together", masked(ws.OpText, true, long[:600]+"\n"+long[:600]), false, long[:600] + "\n" + long[:600] + "\n", nil, 0},
		{"an object that is too long", masked(ws.OpText, true, long), true, "", nil, 1009},
		{"a length of 2^62 bytes", []byte("\x81\xff\x40\x00\x00\x00\x00\x00\x00\x00mask"), false, "", nil, 1009},
		{"a negative length", []byte("\x81\xff\x80\x00\x00\x00\x00\x00\x00\x00mask"), false, "", nil, 1002},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, piece := range []int{1, 2, 3, 7, 1 << 20} {
				d := &frameDecoder{objects: test.objects, most: 1000}
				text, pongs, err := decodeAll(d, test.stream, piece)
				closed := d.closedBy
				if err != nil {
					require.ErrorAs(t, err, &closed)
				}
				if test.code == 0 {
					require.Nil(t, closed)
				} else {
					require.NotNil(t, closed)
					assert.Equal(t, test.code, closed.code, closed.reason)
				}
				if err == nil {
					assert.Equal(t, test.want, text, "in pieces of %d", piece)
				}
				assert.Equal(t, test.pongs, pongs)
			}
		})
	}
}

// FuzzFrames checks that a stream does not depend on its cuts, and that what comes out is UTF-8 in lines.
func FuzzFrames(f *testing.F) {
	for _, text := range []string{"", "PUB a hi", "a\nb", "é\u2028", "\xff", "\xe2\x80"} {
		f.Add(append(masked(ws.OpText, false, text), masked(ws.OpContinuation, true, text)...), uint8(3), false)
		f.Add(append(masked(ws.OpPing, true, text), masked(ws.OpText, true, text)...), uint8(1), true)
		f.Add(append(masked(ws.OpText, true, text), masked(ws.OpClose, true, "\x03\xe8"+text)...), uint8(5), true)
	}
	f.Add([]byte("\x81\xff\x40\x00\x00\x00\x00\x00\x00\x00mask"), uint8(1), false)
	f.Fuzz(func(t *testing.T, stream []byte, cut uint8, objects bool) {
		whole := &frameDecoder{objects: objects, most: 100}
		want, _, wantErr := decodeAll(whole, bytes.Clone(stream), len(stream)+1)
		cutUp := &frameDecoder{objects: objects, most: 100}
		got, _, err := decodeAll(cutUp, bytes.Clone(stream), 1+int(cut)%16)
		require.Equal(t, wantErr, err)
		require.Equal(t, whole.closedBy, cutUp.closedBy)
		if err == nil {
			require.Equal(t, want, got)
			if i := strings.LastIndexByte(got, '\n'); i >= 0 {
				require.True(t, utf8.ValidString(got[:i]))
			}
		}
	})
}
