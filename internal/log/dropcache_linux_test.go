package log

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// dropCache lets the operating system drop what it has of the files in a directory.
func dropCache(tb testing.TB, path string) {
	tb.Helper()
	names, err := filepath.Glob(filepath.Join(path, "*"))
	require.NoError(tb, err)
	for _, name := range names {
		f, err := os.Open(name)
		require.NoError(tb, err)
		require.NoError(tb, unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED))
		require.NoError(tb, f.Close())
	}
}
