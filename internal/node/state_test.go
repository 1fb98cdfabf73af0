package node

import (
	"archive/tar"
	"bytes"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const segment = "0000000000000001.log"

func write(t *testing.T, text string, path ...string) {
	t.Helper()
	name := filepath.Join(path...)
	require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o700))
	require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
}

func read(t *testing.T, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(path...))
	require.NoError(t, err)
	return string(text)
}

func sum(text string) uint32 { return crc32.ChecksumIEEE([]byte(text)) }

// A start goes on with the steps of a new state wherever a crash has interrupted them.
func TestPrepareGoesOn(t *testing.T) {
	for _, c := range []struct {
		name, at, want string
		others         []string // files that are left
	}{
		{"it has come in part", coming, "old", []string{"lock", "log.meta", segment}},
		{"it is here", received, "new", []string{"lock", segment}},
		{"the old one is gone, and a part is in place", replaced, "new", []string{"lock", "log.meta", segment}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, "old", dir, segment)
			write(t, "old or in place", dir, "log.meta")
			write(t, "new", dir, "cluster", c.at, segment)
			for range 2 {
				require.NoError(t, Prepare(dir))
				assert.Equal(t, c.want, read(t, dir, segment))
				for _, step := range []string{coming, received, replaced} {
					assert.NoDirExists(t, filepath.Join(dir, "cluster", step))
				}
				entries, err := os.ReadDir(dir)
				require.NoError(t, err)
				var left []string
				for _, e := range entries {
					if !e.IsDir() {
						left = append(left, e.Name())
					}
				}
				assert.ElementsMatch(t, c.others, left)
			}
		})
	}
}

// A state is written whole, in pieces, or not at all.
func TestUntar(t *testing.T) {
	long := string(bytes.Repeat([]byte("0123456789"), syncEvery/10+1))
	state := func(name, end string) *bytes.Buffer {
		var b bytes.Buffer
		out := tar.NewWriter(&b)
		for _, f := range [][2]string{{name, long}, {"empty", ""}, {"exact", long[:syncEvery]}} {
			require.NoError(t, out.WriteHeader(&tar.Header{Name: f[0], Size: int64(len(f[1]))}))
			_, err := io.WriteString(out, f[1])
			require.NoError(t, err)
		}
		require.NoError(t, out.Close())
		b.WriteString(end)
		return &b
	}
	dir := filepath.Join(t.TempDir(), "new")
	require.NoError(t, untar(state("long", stateEnd), dir))
	assert.Equal(t, sum(long), sum(read(t, dir, "long")))
	assert.Empty(t, read(t, dir, "empty"))
	assert.Equal(t, sum(long[:syncEvery]), sum(read(t, dir, "exact")))

	next := func() string { return filepath.Join(t.TempDir(), "new") }
	assert.ErrorContains(t, untar(state("long", "the"), next()), "too early")
	assert.ErrorContains(t, untar(state("../long", stateEnd), next()), "no name of a file")
	short := state("long", stateEnd)
	short.Truncate(syncEvery)
	assert.ErrorIs(t, untar(short, next()), io.ErrUnexpectedEOF)
}
