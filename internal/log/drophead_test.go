package log

import (
	"bytes"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A log without a rewriter gives the space of its head back at once, and goes on: also behind a clean stop, when its last segment is whole.
func TestDropHead(t *testing.T) {
	dir := t.TempDir()
	open := func(after uint64) (l *Log, found []Record) {
		files, err := OpenDirectory(dir)
		require.NoError(t, err)
		l, _, err = Open(Options{Files: files, SegmentSize: 1024}, after, collect(&found))
		require.NoError(t, err)
		return l, found
	}
	segments := func() int {
		names, err := filepath.Glob(filepath.Join(dir, "*.log"))
		require.NoError(t, err)
		return len(names)
	}
	l, _ := open(0)
	for range 100 {
		l.Append(1, bytes.Repeat([]byte("x"), 200))
	}
	require.NoError(t, l.Sync())
	require.Greater(t, segments(), 20)
	require.NoError(t, l.DropHead(90))
	assert.LessOrEqual(t, segments(), 6, "the segments of 11 records, and one ahead")
	var kept []Record
	require.NoError(t, l.Scan(90, 100, collect(&kept)))
	assert.Len(t, kept, 11)
	require.NoError(t, l.Close())

	l, found := open(89)
	assert.Len(t, found, 11)
	require.NoError(t, l.DropHead(101))
	assert.EqualValues(t, 101, l.Append(1, []byte("behind")))
	require.NoError(t, l.Close())
	l, found = open(100)
	assert.Len(t, found, 1)
	require.NoError(t, l.Close())
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Less(t, len(entries), 6)
}

// A follower loses its tail to another leader while its own snapshot has the head dropped: raft does both, on two goroutines.
func TestDropHeadBesideCutTail(t *testing.T) {
	l, _, err := Open(Options{Files: NewMemory(0), SegmentSize: 1024}, 0, func(Record) error { return nil })
	require.NoError(t, err)
	defer func() { require.NoError(t, l.Close()) }()
	for range 300 {
		for range 20 {
			l.Append(1, bytes.Repeat([]byte("x"), 200))
		}
		last := l.Last()
		var dropped sync.WaitGroup
		dropped.Go(func() { assert.NoError(t, l.DropHead(last-10)) })
		require.NoError(t, l.CutTail(last-2))
		dropped.Wait()
		var found []Record
		require.NoError(t, l.Scan(last-10, last, collect(&found)))
		require.Len(t, found, 8)
	}
}
