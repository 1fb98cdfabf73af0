package local

import (
	"bufio"
	"strings"
	"testing"
)

// repeated reads a text again and again.
type repeated struct {
	text string
	at   int
}

func (r *repeated) Read(p []byte) (int, error) {
	n := copy(p, r.text[r.at:])
	r.at = (r.at + n) % len(r.text)
	return n, nil
}

// BenchmarkReadEntry reads an entry of a reply, as a sink on durable topics does.
func BenchmarkReadEntry(b *testing.B) {
	entry := "*2\r\n$15\r\n1700000000000-7\r\n*2\r\n$7\r\nmessage\r\n$100\r\n" + strings.Repeat("x", 100) + "\r\n"
	c := &conn{in: bufio.NewReaderSize(&repeated{text: entry}, 64<<10)}
	b.ReportAllocs()
	for b.Loop() {
		v, err := c.value(b.Context())
		if list, ok := v.([]any); err != nil || !ok || len(list) != 2 {
			b.Fatal(v, err)
		}
	}
}
