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

// READ over 10,000 streams in the one order, beside a read of one stream with the same bytes: by READ, and by XRANGE.
func BenchmarkReadInOrder(b *testing.B) {
	for _, load := range []struct {
		name    string
		streams int
		verb    string
	}{{"10000 streams, READ", 10_000, "READ"}, {"1 stream, READ", 1, "READ"}, {"1 stream, XRANGE", 1, "XRANGE"}} {
		b.Run(load.name, func(b *testing.B) {
			kept, err := store.Open(store.Options{Dir: filepath.Join(b.TempDir(), "log")})
			require.NoError(b, err)
			s := harness.Start(b, server.Options{Store: kept, Epoch: kept.Epoch()})
			kept.Start(s.Service())
			defer func() {
				kept.Stop()
				s.Stop()
				require.NoError(b, kept.Close(benchEntries))
			}()
			c := s.Dial(b)
			fillStreams(b, c, load.streams)
			in := bufio.NewReaderSize(c, 256<<10)
			b.ResetTimer()
			before := processTime(b)
			for range b.N {
				require.Equal(b, benchEntries, readToEnd(b, c, in, load.verb))
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchEntries, "ns/entry")
			b.ReportMetric(float64((processTime(b)-before).Nanoseconds())/float64(b.N)/benchEntries, "cpu-ns/entry")
		})
	}
}

// processTime is the processor time of server and client.
func processTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// fillStreams adds the entries to streams in turn.
func fillStreams(b *testing.B, c *harness.Conn, streams int) {
	const atOnce = 1000
	value := strings.Repeat("x", 100)
	for from := 0; from < benchEntries; from += atOnce {
		var text strings.Builder
		for i := range atOnce {
			text.WriteString(harness.RESP("XADD", fmt.Sprintf("stream:%d", (from+i)*7919%streams), "*", "data", value))
		}
		c.Send("%s", text.String())
		for range atOnce {
			_, err := c.Frame()
			require.NoError(b, err)
		}
	}
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
