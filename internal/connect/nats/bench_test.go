package nats

import "testing"

// BenchmarkSource is what the driver adds to a message of the library.
func BenchmarkSource(b *testing.B) {
	s, data := &source{}, make([]byte, 100)
	b.ReportAllocs()
	for b.Loop() {
		if m := s.messageOf("orders.eu", data, nil); m.Meta["subject"] == "" {
			b.Fatal("no subject")
		}
	}
}
