package log

import (
	"io/fs"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// countingFiles counts the files that are open.
type countingFiles struct {
	Files
	open, most atomic.Int64
	read       atomic.Int64 // bytes
}

func (c *countingFiles) count(f File, err error) (File, error) {
	if err != nil {
		return nil, err
	}
	n := c.open.Add(1)
	for most := c.most.Load(); n > most && !c.most.CompareAndSwap(most, n); most = c.most.Load() {
	}
	return &countedFile{f, c}, nil
}

func (c *countingFiles) Open(name string) (File, error) { return c.count(c.Files.Open(name)) }

func (c *countingFiles) Create(name string, size int64) (File, error) {
	return c.count(c.Files.Create(name, size))
}

type countedFile struct {
	File
	files *countingFiles
}

func (f *countedFile) ReadAt(p []byte, at int64) (int, error) {
	n, err := f.File.ReadAt(p, at)
	f.files.read.Add(int64(n))
	return n, err
}

func (f *countedFile) Close() error {
	f.files.open.Add(-1)
	return f.File.Close()
}

// A log of many segments has few files open, and reads all of them; segments that are pinned are readable when they have lost their names.
func TestFewFilesAreOpen(t *testing.T) {
	r := newRand(t)
	files := &countingFiles{Files: NewMemory(0)}
	o := Options{Files: keep{files}, SegmentSize: 4096, Recent: 1}
	e := openEntries(t, r, o)
	for range 3000 {
		e.append(200, 1+r.Uint64N(3))
	}
	require.NoError(t, e.Close())
	assert.Zero(t, files.open.Load())
	e.open(t, o)
	require.Greater(t, e.Stats().Segments, 2*(maxClean+maxWritten))
	e.requireRandomRanges(t, 30, 3)
	require.NoError(t, e.awaitSyncer())
	assert.LessOrEqual(t, files.open.Load(), int64(maxClean+maxWritten))
	assert.LessOrEqual(t, files.most.Load(), int64(maxClean+maxWritten+5), "some are open for a moment")

	want := e.visibleOf(1, 0, e.last[1])
	p := e.Pin(1, 1, e.last[1])
	e.remove(1, 0, e.last[1]-10)
	e.remove(2, 0, e.last[2])
	e.cutHead(t)
	require.NoError(t, e.giveBack())
	found, err := pinned(p, false)
	require.NoError(t, err)
	assert.Equal(t, want, found)
	p.Release()
	e.requireRandomRanges(t, 10, 3)
	require.NoError(t, e.Close())
	assert.Zero(t, files.open.Load())
}

// Files that are read, written, renamed, removed and closed side by side are what their users have opened, however few are open.
func TestHandlesSideBySide(t *testing.T) {
	h := newHandles(&countingFiles{Files: NewMemory(0)})
	h.maxClean, h.maxWritten = 2, 1
	var users sync.WaitGroup
	for user := range byte(4) {
		users.Go(func() {
			r := rand.New(rand.NewPCG(uint64(user), 1))
			for n := range 200 {
				name := string('a'+user) + string(rune('0'+n%10))
				f, err := h.Create(name, 0)
				if !assert.NoError(t, err) {
					return
				}
				content := []byte{user, byte(n)}
				_, err = f.WriteAt(content, 0)
				assert.NoError(t, err)
				if r.IntN(2) == 0 {
					assert.NoError(t, f.Sync())
				}
				g, err := h.Open(name)
				assert.NoError(t, err)
				switch r.IntN(3) {
				case 0:
					assert.NoError(t, h.Remove(name))
				case 1:
					assert.NoError(t, h.Rename(name, name+"x"))
				}
				for _, f := range []File{f, g} {
					b := make([]byte, 2)
					_, err := f.ReadAt(b, 0)
					assert.NoError(t, err)
					assert.Equal(t, content, b)
				}
				assert.NoError(t, g.Close())
				assert.NoError(t, f.Close())
				_, err = f.ReadAt(content, 0)
				assert.ErrorIs(t, err, fs.ErrClosed)
			}
		})
	}
	users.Wait()
	files, _ := h.Files.(*countingFiles)
	assert.Zero(t, files.open.Load())
	assert.Zero(t, h.clean.Len()+h.written.Len()+len(h.named))
	assert.LessOrEqual(t, files.most.Load(), int64(2+1+4*2))
}
