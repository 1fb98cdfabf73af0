package protocol

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestWhatIsShownInLines(t *testing.T) {
	for _, tt := range []struct{ in, message, topic string }{
		{"plain text, it's", "plain text, it's", `plain\x20text,\x20it's`},
		{"a\r\nb", `a\r\nb`, `a\r\nb`},
		{"\x00\x1b[2J\x7f", `\x00\x1b[2J\x7f`, `\x00\x1b[2J\x7f`},
		{"tab\there", "tab\there", "tab\there"},
		{`back\slash`, `back\slash`, `back\x5cslash`},
		{"\xff", `\xff`, `\xff`},
		{"Grüße \xfe", "Grüße \xfe", "Grüße\\x20\xfe"},
		{"", "", ""},
	} {
		assert.Equal(t, tt.message, string(EscapeMessage(nil, []byte(tt.in))), "message %q", tt.in)
		assert.Equal(t, tt.topic, string(EscapeTopic(nil, []byte(tt.in))), "topic %q", tt.in)
	}
}

func TestRepliesCannotBeForged(t *testing.T) {
	assert.Equal(t, "-ERR bad \\r\\n+OK\r\n", string(AppendError(nil, Errorf("bad %s", "\r\n+OK"))))
	assert.Equal(t, "+a\\nb\r\n", string(AppendSimple(nil, []byte("a\nb"))))
	assert.Equal(t, `OK SUB a\x20b`, string(AppendLineOK(nil, "SUB", []byte("a b"))))
	assert.Equal(t, `OK UNSUB`, string(AppendLineOK(nil, "UNSUB")))
}

func TestFrameLen(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want int
	}{
		{"", 0}, {"OK SUB a", 0}, {"OK SUB a\nrest", 9}, {"+OK\r\n", 5}, {":12\r\n:3\r\n", 5}, {"$3\r\na\nb\r\nrest", 9},
		{"$3\r\na\n", 0}, {"*2\r\n:1\r\n$-1\r\n+x\r\n", 13}, {"*0\r\n+x\r\n", 4}, {">2\r\n+a\r\n+b\r\nx", 12},
		{"%1\r\n+a\r\n+b\r\nx", 12}, {"*2\r\n*1\r\n:1\r\n:2\r\nx", 16}, {"*2\r\n:1\r\n", 0}, {"# help\r\nx", 8}, {"\r\nx", 2},
	} {
		assert.Equal(t, tt.want, FrameLen([]byte(tt.in)), "%q", tt.in)
	}
}

func TestParseInt(t *testing.T) {
	for text, want := range map[string]int64{"0": 0, "-1": -1, "12": 12, "9223372036854775807": math.MaxInt64,
		"-9223372036854775808": math.MinInt64} {
		got, ok := ParseInt([]byte(text))
		assert.True(t, ok, text)
		assert.Equal(t, want, got, text)
	}
	for _, text := range []string{"", "-", "+1", "01", "-0", "1x", " 1", "9223372036854775808", "-9223372036854775809",
		"18446744073709551617", "99999999999999999999999"} {
		_, ok := ParseInt([]byte(text))
		assert.False(t, ok, text)
	}
}
