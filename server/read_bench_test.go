//go:build unix

package server_test

import (
	"bufio"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/internal/store"
	"github.com/conchmq/conch/server"
)

// benchEntries is how many entries of 100 bytes each of the loads reads.
const benchEntries = 500_000

// READ over 10,000 streams in the one order, beside a read of one stream with the same bytes: by READ, and by XRANGE. In a log that was
// compacted, most entries stand by stream, a tenth of them is deleted.
func BenchmarkReadInOrder(b *testing.B) {
	zstd, err := store.ParseCompression("zstd")
	require.NoError(b, err)
	for _, load := range []readLoad{
		{"10000 streams, READ", 10_000, "READ", false, store.Options{}},
		{"1 stream, READ", 1, "READ", false, store.Options{}},
		{"1 stream, XRANGE", 1, "XRANGE", false, store.Options{}},
		{"10000 streams, READ, compacted", 10_000, "READ", true, store.Options{SegmentSize: 16 << 20}},
		{"10000 streams, READ, zstd", 10_000, "READ", false, store.Options{Compress: zstd}},
		{"10000 streams, READ, compacted, zstd", 10_000, "READ", true, store.Options{SegmentSize: 16 << 20, Compress: zstd}},
	} {
		b.Run(load.name, load.run)
	}
}

// readLoad is a log, and how it is read.
type readLoad struct {
	name    string
	streams int
	verb    string
	compact bool
	options store.Options
}

func (l *readLoad) run(b *testing.B) {
	l.options.Dir = filepath.Join(b.TempDir(), "log")
	kept, err := store.Open(l.options)
	require.NoError(b, err)
	s := harness.Start(b, server.Options{Store: kept, Epoch: kept.Epoch()})
	kept.Start(s.Service())
	defer func() {
		kept.Stop()
		s.Stop()
		require.NoError(b, kept.Close(benchEntries))
	}()
	c := s.Dial(b)
	ids := fillStreams(b, c, l.streams)
	entries := benchEntries
	if l.compact {
		entries -= compactStreams(b, c, kept, ids)
	}
	in := bufio.NewReaderSize(c, 256<<10)
	b.ResetTimer()
	before := processTime(b)
	for range b.N {
		require.Equal(b, entries, readToEnd(b, c, in, l.verb))
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(entries), "ns/entry")
	b.ReportMetric(float64((processTime(b)-before).Nanoseconds())/float64(b.N)/float64(entries), "cpu-ns/entry")
}

// compactStreams deletes a tenth of the entries, and waits until the others are written again.
func compactStreams(b *testing.B, c *harness.Conn, kept *store.Store, ids []string) (deleted int) {
	var text strings.Builder
	for i := 0; i < len(ids); i += 10 {
		text.WriteString(harness.RESP("XDEL", benchStream(i, 10_000), ids[i]))
		deleted++
	}
	go func() { _, _ = io.WriteString(c, text.String()) }()
	for range deleted {
		frame, err := c.Frame()
		require.NoError(b, err)
		require.Equal(b, ":1\r\n", string(frame))
	}
	kept.Compact()
	harness.Eventually(b, func() bool { return kept.Status().RewrittenSegments > 0 }, "segments are written again")
	return deleted
}

func benchStream(i, streams int) string { return fmt.Sprintf("stream:%d", i*7919%streams) }

// processTime is the processor time of server and client.
func processTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// fillStreams adds the entries to streams in turn, and returns their ids.
func fillStreams(b *testing.B, c *harness.Conn, streams int) (ids []string) {
	const atOnce = 1000
	value := strings.Repeat("x", 100)
	for from := 0; from < benchEntries; from += atOnce {
		var text strings.Builder
		for i := range atOnce {
			text.WriteString(harness.RESP("XADD", benchStream(from+i, streams), "*", "data", value))
		}
		c.Send("%s", text.String())
		for range atOnce {
			frame, err := c.Frame()
			require.NoError(b, err)
			_, id, _ := strings.Cut(strings.TrimSuffix(string(frame), "\r\n"), "\r\n")
			ids = append(ids, id)
		}
	}
	return ids
}

// readToEnd reads page after page, and returns how many entries came.
func readToEnd(b *testing.B, c *harness.Conn, in *bufio.Reader, verb string) (entries int) {
	line := func() string {
		text, err := in.ReadSlice('\n')
		require.NoError(b, err)
		return strings.TrimSuffix(string(text), "\r\n")
	}
	skip := func(lines int) {
		for range lines {
			if _, err := in.ReadSlice('\n'); err != nil {
				b.Fatal(err)
			}
		}
	}
	from := "0"
	if verb == "XRANGE" {
		from = "-"
	}
	for {
		n := 0
		if verb == "READ" {
			_, err := io.WriteString(c, harness.RESP("READ", "stream:*", "FROM", from, "COUNT", "5000"))
			require.NoError(b, err)
			skip(2) // the head, and the length of the position
			from = line()
			n, err = strconv.Atoi(line()[1:])
			require.NoError(b, err)
			skip(n * (1 + 6 + 5))
			entries += n
			if line() == ":1" {
				return entries
			}
			continue
		}
		_, err := io.WriteString(c, harness.RESP("XRANGE", "stream:0", from, "+", "COUNT", "5000"))
		require.NoError(b, err)
		n, err = strconv.Atoi(line()[1:])
		require.NoError(b, err)
		for range n {
			skip(2)
			from = "(" + line()
			skip(5)
		}
		if entries += n; n == 0 {
			return entries
		}
	}
}
