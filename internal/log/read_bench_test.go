package log

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// benchLog is a log with records of entries of a certain size, in files.
type benchLog struct {
	*Log
	path    string
	last    map[uint64]uint64
	payload []byte
}

func newBenchLog(b *testing.B) *benchLog {
	b.Helper()
	l := &benchLog{path: b.TempDir(), last: map[uint64]uint64{}}
	l.open(b)
	b.Cleanup(func() { require.NoError(b, l.Close()) })
	return l
}

func (l *benchLog) open(b *testing.B) {
	b.Helper()
	files, err := OpenDirectory(l.path)
	require.NoError(b, err)
	after := uint64(0)
	if l.Log != nil {
		after = l.Last()
	}
	l.Log, _, err = Open(Options{Files: files, Fsync: No, Spans: benchSpans, Recent: 1}, after, func(Record) error { return nil })
	require.NoError(b, err)
}

// benchSpans is Options.Spans: a record has entries of one stream.
func benchSpans(_ byte, payload []byte, add func(Span)) {
	add(Span{binary.LittleEndian.Uint64(payload), binary.LittleEndian.Uint64(payload[8:]), int(binary.LittleEndian.Uint64(payload[16:]))})
}

// append appends a record with that many entries of a stream, of size bytes together.
func (l *benchLog) append(key uint64, entries, size int) {
	l.payload = binary.LittleEndian.AppendUint64(l.payload[:0], key)
	l.payload = binary.LittleEndian.AppendUint64(l.payload, l.last[key]+1)
	l.payload = binary.LittleEndian.AppendUint64(l.payload, uint64(entries))
	l.last[key] += uint64(entries)
	l.payload = append(l.payload, make([]byte, size)...)
	l.Append(1, l.payload)
	for l.Unsynced() > 32<<20 {
		time.Sleep(time.Millisecond) //nolint:forbidigo // not measured
	}
}

// reopen makes all of it durable, and leaves none of it in the memory of the log.
func (l *benchLog) reopen(b *testing.B) {
	b.Helper()
	require.NoError(b, l.Close())
	l.open(b)
}

// readAll reads the entries of some streams.
func (l *benchLog) readAll(b *testing.B, keys ...uint64) {
	b.Helper()
	for _, key := range keys {
		p := l.Pin(key, 1, l.last[key])
		require.NoError(b, p.Read(func([]byte) bool { return true }))
		p.Release()
	}
}

// readRaw reads all files from beginning to end.
func (l *benchLog) readRaw(b *testing.B) {
	b.Helper()
	names, err := filepath.Glob(filepath.Join(l.path, "*"+segmentEnd))
	require.NoError(b, err)
	buf := make([]byte, 256<<10)
	for _, name := range names {
		f, err := os.Open(name)
		require.NoError(b, err)
		for {
			if _, err := f.Read(buf); err != nil {
				break
			}
		}
		require.NoError(b, f.Close())
	}
}

// compare measures read beside a raw read of all files, in turns, and reports medians.
func (l *benchLog) compare(b *testing.B, entries int, read func()) {
	b.Helper()
	for _, cold := range []bool{true, false} {
		b.Run(map[bool]string{true: "cold", false: "warm"}[cold], func(b *testing.B) {
			var logs, raws []float64
			measure := func(f func()) float64 {
				if cold {
					dropCache(b, l.path)
				}
				start := time.Now()
				f()
				return time.Since(start).Seconds()
			}
			for range max(b.N, 5) {
				raws = append(raws, measure(func() { l.readRaw(b) }))
				logs = append(logs, measure(read))
			}
			slices.Sort(raws)
			slices.Sort(logs)
			raw, log := raws[len(raws)/2], logs[len(logs)/2]
			b.ReportMetric(raw*1000, "raw-ms")
			b.ReportMetric(log*1000, "log-ms")
			b.ReportMetric(raw/log*100, "%-of-raw")
			b.ReportMetric(log*1e9/float64(entries), "ns/entry")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// The goal of issue 18: entries of 1 KiB in batches are read at 60 % of the speed of raw reads, or more.
func BenchmarkReadBatches(b *testing.B) {
	l := newBenchLog(b)
	const records, entries = 4000, 60
	for range records {
		l.append(1, entries, entries<<10)
	}
	l.reopen(b)
	l.compare(b, records*entries, func() { l.readAll(b, 1) })
}

// Records of one entry of 100 bytes.
func BenchmarkReadSmall(b *testing.B) {
	l := newBenchLog(b)
	const records = 1_000_000
	for range records {
		l.append(1, 1, 100)
	}
	l.reopen(b)
	l.compare(b, records, func() { l.readAll(b, 1) })
}

// Case (a) of decision 029, at a tenth of its size: a stream that is a tenth of the log.
func BenchmarkReadTenth(b *testing.B) {
	l := newBenchLog(b)
	const records = 1_000_000
	for n := range uint64(records) {
		l.append(1+n%10, 1, 100)
	}
	l.reopen(b)
	l.compare(b, records/10, func() { l.readAll(b, 1) })
}

// Case (b) of decision 029, at half of its size: 10,000 streams of 100 entries; all of them in order, and 200 of them.
func BenchmarkReadPattern(b *testing.B) {
	l := newBenchLog(b)
	const records, streams = 1_000_000, 10_000
	for n := range uint64(records) {
		l.append(1+n*7919%streams, 1, 100)
	}
	l.reopen(b)
	b.Run("all in order", func(b *testing.B) {
		l.compare(b, records, func() {
			require.NoError(b, l.Scan(1, math.MaxUint64, func(Record) error { return nil }))
		})
	})
	b.Run("200 of them", func(b *testing.B) {
		var some []uint64
		for n := range uint64(200) {
			some = append(some, 1+n*50)
		}
		l.compare(b, 200*records/streams, func() { l.readAll(b, some...) })
	})
}

// One page of 1,000 entries, and one of 10, from the middle of a stream, as XRANGE COUNT does.
func BenchmarkReadPage(b *testing.B) {
	l := newBenchLog(b)
	for n := range uint64(1_000_000) {
		l.append(1+n%10, 1, 100)
	}
	l.reopen(b)
	for _, entries := range []uint64{1, 10, 1000} {
		b.Run(fmt.Sprint(entries), func(b *testing.B) {
			b.ReportAllocs()
			for n := uint64(0); b.Loop(); n += 7919 {
				first := 1 + n%(l.last[1]-entries)
				p := l.Pin(1, first, first+entries-1)
				require.NoError(b, p.Read(func([]byte) bool { return true }))
				p.Release()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(entries), "ns/entry")
		})
	}
}
