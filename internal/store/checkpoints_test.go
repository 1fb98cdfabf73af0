package store

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/log"
)

// checkpoint has a checkpoint written.
func (s *opened) checkpoint() {
	s.t.Helper()
	s.Compact()
	s.serveUntil(func() bool { return !s.checkpoints.compact.Load() })
}

// openMany opens a store of so many streams that deltas follow its base.
func openMany(t *testing.T, o Options) *opened {
	s := open(t, o)
	s.Start(s.core)
	for n := range 1000 {
		s.add(fmt.Sprint(n), "text")
		s.serveWaiting()
	}
	return s
}

// A checkpoint behind which nothing was appended is not written again: its file would replace the one that the chain is made of.
func TestACheckpointOfNothingNew(t *testing.T) {
	o := Options{Dir: filepath.Join(t.TempDir(), "log")}
	s := openMany(t, o)
	for range 3 {
		s.add("a", "text")
		for range 3 {
			s.checkpoint()
		}
	}
	s.stop()
	require.NoError(t, s.Close(0))
	s = open(t, o)
	assert.Len(t, s.entries("a"), 3)
	require.NoError(t, s.Close(0))
}

// A crash may leave a delta beside the base that was to replace it, up to the same record: a new key has checkpoints written again.
func TestADeltaBesideItsBase(t *testing.T) {
	o := Options{Dir: filepath.Join(t.TempDir(), "log")}
	s := openMany(t, o)
	s.checkpoint()
	s.add("a", "text")
	s.checkpoint()
	delta := filepath.Join(o.Dir, (&header{number: s.Last()}).name())
	content, err := os.ReadFile(delta)
	require.NoError(t, err)
	require.NoError(t, s.checkpoints.between(t.Context(), func() { s.checkpoints.base = 0 }))
	s.checkpoint()
	require.NoFileExists(t, delta)
	s.stop()
	require.NoError(t, s.log.Close(), "without a last checkpoint")
	require.NoError(t, os.WriteFile(delta, content, 0o600))
	s = open(t, o)
	assert.NoFileExists(t, delta)
	assert.Len(t, s.entries("a"), 1)
	require.NoError(t, s.Close(0))
}

// lackingDisk has no space for a number of checkpoints.
type lackingDisk struct {
	log.Files
	refused atomic.Int32
}

func (d *lackingDisk) Create(name string, size int64) (log.File, error) {
	if strings.HasPrefix(name, prefix) && d.refused.Add(-1) >= 0 {
		return nil, log.ErrFull
	}
	return d.Files.Create(name, size)
}

// A checkpoint for which there is no space is written later, though none becomes due.
func TestACheckpointWithoutSpace(t *testing.T) {
	disk := &lackingDisk{}
	disk.refused.Store(2) // also when the reserve was given up
	s := open(t, Options{Dir: filepath.Join(t.TempDir(), "log"), Wrap: func(f log.Files) log.Files {
		disk.Files = f
		return disk
	}})
	s.Start(s.core)
	s.add("a", "text")
	s.Compact()
	s.serveUntil(func() bool { return s.checkpoints.saved.Load() > 0 })
	s.serveUntil(func() bool { return s.Err() == nil })
	s.stop()
	require.NoError(t, s.Close(0))
}
