package store

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/log"
	"github.com/conchmq/conch/internal/stream"
)

var writeFormat = flag.Bool("format.write", false, "write testdata/format-1 anew: never once a release has that format")

// formats are the directories of the first format, each with its options. They are what a crash has left: two segments and more, a base, and
// records behind it.
//
// Every later version opens them and reads them whole. A version that changes the format adds directories of its own beside these, and never
// writes these anew.
var formats = []struct {
	name    string
	options Options
	key     bool
}{
	{"plain", Options{}, false},
	{"compressed", Options{Compress: log.CompressZstd}, false},
	{"encrypted", Options{Compress: log.CompressS2}, true},
}

const formatDirectory = "testdata/format-1"

// formatText is the n-th entry.
func formatText(n int) string {
	return fmt.Sprintf("entry %d %s", n, strings.Repeat("of the first format ", 20))
}

// What the directories have: so many entries of orders, of which the first ones were trimmed, and one of payments.
const (
	formatEntries = 400
	formatTrimmed = 100
	formatKey     = "format-1.key"
)

func TestTheFirstFormat(t *testing.T) {
	for _, test := range formats {
		t.Run(test.name, func(t *testing.T) {
			o := test.options
			o.SegmentSize, o.CheckpointEvery, o.Fsync = MinSegmentSize, 32<<10, FsyncAlways
			if test.key {
				o.KeyFile = filepath.Join(t.TempDir(), "key")
				key, err := os.ReadFile(filepath.Join("testdata", formatKey))
				require.NoError(t, err)
				require.NoError(t, os.WriteFile(o.KeyFile, key, 0o600))
			}
			source := filepath.Join(formatDirectory, test.name)
			if *writeFormat {
				writeTheFormat(t, o, source)
			}
			o.Dir = filepath.Join(t.TempDir(), "log")
			require.NoError(t, os.CopyFS(o.Dir, os.DirFS(source)))
			for _, clean := range []bool{false, true} {
				s := open(t, o)
				assert.Equal(t, clean, s.recovery.Clean)
				assert.Empty(t, s.recovery.Damages)
				requireTheFormat(t, s)
				require.NoError(t, s.Close(s.sequence))
			}
		})
	}
}

// requireTheFormat requires what the directories have.
func requireTheFormat(t *testing.T, s *opened) {
	t.Helper()
	orders := s.entries("orders")
	require.Len(t, orders, formatEntries-formatTrimmed)
	for i, text := range orders {
		require.Equal(t, formatText(formatTrimmed+i), text)
	}
	assert.Equal(t, []string{formatText(0)}, s.entries("payments"))
	assert.Equal(t, 2, s.Streams().Len())
	assert.EqualValues(t, formatEntries+2, s.Sequence())
	require.Nil(t, s.Streams().Lookup([]byte("gone")))
}

// writeTheFormat makes such a directory.
func writeTheFormat(t *testing.T, o Options, target string) {
	t.Helper()
	o.Dir = filepath.Join(t.TempDir(), "log")
	s := open(t, o)
	s.Start(s.core)
	s.add("gone", "nothing")
	s.add("payments", formatText(0))
	for n := range formatEntries - 10 {
		s.add("orders", formatText(n))
		require.NoError(t, s.log.Sync())
		s.serveWaiting()
	}
	s.stop()
	s.remove("gone")
	c := &stream.Change{Time: s.Now(), Sequence: s.sequence}
	s.Streams().PlanTrim(c, s.Streams().Lookup([]byte("orders")), &stream.TrimOptions{Kind: stream.TrimMaxLen, MaxLen: formatEntries - 10 - formatTrimmed})
	s.append(c)
	for n := formatEntries - 10; n < formatEntries; n++ {
		s.add("orders", formatText(n))
	}
	require.NoError(t, s.log.Sync())
	require.NoError(t, s.log.WaitSealed(t.Context(), 1))
	require.NoError(t, os.RemoveAll(target))
	require.NoError(t, os.CopyFS(target, os.DirFS(o.Dir)))
	others, err := filepath.Glob(filepath.Join(target, "[^0-9cl]*")) // what only has space
	require.NoError(t, err)
	for _, name := range append(others, filepath.Join(target, "lock")) {
		require.NoError(t, os.Remove(name))
	}
	require.NoError(t, s.Close(s.sequence))
	for _, ending := range []string{baseEnding, segmentEnding} {
		names, err := filepath.Glob(filepath.Join(target, "*"+ending))
		require.NoError(t, err)
		require.NotEmpty(t, names)
	}
}

// segmentEnding is that of segments.
const segmentEnding = ".log"
