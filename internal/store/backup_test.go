package store

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/backup"
	"github.com/conchmq/conch/internal/faulty"
	"github.com/conchmq/conch/internal/log"
	"github.com/conchmq/conch/internal/position"
	"github.com/conchmq/conch/internal/testseed"
)

// restored restores a backup, and opens it. The state is whole: each entry has its record.
func restored(t *testing.T, folder string) (*opened, *backup.Manifest) {
	t.Helper()
	return restoredWith(t, folder, Options{})
}

func restoredWith(t *testing.T, folder string, o Options) (*opened, *backup.Manifest) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "restored")
	m, err := backup.Restore(context.Background(), folder, dir, func(d backup.Damage) { t.Error(d) }, func(backup.Progress) {})
	require.NoError(t, err)
	o.Dir, o.SegmentSize, o.Fsync = dir, MinSegmentSize, FsyncAlways
	v, faults := verifyWith(t, o)
	require.Empty(t, faults)
	require.EqualValues(t, v.Visible, dumpedInOrder(t, o))
	return open(t, o), m
}

// dumpedInOrder returns how many entries a dump has, which is in the one order.
func dumpedInOrder(t *testing.T, o Options) (entries int) {
	t.Helper()
	s, err := OpenReadOnly(o)
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close(0)) }()
	var out bytes.Buffer
	entries, err = s.Dump(&out, DumpOptions{})
	require.NoError(t, err)
	last := uint64(0)
	for line := range bytes.Lines(out.Bytes()) {
		var e dumpedEntry
		require.NoError(t, json.Unmarshal(line, &e))
		p, err := position.ParseFrom(e.Position)
		require.NoError(t, err)
		require.Greater(t, p.Number, last)
		last = p.Number
	}
	return entries
}

// backUp runs a backup to its end, while the core serves visits and does something else between them.
func (s *opened) backUp(folder string, meanwhile func()) {
	s.t.Helper()
	require.NoError(s.t, s.Backup(folder))
	s.serveUntil(func() bool {
		meanwhile()
		return !s.BackupStatus().Running
	})
	require.NoError(s.t, s.BackupStatus().Err)
}

// Backups are made while appends, deletions, checkpoints and the rewriter go on. Each has the state at one instant, and all its entries; the
// next one copies what is new.
func TestBackupsUnderLoad(t *testing.T) {
	t.Run("plain", func(t *testing.T) { backupsUnderLoad(t, Options{}) })
	t.Run("compressed and encrypted", func(t *testing.T) {
		backupsUnderLoad(t, Options{Compress: log.CompressZstd, KeyFile: keyFile(t, "1")})
	})
}

func backupsUnderLoad(t *testing.T, o Options) {
	seed := testseed.New()
	t.Log("seed", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	base := t.TempDir()
	o.Dir, o.SegmentSize, o.Fsync, o.CheckpointEvery = filepath.Join(base, "log"), MinSegmentSize, FsyncAlways, 100<<10
	s := open(t, o)
	s.Start(s.core)
	digests := make(map[uint64][32]byte)
	text := strings.Repeat("y", 3000)
	change := func() {
		for range 1 + r.IntN(5) {
			name := fmt.Sprintf("s%d", r.IntN(20))
			if st := s.Streams().Lookup([]byte(name)); st != nil && r.IntN(40) == 0 {
				s.remove(name)
			} else {
				s.add(name, text[:r.IntN(len(text))])
			}
			digests[s.Last()] = s.Streams().Digest()
		}
		if r.IntN(50) == 0 {
			s.log.Dead()
		}
		for len(s.synced) > 0 {
			<-s.synced
		}
		if s.Unsynced() > 1<<20 { // clients would wait
			require.NoError(t, s.Sync())
		}
	}
	folder, earlier := filepath.Join(base, "backup"), make(map[string]string) // what the last manifest lists
	for i := range 4 {
		for range 150 {
			change()
			s.serveWaiting()
		}
		if i == 2 {
			folder = filepath.Join(base, "another")
		}
		s.backUp(folder, change)
		status := s.BackupStatus()
		copied, m := restoredWith(t, folder, Options{KeyFile: o.KeyFile})
		assert.Equal(t, digests[m.Record], copied.Streams().Digest(), "backup %d", i)
		assert.Equal(t, status.Sequence, m.Sequence)
		assert.Equal(t, m.Sequence, copied.Sequence())
		isNew := 0
		for _, f := range m.Files {
			if !strings.Contains(earlier[folder], f.Stored) {
				isNew++
			}
		}
		assert.Equal(t, isNew, status.Copied+status.Linked, "backup %d copies what is new", i)
		earlier[folder] = fmt.Sprint(m.Files)
		require.NoError(t, copied.Close(0))
	}
	for range 100_000 { // a busy machine gives the rewriter its turn later
		if s.log.Stats().Removed+s.log.Stats().Rewritten > 0 {
			break
		}
		change()
		s.log.Dead()
		s.serveWaiting()
	}
	require.Positive(t, s.log.Stats().Removed+s.log.Stats().Rewritten, "the rewriter was at work")
	s.stop()
	require.NoError(t, s.Close(0))
}

// A start on a restored directory begins a new epoch. The epoch of the backup has not ended cleanly: what came behind the backup is unknown.
func TestEpochsOfARestore(t *testing.T) {
	base := t.TempDir()
	o := Options{Dir: filepath.Join(base, "log"), Fsync: FsyncAlways}
	s := open(t, o)
	s.add("a", "one")
	first := s.Epoch()
	require.NoError(t, s.Close(0))
	s = open(t, o)
	s.Start(s.core)
	second := s.Epoch()
	s.add("a", "two")
	s.backUp(filepath.Join(base, "backup"), func() {})
	s.add("a", "behind the backup")
	s.stop()
	require.NoError(t, s.Close(0))

	copied, _ := restored(t, filepath.Join(base, "backup"))
	assert.Equal(t, []string{"one", "two"}, copied.entries("a"))
	assert.NotContains(t, []string{first, second}, copied.Epoch())
	_, ok := copied.Resolve(second, 2)
	assert.False(t, ok)
	var names []string
	for _, e := range copied.epochs {
		names = append(names, epochName(e.ID))
	}
	assert.Equal(t, []string{first, second, copied.Epoch()}, names, "earlier epochs stay listed")
	copied.add("a", "goes on")
	assert.Equal(t, []string{"one", "two", "goes on"}, copied.entries("a"))
	require.NoError(t, copied.Close(0))
}

// Linked files are those of the store: what that does later must not change them.
func TestALinkedBackupStays(t *testing.T) {
	base := t.TempDir()
	o := Options{Dir: filepath.Join(base, "log"), SegmentSize: MinSegmentSize, Fsync: FsyncAlways}
	s := open(t, o)
	s.Start(s.core)
	s.add("a", "before")
	folder := filepath.Join(base, "backup")
	s.backUp(folder, func() {})
	before := files(t, folder)
	for range 3 { // clean stops and starts, and a kill
		s.add("a", strings.Repeat("z", 40<<10))
		s.stop()
		require.NoError(t, s.Close(0))
		s = open(t, o)
		s.Start(s.core)
	}
	assert.Equal(t, before, files(t, folder))
	require.NoError(t, backup.Check(context.Background(), folder, manifest(t, folder), func(d backup.Damage) { t.Error(d) }, func(backup.Progress) {}))
	s.stop()
	require.NoError(t, s.Close(0))
}

func manifest(t *testing.T, folder string) *backup.Manifest {
	t.Helper()
	m, err := backup.Read(folder)
	require.NoError(t, err)
	return m
}

func TestBackupsThatAreRefused(t *testing.T) {
	base := t.TempDir()
	dir := filepath.Join(base, "log")
	s := open(t, Options{Dir: dir, Fsync: FsyncAlways})
	s.Start(s.core)
	s.add("a", "one")
	require.ErrorContains(t, s.Backup("relative/folder"), "begins with /")
	require.ErrorContains(t, s.Backup(dir), "the directory of the store")
	require.ErrorContains(t, s.Backup(filepath.Join(dir, "sub")), "the directory of the store")
	require.NoDirExists(t, filepath.Join(dir, "sub"))
	require.NoError(t, s.Backup(filepath.Join(base, "one")))
	require.ErrorContains(t, s.Backup(filepath.Join(base, "two")), "is running; LOG STATUS shows how far it is")
	s.serveUntil(func() bool { return !s.BackupStatus().Running })
	require.NoError(t, s.BackupStatus().Err)

	_, _, err := BackupDirectory(context.Background(), Options{Dir: dir}, filepath.Join(base, "three"), func(backup.Progress) {})
	require.ErrorContains(t, err, "a conch runs on "+dir)
	s.stop()
	require.ErrorContains(t, s.Backup(filepath.Join(base, "four")), "conch is stopping")
	require.NoError(t, s.Close(0))

	memory := open(t, Options{})
	require.ErrorContains(t, memory.Backup(filepath.Join(base, "five")), "streams are in memory")
	require.NoError(t, memory.Close(0))
}

// A stop ends a backup: it waits for nothing, and the folder has what it had.
func TestAStopEndsABackup(t *testing.T) {
	base := t.TempDir()
	s := open(t, Options{Dir: filepath.Join(base, "log"), Fsync: FsyncAlways})
	s.Start(s.core)
	s.add("a", "one")
	require.NoError(t, s.Backup(filepath.Join(base, "backup")))
	s.stop()
	if err := s.BackupStatus().Err; err != nil { // else it had ended by then
		require.ErrorContains(t, err, "conch was stopped")
		_, err := backup.Read(filepath.Join(base, "backup"))
		require.ErrorIs(t, err, backup.ErrNone)
	}
	require.NoError(t, s.Close(0))
}

// The directory of a conch that does not run is copied: after a clean stop, and after a kill.
func TestBackupDirectory(t *testing.T) {
	dir, digest := filled(t)
	base := t.TempDir()
	killed := filepath.Join(base, "killed")
	owner := open(t, Options{Dir: dir, SegmentSize: MinSegmentSize, Fsync: FsyncAlways})
	owner.add("orders.1", "not in a checkpoint")
	require.NoError(t, owner.log.Sync())
	killedDigest := owner.Streams().Digest()
	require.NoError(t, faulty.CopyLive(killed, dir))
	require.NoError(t, owner.Close(0))

	for _, c := range []struct {
		dir    string
		digest [32]byte
	}{{dir, killedDigest}, {killed, killedDigest}} {
		before := files(t, c.dir)
		folder := filepath.Join(t.TempDir(), "backup")
		r, damages, err := BackupDirectory(context.Background(), Options{Dir: c.dir}, folder, func(backup.Progress) {})
		require.NoError(t, err)
		assert.Empty(t, damages)
		assert.Zero(t, r.Linked)
		assert.Equal(t, before, files(t, c.dir), "nothing is written there")
		copied, m := restored(t, folder)
		assert.Equal(t, c.digest, copied.Streams().Digest())
		assert.EqualValues(t, 409, m.Sequence)
		require.NoError(t, copied.Close(0))
	}
	assert.NotEqual(t, digest, killedDigest)
	none := filepath.Join(base, "none")
	_, _, err := BackupDirectory(context.Background(), Options{Dir: none}, filepath.Join(base, "folder"), func(backup.Progress) {})
	require.ErrorContains(t, err, none)
	require.NoDirExists(t, none)
	lock, err := log.LockDirectory(killed)
	require.NoError(t, err)
	require.NoError(t, lock.Close())
}

// A store without space for a segment has no backup, and nothing becomes worse; once there is space, it has.
func TestABackupOnAFullDisk(t *testing.T) {
	base := t.TempDir()
	s := open(t, Options{Dir: filepath.Join(base, "log"), Fsync: FsyncAlways, SegmentSize: MinSegmentSize, Wrap: func(f log.Files) log.Files {
		d := &smallDisk{Files: f}
		d.room.Store(4)
		return d
	}})
	s.Start(s.core)
	for text := strings.Repeat("x", 1000); s.Err() == nil; {
		s.add("a", text)
		s.serveUntil(func() bool { return s.Unsynced() == 0 })
	}
	folder := filepath.Join(base, "backup")
	require.NoError(t, s.Backup(folder))
	s.serveUntil(func() bool { return !s.BackupStatus().Running })
	require.ErrorContains(t, s.BackupStatus().Err, "has no space for a new segment, which a backup begins")
	_, err := backup.Read(folder)
	require.ErrorIs(t, err, backup.ErrNone)
	s.remove("a")
	s.Died(200)
	s.serveUntil(func() bool { return s.Err() == nil })
	s.add("b", "text")
	s.serveUntil(func() bool { return s.Unsynced() == 0 })
	s.backUp(folder, func() {})
	copied, _ := restored(t, folder)
	assert.Equal(t, []string{"text"}, copied.entries("b"))
	require.NoError(t, copied.Close(0))
	s.stop()
	require.NoError(t, s.Close(0))
}
