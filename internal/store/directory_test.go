//go:build unix

package store

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A directory that is not what it should be is refused by one line, or serves what is whole and reports the rest. Nothing in it is lost.
func TestDirectoriesThatAreNotAsTheyWereLeft(t *testing.T) {
	segment := func(dir string, n int) string {
		names, err := filepath.Glob(filepath.Join(dir, "*.log"))
		require.NoError(t, err)
		require.Greater(t, len(names), 2)
		return names[n]
	}
	write := func(name, text string) { require.NoError(t, os.WriteFile(name, []byte(text), 0o600)) }
	const entries = 200
	for _, test := range []struct {
		sentence string
		change   func(dir string)
		err      string   // what the error ends with; DIR stands for the directory
		damages  []string // else: the files that are reported
	}{
		{"as it was left", func(string) {}, "", nil},
		{"a file of another program beside the log", func(dir string) { write(dir+"/notes.txt", "mine") }, "", nil},
		{"a name that looks like a segment", func(dir string) { write(dir+"/7.log", "mine"); write(dir+"/x.log", "mine") }, "", nil},
		{"log.meta is gone", func(dir string) { require.NoError(t, os.Remove(dir+"/log.meta")) }, "", []string{"log.meta"}},
		{"log.meta is garbage", func(dir string) { write(dir+"/log.meta", strings.Repeat("garbage", 100)) }, "", []string{"log.meta"}},
		{"log.meta is empty", func(dir string) { write(dir+"/log.meta", "") }, "", []string{"log.meta"}},
		{"log.meta is a directory", func(dir string) {
			require.NoError(t, os.Remove(dir+"/log.meta"))
			require.NoError(t, os.Mkdir(dir+"/log.meta", 0o700))
		}, "DIR/log.meta: is a directory", nil},
		{"a segment is a directory", func(dir string) {
			name := segment(dir, 1)
			require.NoError(t, os.Remove(name))
			require.NoError(t, os.Mkdir(name, 0o700))
		}, ".log: is a directory", nil},
		{"a segment of another log", func(dir string) {
			other := fill(t, filepath.Join(t.TempDir(), "log"), entries)
			b, err := os.ReadFile(segment(other, 1))
			require.NoError(t, err)
			write(segment(dir, 1), string(b))
		}, "00000000000000000002.log belongs to another log", nil},
		{"the lock is a directory", func(dir string) {
			require.NoError(t, os.Remove(dir+"/lock"))
			require.NoError(t, os.Mkdir(dir+"/lock", 0o700))
		}, "DIR/lock: is a directory", nil},
		{"a link leads to it", func(dir string) {
			require.NoError(t, os.Rename(dir, dir+"-moved"))
			require.NoError(t, os.Symlink(dir+"-moved", dir))
		}, "", nil},
		{"a link leads nowhere", func(dir string) {
			require.NoError(t, os.Rename(dir, dir+"-moved"))
			require.NoError(t, os.Symlink(dir+"-nowhere", dir))
		}, "the directory DIR cannot be used: it is, or is in, something else", nil},
		{"links lead to each other", func(dir string) {
			require.NoError(t, os.Rename(dir, dir+"-moved"))
			require.NoError(t, os.Symlink(dir, dir+"-circle"))
			require.NoError(t, os.Symlink(dir+"-circle", dir))
		}, "the directory DIR cannot be used: it is, or is in, something else", nil},
	} {
		t.Run(test.sentence, func(t *testing.T) {
			dir := fill(t, filepath.Join(t.TempDir(), "log"), entries)
			test.change(dir)
			s, err := Open(Options{Dir: dir, SegmentSize: MinSegmentSize})
			if test.err != "" {
				require.Error(t, err)
				assert.NotContains(t, err.Error(), "\n")
				assert.Contains(t, err.Error(), "the directory "+dir)
				assert.True(t, strings.HasSuffix(err.Error(), strings.ReplaceAll(test.err, "DIR", dir)), err.Error())
				return
			}
			require.NoError(t, err)
			var damaged []string
			for _, d := range s.recovery.Damages {
				damaged = append(damaged, d.File)
			}
			assert.Equal(t, test.damages, damaged)
			assert.Len(t, (&opened{Store: s, t: t}).entries("a"), entries)
			require.NoError(t, s.Close(s.Sequence()))
		})
	}
}

// fill makes a directory with a stream.
func fill(t *testing.T, dir string, entries int) string {
	t.Helper()
	s := open(t, Options{Dir: dir, SegmentSize: MinSegmentSize})
	for range entries {
		s.add("a", strings.Repeat("x", 1000))
	}
	require.NoError(t, s.Close(s.sequence))
	return dir
}

// A file system that may not be written is an error of one line.
func TestAReadOnlyFileSystem(t *testing.T) {
	disk := t.TempDir()
	if err := syscall.Mount("conch", disk, "tmpfs", 0, "size=2m"); err != nil {
		t.Skipf("a small disk cannot be mounted here: %s", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(disk, syscall.MNT_DETACH) })
	dir := fill(t, filepath.Join(disk, "log"), 10)
	require.NoError(t, syscall.Mount("conch", disk, "tmpfs", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""))
	for _, dir := range []string{dir, filepath.Join(disk, "new")} {
		_, err := Open(Options{Dir: dir})
		assert.EqualError(t, err, "the directory "+dir+" cannot be used: its file system is read-only")
	}
}
