//go:build unix

package log

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// benchLayers are the settings that are compared.
var benchLayers = []struct {
	name   string
	layers Layers
}{
	{"none", Layers{}},
	{"s2", Layers{Compress: CompressS2}},
	{"zstd", Layers{Compress: CompressZstd}},
	{"encrypted", Layers{Key: keyOf(1)}},
	{"s2-encrypted", Layers{CompressS2, keyOf(1), nil}},
	{"zstd-encrypted", Layers{CompressZstd, keyOf(1), nil}},
}

// benchEntry is an entry of about 150 bytes, as a program writes it, or of random bytes.
func benchEntry(b []byte, rng *rand.Rand, isJSON bool, n int) []byte {
	if isJSON {
		return fmt.Appendf(b, `{"order":%d,"customer":"c-%06d","amount":%d.%02d,"currency":"EUR","items":[%d,%d],"status":"%s","at":"2026-11-29T02:%02d:%02dZ"}`,
			n, rng.IntN(1e6), rng.IntN(1000), rng.IntN(100), rng.IntN(5000), rng.IntN(5000), []string{"new", "paid", "sent"}[rng.IntN(3)], n/60%60, n%60)
	}
	for range 19 {
		b = binary.LittleEndian.AppendUint64(b, rng.Uint64())
	}
	return b
}

// BenchmarkLayers appends entries in rounds of some, reads them back from the files, and packs the files. It reports what an entry costs of
// processor time, the size of the files beside the content, and the same for reading and packing.
func BenchmarkLayers(b *testing.B) {
	for _, kind := range []string{"json", "random"} {
		for _, round := range []int{1, 100} {
			for _, test := range benchLayers {
				b.Run(fmt.Sprintf("%s/round=%d/%s", kind, round, test.name), func(b *testing.B) {
					benchmarkLayers(b, test.layers, kind == "json", round)
				})
			}
		}
	}
}

func benchmarkLayers(b *testing.B, layers Layers, isJSON bool, round int) {
	path := b.TempDir()
	open := func(after int) *Log {
		files, err := OpenDirectory(path)
		require.NoError(b, err)
		l, _, err := Open(Options{Files: WithLayers(files, layers), Fsync: No, SegmentSize: 16 << 20, Recent: 1, Spans: benchSpans}, uint64(after), ignoreRecord)
		require.NoError(b, err)
		return l
	}
	l, rng := open(0), rand.New(rand.NewPCG(1, 1))
	entries := make([][]byte, 20_000)
	for i := range entries {
		p := binary.LittleEndian.AppendUint64(nil, 1)
		p = binary.LittleEndian.AppendUint64(p, uint64(i+1))
		p = binary.LittleEndian.AppendUint64(p, 1)
		entries[i] = benchEntry(p, rng, isJSON, i)
	}
	n := 0
	b.ResetTimer()
	start := cpuTime()
	for b.Loop() {
		l.Append(1, entries[n%len(entries)])
		if n++; n%round == 0 {
			for l.Unsynced() > 0 && round == 1 || l.Unsynced() > 8<<20 {
				time.Sleep(10 * time.Microsecond) //nolint:forbidigo // the writer takes what there is, as between two rounds
			}
		}
	}
	require.NoError(b, l.Sync())
	b.ReportMetric(float64((cpuTime()-start).Nanoseconds())/float64(n), "cpu-ns/append")
	b.StopTimer()
	require.NoError(b, l.CutHead(l.Last()+1))
	content := float64(l.Stats().Bytes)
	require.NoError(b, l.Close())
	b.ReportMetric(100*float64(directorySize(b, path))/content, "%hot")
	l = open(n)
	defer func() { require.NoError(b, l.Close()) }()
	reading := func(metric string) {
		start, found := cpuTime(), 0
		require.NoError(b, l.eachSegment(func(s *segment) error {
			return l.scanSegment(s, l.endOf(s), func(Record) error { found++; return nil })
		}))
		b.ReportMetric(float64((cpuTime()-start).Nanoseconds())/float64(max(1, found)), metric)
	}
	reading("cpu-ns/read")
	_, id, err := l.Roll() // all before is packed
	require.NoError(b, err)
	require.NoError(b, l.WaitSealed(b.Context(), id))
	require.NoError(b, l.CutHead(l.Last()+1))
	start = cpuTime()
	require.NoError(b, l.repack())
	if l.Stats().Repacked > 0 {
		b.ReportMetric(float64((cpuTime()-start).Nanoseconds())/float64(n), "cpu-ns/pack")
		reading("cpu-ns/read-packed")
	}
	require.NoError(b, os.Truncate(filepath.Join(path, segmentName(id+1)), 0)) // it is allocated, and has nothing
	b.ReportMetric(100*float64(directorySize(b, path))/content, "%packed")
}

// cpuTime is the processor time of the process.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// directorySize is what the files of a directory have.
func directorySize(b *testing.B, path string) (size int64) {
	names, err := filepath.Glob(filepath.Join(path, "*"))
	require.NoError(b, err)
	for _, name := range names {
		info, err := os.Stat(name)
		require.NoError(b, err)
		size += info.Size()
	}
	return size
}
