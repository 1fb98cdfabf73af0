package protocol

import (
	"strings"
	"testing"
)

// One operation is one Next for a command with a payload of 64 bytes, 64 commands in a buffer.
func BenchmarkReader(b *testing.B) {
	payload := strings.Repeat("x", 64)
	for name, in := range map[string]string{
		"resp":   bulks("PUBLISH", "news", payload),
		"line":   "PUB news " + payload + "\n",
		"inline": "PUBLISH news " + payload + "\r\n",
	} {
		b.Run(name, func(b *testing.B) {
			buf := []byte(strings.Repeat(in, 64))
			r := NewReader(Limits{})
			args := make([][]byte, 0, 8)
			b.ReportAllocs()
			b.SetBytes(int64(len(in)))
			rest := buf
			for range b.N {
				if len(rest) == 0 {
					rest = buf
				}
				_, used, ok, err := r.take(rest, args)
				if !ok || err != nil {
					b.Fatal(ok, err)
				}
				rest = rest[used:]
			}
		})
	}
}

// One operation is one command of a run.
func BenchmarkFind(b *testing.B) {
	buf := []byte(strings.Repeat(bulks("PUBLISH", "news", strings.Repeat("x", 64)), 64))
	r := NewReader(Limits{})
	l := Limits{}.WithDefaults()
	var args, room [][]byte
	b.ReportAllocs()
	b.SetBytes(int64(len(buf) / 64))
	for left := b.N; left > 0; left -= 64 {
		c, used, _, _ := r.take(buf, args[:0])
		var run Run
		run.Scan(c.Args, buf, used, room[:0], l.Message)
		args, room = c.Args, run.Payloads
	}
}

// One operation encodes one message of 64 bytes in the named format.
func BenchmarkAppend(b *testing.B) {
	topic, payload := []byte("news"), []byte(strings.Repeat("x", 64))
	for name, appendTo := range map[string]func([]byte) []byte{
		"resp2":    func(dst []byte) []byte { return RESP2.AppendMessage(dst, "message", topic, payload) },
		"resp3":    func(dst []byte) []byte { return RESP3.AppendMessage(dst, "message", topic, payload) },
		"pmessage": func(dst []byte) []byte { return RESP2.AppendPatternMessage(dst, "n*", topic, payload) },
		"line":     func(dst []byte) []byte { return AppendUpdates(dst, topic, [][]byte{payload}, false) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var dst []byte
			for range b.N {
				dst = appendTo(dst[:0])
			}
			b.SetBytes(int64(len(dst)))
		})
	}
}
