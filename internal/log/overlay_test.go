package log

import (
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What is done to a file of an overlay is what would become of the file, and the file itself stays.
func TestOverlayIsAFile(t *testing.T) {
	seed := uint64(os.Getpid()) //nolint:gosec // a seed
	t.Log("seed", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	dir := t.TempDir()
	base := make([]byte, 3*memoryPage+100)
	for i := range base {
		base[i] = byte(r.Uint32())
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, metaName), base, 0o600))
	files, err := OpenOverlay(dir)
	require.NoError(t, err)
	f, err := files.Open(metaName)
	require.NoError(t, err)
	want := append([]byte(nil), base...)
	resize := func(size int) {
		for len(want) < size {
			want = append(want, 0)
		}
		want = want[:size]
	}
	for range 500 {
		at := r.IntN(5 * memoryPage)
		switch r.IntN(4) {
		case 0:
			p := make([]byte, r.IntN(2*memoryPage))
			for i := range p {
				p[i] = byte(r.Uint32())
			}
			resize(max(len(want), at+len(p)))
			copy(want[at:], p)
			_, err := f.WriteAt(p, int64(at))
			require.NoError(t, err)
		case 1:
			resize(min(at, len(want)))
			require.NoError(t, f.Truncate(int64(len(want))))
		case 2:
			resize(max(at, len(want)))
			require.NoError(t, f.Allocate(int64(at)))
		default:
			p := make([]byte, r.IntN(2*memoryPage))
			n, err := f.ReadAt(p, int64(at))
			from := min(at, len(want))
			require.Equal(t, min(len(p), len(want)-from), n)
			require.Equal(t, n < len(p), errors.Is(err, io.EOF))
			require.Equal(t, want[from:from+n], p[:n])
		}
		size, err := f.Size()
		require.NoError(t, err)
		require.Equal(t, int64(len(want)), size)
	}
	require.NoError(t, files.Close())
	now, err := os.ReadFile(filepath.Join(dir, metaName))
	require.NoError(t, err)
	assert.Equal(t, base, now)
}

func TestOverlayOfNoLog(t *testing.T) {
	_, err := OpenOverlay(filepath.Join(t.TempDir(), "none"))
	require.ErrorIs(t, err, os.ErrNotExist)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "letter.txt"), nil, 0o600))
	_, err = OpenOverlay(dir)
	require.ErrorIs(t, err, ErrNoLog)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, entries, 1, "nothing is made there")
}
