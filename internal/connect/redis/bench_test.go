package redis

import (
	"testing"

	"github.com/conchmq/conch/client"
	"github.com/conchmq/conch/internal/entry"
)

// BenchmarkSource is what the driver adds to an entry that the client has read.
func BenchmarkSource(b *testing.B) {
	e := &client.Entry{Stream: "orders", ID: client.EntryID{Ms: 1700000000000, Seq: 7}, Fields: []client.Field{{Name: entry.Field, Value: string(make([]byte, 100))}}}
	var m entry.Message
	meta := map[string]string{"stream": "orders"}
	b.ReportAllocs()
	for b.Loop() {
		if len(messageOf(e, &m, meta, 1000).Payload) != 100 {
			b.Fatal("another payload")
		}
	}
}
