package command

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/stream"
)

// The filler's work for an entry of 100 bytes, without files and sockets.
func BenchmarkEntries(b *testing.B) {
	state, value := stream.New(), bytes.Repeat([]byte("x"), 100)
	var c stream.Change
	var records [][]byte
	for range 1000 {
		c.Reset()
		c.Time, c.Sequence = 1790000000000, 1
		_, err := state.PlanAdd(&c, []byte("s"), &stream.AddOptions{Auto: true, Fields: [][]byte{[]byte("f"), value}})
		require.NoError(b, err)
		if n := len(records); n == 0 || len(records[n-1]) > maxRecord {
			records = append(records, stream.BeginRecord(nil, 1, c.Time))
		}
		last := &records[len(records)-1]
		*last = stream.AppendChange(*last, &c)
		state.Apply(&c)
	}
	st := state.Lookup([]byte("s"))
	pin := &benchPin{records}
	var text entryText
	room := make([]byte, 0, 256<<10)
	b.ReportAllocs()
	for b.Loop() {
		r := st.Range(stream.MinID, stream.MaxID, 0, false)
		x := newEntryReader(st.Number(), &r, nil)
		room = room[:0]
		require.NoError(b, x.read(pin, func(_ int, e *stream.Entry) error {
			if cap(room)-len(room) < entrySize(e.Fields) {
				panic("no room")
			}
			room = text.append(room, e.ID, e.Fields, nil)
			return nil
		}))
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/entry")
}

type benchPin struct{ records [][]byte }

func (p *benchPin) Read(f func([]byte) bool) error {
	for _, r := range p.records {
		if !f(r) {
			break
		}
	}
	return nil
}
func (p *benchPin) ReadFrom(_ uint64, f func([]byte) bool) error { return p.Read(f) }
func (p *benchPin) ReadBack(func([]byte) bool) error             { return nil }
func (p *benchPin) Recent() bool                                 { return true }
func (p *benchPin) Release()                                     {}
