package connect

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestLines(t *testing.T) {
	long := strings.Repeat("x", 300_000)
	l := NewLines(strings.NewReader("a\r\n\n"+long+"\nb\nrest"), 10)
	var lines []string
	total := int64(0)
	for {
		line, size, err := l.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		lines, total = append(lines, string(line)), total+size
	}
	assert.Equal(t, []string{"a", "", long[:13], "b"}, lines, "a line that is too long stays too long, and bounded")
	assert.Equal(t, int64(3+1+300_001+2), total)
	rest, size := l.Rest()
	assert.Equal(t, "rest", string(rest))
	assert.Equal(t, int64(4), size)
}

func TestMessagesAsLines(t *testing.T) {
	batch := []Message{
		{Topic: "t", Payload: []byte("a")},
		{Topic: "t", Payload: []byte("a\nb"), ID: "e-1", Headers: []Header{{"n", "1"}, {"q\"", "\xff"}}},
		{Topic: "t", Payload: []byte("\xff\x00")},
	}
	text, refused := LineFormat(false).AppendAll(nil, batch)
	assert.Equal(t, "a\n\xff\x00\n", string(text))
	assert.Equal(t, &Refused{Indices: []int{1}, Err: ErrLineFeed}, refused.Err())
	text, refused = LineFormat(true).AppendAll(nil, batch)
	require.NoError(t, refused.Err())
	assert.Equal(t, []string{
		`{"topic":"t","payload":"a"}`,
		`{"topic":"t","id":"e-1","headers":{"n":"1","q\"_base64":"/w=="},"payload":"a\nb"}`,
		`{"topic":"t","payload_base64":"/wA="}`,
		"",
	}, strings.Split(string(text), "\n"))
}
