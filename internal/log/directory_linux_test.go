package log

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A file system of 1 MiB fills up: appends are refused, what was promised is read, and it goes on once a file is removed.
func TestFullFileSystem(t *testing.T) {
	path := t.TempDir()
	if err := syscall.Mount("tmpfs", path, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("only root mounts a file system: %v", err)
	}
	defer func() { assert.NoError(t, syscall.Unmount(path, 0)) }()
	other := filepath.Join(path, "other")
	require.NoError(t, os.WriteFile(other, make([]byte, 500<<10), 0o600))
	o := Options{Files: openDirectory(t, path), Fsync: Always, SegmentSize: 64 << 10}
	l, _, err := Open(o, 0, nil)
	require.NoError(t, err)
	var model []Record
	for l.Err() == nil {
		require.Less(t, len(model), 1000)
		r := Record{Number: uint64(len(model) + 1), Kind: 1, Payload: make([]byte, 1000)}
		require.Equal(t, r.Number, l.Append(1, r.Payload))
		model = append(model, r)
		if len(model)%10 == 0 {
			waitPromised(l, l.Last())
		}
	}
	require.ErrorIs(t, l.Err(), ErrFull)
	require.NoError(t, l.Failed())
	assert.Greater(t, len(model), 300)
	assert.Equal(t, model, scan(t, l))

	require.NoError(t, os.Remove(other))
	require.NoError(t, l.Sync())
	require.NoError(t, l.Close())
	o.Files = openDirectory(t, path)
	var found []Record
	l, _, err = Open(o, 0, collect(&found))
	require.NoError(t, err)
	assert.Equal(t, model, found)
	require.NoError(t, l.Close())
}

// waitPromised waits until a record is promised, or until there is no space.
func waitPromised(l *Log, number uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.progress.Promised < number && l.progress.Err == nil && !l.full.Load() {
		l.changed.Wait()
	}
}
