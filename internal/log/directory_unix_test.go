//go:build unix

package log

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func openDirectory(t *testing.T, path string) Files {
	t.Helper()
	files, err := OpenDirectory(path)
	require.NoError(t, err)
	return files
}

// A directory serves one log at a time, and is free again once that is closed.
func TestDirectoryInUse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data", "log")
	l, _, err := Open(Options{Files: openDirectory(t, path), SegmentSize: 4096}, 0, nil)
	require.NoError(t, err)
	_, err = OpenDirectory(path)
	require.ErrorIs(t, err, ErrInUse)
	assert.ErrorContains(t, err, path)
	l.Append(1, []byte("kept"))
	require.NoError(t, l.Close())
	var found []Record
	l, _, err = Open(Options{Files: openDirectory(t, path), SegmentSize: 4096}, 0, collect(&found))
	require.NoError(t, err)
	assert.Len(t, found, 1)
	require.NoError(t, l.Close())
}

// A directory that vanishes is noticed at the next sync: nothing more is promised.
func TestDirectoryVanishes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data")
	l, _, err := Open(Options{Files: openDirectory(t, path), Fsync: Always}, 0, nil)
	require.NoError(t, err)
	l.Append(1, []byte("first"))
	require.NoError(t, l.Sync())
	require.NoError(t, os.RemoveAll(path))
	l.Append(1, []byte("second"))
	err = l.Sync()
	require.ErrorIs(t, err, fs.ErrNotExist)
	assert.ErrorContains(t, err, "removed")
	assert.ErrorContains(t, err, path)
	assert.EqualValues(t, 1, l.Progress().Promised)
	assert.Zero(t, l.Append(1, nil))
	assert.Len(t, scan(t, l), 2, "what is in memory and in open files is read")
	assert.Error(t, l.Close())
}

// A user that may not write gets an error that names the file. Root may write everything, so the test runs again as another user.
func TestNoPermission(t *testing.T) {
	if path := os.Getenv("CONCH_LOG_DENIED"); path != "" {
		_, err := OpenDirectory(path)
		fmt.Fprintln(os.Stdout, "denied:", errors.Is(err, fs.ErrPermission), err)
		return
	}
	path := t.TempDir()
	require.NoError(t, os.Chmod(path, 0o500)) //nolint:gosec // it is to be read
	self, err := os.Executable()
	require.NoError(t, err)
	command := exec.Command(self, "-test.run", "^TestNoPermission$")
	command.Env = append(os.Environ(), "CONCH_LOG_DENIED="+path)
	if os.Getuid() == 0 {
		for _, dir := range []string{path, filepath.Dir(path)} {
			require.NoError(t, os.Chmod(dir, 0o755)) //nolint:gosec // the other user is to get as far as there
		}
		copied := filepath.Join(path, "test")
		b, err := os.ReadFile(self)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(copied, b, 0o755)) //nolint:gosec // the other user runs it
		command.Path, command.Dir = copied, "/"
		command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	out, err := command.CombinedOutput()
	require.NoError(t, err, string(out))
	assert.Contains(t, string(out), "denied: true")
	assert.Contains(t, string(out), filepath.Join(path, "lock"))
}

// A process that is killed while it writes leaves each record that it was promised, and no other bytes than those it appended.
func TestKills(t *testing.T) {
	if path := os.Getenv("CONCH_LOG_KILLED"); path != "" {
		appendUntilKilled(path)
	}
	path := t.TempDir()
	kills := 5
	if testing.Short() {
		kills = 1
	}
	self, err := os.Executable()
	require.NoError(t, err)
	promised := uint64(0)
	for range kills {
		command := exec.Command(self, "-test.run", "^TestKills$")
		command.Env = append(os.Environ(), "CONCH_LOG_KILLED="+path)
		out, err := command.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, command.Start())
		wanted := promised + 100 + rand.Uint64N(500)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			n, err := strconv.ParseUint(strings.TrimSpace(lines.Text()), 10, 64)
			require.NoError(t, err)
			if promised = max(promised, n); n >= wanted {
				break
			}
		}
		require.NoError(t, command.Process.Kill())
		_ = command.Wait() // it was killed
		number := uint64(0)
		l, recovery, err := Open(killOptions(openDirectory(t, path)), 0, func(r Record) error {
			number++
			if r.Number != number || string(r.Payload) != killPayload(number) {
				return fmt.Errorf("record %d is not the one that was appended: %q", number, r.Payload)
			}
			return nil
		})
		require.NoError(t, err)
		assert.Empty(t, recovery.Damages)
		assert.False(t, recovery.Clean)
		require.GreaterOrEqual(t, recovery.Last, promised)
		promised = recovery.Last
		require.NoError(t, l.Close())
	}
	t.Logf("%d kills, %d records", kills, promised)
}

func killOptions(files Files) Options {
	return Options{Files: files, Fsync: Always, SegmentSize: 64 << 10}
}

func killPayload(number uint64) string {
	return strings.Repeat(fmt.Sprint(number, " "), int(number%50))
}

// appendUntilKilled prints what is promised.
func appendUntilKilled(path string) {
	files, err := OpenDirectory(path)
	if err != nil {
		panic(err)
	}
	o := killOptions(files)
	o.Progress = func(p Progress) { fmt.Fprintln(os.Stdout, p.Promised) }
	l, _, err := Open(o, 0, func(Record) error { return nil })
	if err != nil {
		panic(err)
	}
	for {
		if l.Unsynced() < 10_000 {
			l.Append(1, []byte(killPayload(l.Last()+1)))
		}
	}
}

// Memory is bounded: beyond the bound the disk is full, and what is removed makes room.
func TestMemoryIsBounded(t *testing.T) {
	m := NewMemory(4 * memoryPage)
	_, err := m.Create("a", 4*memoryPage+1)
	assert.True(t, isFull(err))
	assert.Zero(t, m.Used())
	f, err := m.Create("a", memoryPage)
	require.NoError(t, err)
	assert.EqualValues(t, memoryPage, m.Used(), "it is taken ahead")
	n, err := f.WriteAt(make([]byte, 10*memoryPage), 100)
	assert.True(t, isFull(err))
	assert.Equal(t, 4*memoryPage-100, n)
	assert.EqualValues(t, 4*memoryPage, m.Used())
	require.NoError(t, f.Truncate(memoryPage))
	assert.EqualValues(t, memoryPage, m.Used())
	b := make([]byte, 10)
	_, err = f.ReadAt(b, memoryPage)
	assert.Error(t, err, "behind its end")
	require.NoError(t, m.Remove("a"))
	assert.EqualValues(t, memoryPage, m.Used(), "an open file can be read")
	require.NoError(t, f.Close())
	assert.Zero(t, m.Used())
}

// A directory that is moved away while a link to another one takes its name stays the one that is written.
func TestADirectoryThatIsMoved(t *testing.T) {
	path, moved, other := filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "moved"), t.TempDir()
	o := Options{Files: openDirectory(t, path), Fsync: Always, SegmentSize: 4096}
	l, _, err := Open(o, 0, nil)
	require.NoError(t, err)
	l.Append(1, make([]byte, 1000))
	require.NoError(t, l.Sync())
	require.NoError(t, os.Rename(path, moved))
	require.NoError(t, os.Symlink(other, path))
	for range 20 { // several segments
		l.Append(1, make([]byte, 1000))
	}
	require.NoError(t, l.Begin(1, 0))
	require.NoError(t, l.Sync())
	require.NoError(t, l.Close())
	names, err := os.ReadDir(other)
	require.NoError(t, err)
	assert.Empty(t, names)
	var found []Record
	l, _, err = Open(Options{Files: openDirectory(t, moved)}, 0, collect(&found))
	require.NoError(t, err)
	assert.Len(t, found, 21)
	require.NoError(t, l.Close())
}
