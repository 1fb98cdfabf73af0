package log

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// batchesAhead is how many batches are on the way at once.
const batchesAhead = 4

// BenchmarkAppend writes entries of 1 KiB in batches, and waits for each batch to be promised.
func BenchmarkAppend(b *testing.B) {
	for _, fsync := range []Fsync{Always, No} {
		for _, batch := range []int{16, 256} {
			b.Run(fmt.Sprintf("%v/batch=%d", fsync, batch), func(b *testing.B) { benchmarkAppend(b, fsync, batch) })
		}
	}
}

func benchmarkAppend(b *testing.B, fsync Fsync, batch int) {
	files, err := OpenDirectory(b.TempDir())
	require.NoError(b, err)
	slots := make(chan struct{}, batchesAhead)
	pending := make(chan uint64, batchesAhead)
	next := uint64(0)
	l, _, err := Open(Options{Files: files, Fsync: fsync, Progress: func(p Progress) {
		for {
			if next == 0 {
				select {
				case next = <-pending:
				default:
					return
				}
			}
			if p.Promised < next {
				return
			}
			next = 0
			<-slots
		}
	}}, 0, nil)
	require.NoError(b, err)
	payload := make([]byte, 1024)
	b.SetBytes(int64(batch) * 1024)
	b.ReportAllocs()
	for b.Loop() {
		slots <- struct{}{}
		for range batch {
			l.Append(1, payload)
		}
		pending <- l.Last()
	}
	b.StopTimer()
	require.NoError(b, l.Sync())
	stats := l.Stats()
	b.ReportMetric(float64(stats.AppendedBytes)/float64(max(1, stats.Groups)), "B/group")
	require.NoError(b, l.Close())
}

// BenchmarkRaw writes the same bytes to files that are allocated ahead, in calls of as much as a group has, with as many syncs.
func BenchmarkRaw(b *testing.B) {
	for _, fsync := range []Fsync{Always, No} {
		for _, batch := range []int{16, 256} {
			b.Run(fmt.Sprintf("%v/batch=%d", fsync, batch), func(b *testing.B) { benchmarkRaw(b, fsync, batch) })
		}
	}
}

func benchmarkRaw(b *testing.B, fsync Fsync, batch int) {
	dir, files := b.TempDir(), 0
	var syncs sync.WaitGroup
	var f *os.File
	entries, at := make([]byte, batchesAhead*batch*1024), int64(defaultSegmentSize)
	b.SetBytes(int64(batch) * 1024)
	for n := 0; b.Loop(); n++ {
		if n%batchesAhead > 0 {
			continue // a group has so many batches
		}
		if at+int64(len(entries)) > defaultSegmentSize {
			if full := f; full != nil {
				syncs.Go(func() {
					_ = syncData(full)
					_ = full.Close()
				})
			}
			var err error
			f, err = os.Create(filepath.Join(dir, fmt.Sprint(files)))
			if err == nil {
				err = allocate(f, defaultSegmentSize)
			}
			require.NoError(b, err)
			files++
			at = 0
		}
		_, err := f.WriteAt(entries, at)
		if err == nil && fsync == Always {
			err = syncData(f)
		}
		require.NoError(b, err)
		at += int64(len(entries))
	}
	b.StopTimer()
	syncs.Wait()
	_ = f.Close()
}

// BenchmarkAppendAlone is what the core pays for an append. The longest one shows whether a step of it is long.
func BenchmarkAppendAlone(b *testing.B) {
	for _, size := range []int{100, 1 << 10, 64 << 10} {
		b.Run(fmt.Sprintf("size=%d", size), func(b *testing.B) {
			l, _, err := Open(Options{Files: NewMemory(0)}, 0, nil)
			require.NoError(b, err)
			payload := make([]byte, size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			longest := time.Duration(0)
			for b.Loop() {
				for l.Unsynced() > 32<<20 {
					runtime.Gosched()
				}
				if l.Last()%10_000 == 0 {
					b.StopTimer()
					require.NoError(b, l.CutHead(l.Last()+1))
					require.NoError(b, l.Reset(l.Last()+1)) // else memory grows
					b.StartTimer()
				}
				start := time.Now()
				l.Append(1, payload)
				longest = max(longest, time.Since(start))
			}
			b.ReportMetric(float64(longest.Microseconds()), "µs-longest")
			require.NoError(b, l.Close())
		})
	}
}
