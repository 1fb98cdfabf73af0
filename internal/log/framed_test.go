package log

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/conchmq/conch/internal/testseed"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A file with layers looks like a plain one: whatever is written, cut, left out and filled, its content is the same, also once it is opened again.
func TestALayeredFileLooksLikeAPlainOne(t *testing.T) {
	seed := testseed.New()
	t.Logf("seed %d", seed)
	for i := range 400 {
		rng := rand.New(rand.NewPCG(seed, uint64(i)))
		layers := Layers{Compress: Compression(rng.IntN(3))}
		if layers.Compress == CompressNone || rng.IntN(2) == 0 {
			layers.Key = keyOf(1)
		}
		require.NoError(t, compareWithModel(rng, layers), "run %d, %+v", i, layers)
	}
}

func compareWithModel(rng *rand.Rand, layers Layers) error {
	d := newDisk()
	hot := rng.IntN(2) == 0
	f, err := WithLayers(d, layers).Create("file", map[bool]int64{true: 10_000, false: 0}[hot])
	if err != nil {
		return err
	}
	var model []byte
	gap := 0
	if !hot && rng.IntN(2) == 0 { // the beginning comes last
		gap = 1 + rng.IntN(100)
		model = make([]byte, gap)
	}
	for range rng.IntN(30) {
		switch n := rng.IntN(10); {
		case n == 0 && len(model) > gap:
			size := gap + 1 + rng.IntN(len(model)-gap)
			if err := f.Truncate(int64(size)); err != nil {
				return err
			}
			model = model[:size]
		case n == 1 && hot && len(model) > 0:
			if f, err = reopenFile(d, layers, f); err != nil {
				return err
			}
		case n == 2 && hot && len(model) > 0: // a write before the end cuts
			at := rng.IntN(len(model))
			p := someContent(rng, 2000)
			if _, err := writeAll(f, p, int64(at)); err != nil {
				return err
			}
			model = append(model[:at], p...)
		case n == 3:
			if err := compareReads(rng, f, model, gap); err != nil {
				return err
			}
		default:
			p := someContent(rng, 3000<<rng.IntN(8))
			if _, err := writeAll(f, p, int64(len(model))); err != nil {
				return err
			}
			model = append(model, p...)
		}
	}
	if gap > 0 && len(model) > gap {
		copy(model, someContent(rng, gap))
		if _, err := writeAll(f, model[:gap], 0); err != nil {
			return err
		}
	}
	if len(model) == gap {
		return nil // what is allocated and not written is plain zeros
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := compareReads(rng, f, model, 0); err != nil {
		return err
	}
	if f, err = reopenFile(d, layers, f); err != nil {
		return err
	}
	if err := compareReads(rng, f, model, 0); err != nil {
		return fmt.Errorf("opened again: %w", err)
	}
	return nil
}

func reopenFile(d *disk, layers Layers, f File) (File, error) {
	if err := f.Close(); err != nil {
		return nil, err
	}
	return WithLayers(d, layers).Open("file")
}

// compareReads compares the size, all of the content behind a gap, and a part.
func compareReads(rng *rand.Rand, f File, model []byte, gap int) error {
	if size, err := f.Size(); err != nil || len(model) > gap && size != int64(len(model)) {
		return fmt.Errorf("the size is %d, not %d: %w", size, len(model), err)
	}
	from := gap
	for _, size := range []int{len(model) - gap, rng.IntN(3000), frameSize} {
		if from > len(model) {
			continue
		}
		b := make([]byte, size)
		n, err := f.ReadAt(b, int64(from))
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if want := model[from:min(from+size, len(model))]; !bytes.Equal(want, b[:n]) {
			return fmt.Errorf("%d bytes from %d on are others: %d", len(want), from, n)
		}
		if n < size && !errors.Is(err, io.EOF) {
			return fmt.Errorf("%d of %d bytes without the end of the file", n, size)
		}
		from = gap + rng.IntN(max(1, len(model)-gap))
	}
	return nil
}

// someContent is bytes that compress, or do not.
func someContent(rng *rand.Rand, longest int) []byte {
	b := make([]byte, 1+rng.IntN(longest))
	if rng.IntN(2) == 0 {
		return bytes.Repeat([]byte("content "), 1+len(b)/8)[:len(b)]
	}
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

// nonces is Files beneath layers that sees each frame that is written.
type nonces struct {
	Files
	layers *Layered

	mu    sync.Mutex        // guards what follows: files are written side by side
	seen  map[string]string // what was encrypted with a subkey and a nonce
	twice []string
}

type noncesFile struct {
	File
	name  string
	files *nonces
}

func (n *nonces) Create(name string, size int64) (File, error) {
	f, err := n.Files.Create(name, size)
	return &noncesFile{f, name, n}, err
}

func (n *nonces) Open(name string) (File, error) {
	f, err := n.Files.Open(name)
	if err != nil {
		return nil, err
	}
	return &noncesFile{f, name, n}, nil
}

func (f *noncesFile) WriteAt(p []byte, at int64) (int, error) {
	if x, err := f.files.layers.newFramed(f.name, f.File); err == nil {
		f.files.mu.Lock()
		defer f.files.mu.Unlock()
		eachFrame(p, x.seed, func(h frameHeader, _ int, body []byte) {
			if h.kind&frameBit == 0 {
				return
			}
			id := fmt.Sprintf("%x %d", h.salt, h.nonce)
			if before, ok := f.files.seen[id]; ok && before != string(body) {
				f.files.twice = append(f.files.twice, fmt.Sprintf("%s: nonce %s at %d", f.name, id, at))
			}
			f.files.seen[id] = string(body)
		})
	}
	return f.File.WriteAt(p, at)
}

// No subkey encrypts two frames with one nonce, over crashes that lose the tail, cuts of the tail, and restarts.
func TestNoNonceTwice(t *testing.T) {
	seed := testseed.New()
	t.Logf("seed %d", seed)
	total := 0
	for i := range 50 {
		seen := map[string]string{}
		rng := rand.New(rand.NewPCG(seed+uint64(i), 1))
		c := &lives{rng: rng, disk: newDisk(), first: 1, head: 1, newHead: 1}
		c.o = Options{Fsync: Always, SegmentSize: 4096, Recent: 1, Progress: func(Progress) {}}
		for range 5 {
			n := &nonces{Files: c.disk, seen: seen}
			n.layers = WithLayers(n, Layers{Compress: CompressS2, Key: keyOf(1)})
			c.o.Files = n.layers
			require.Empty(t, c.open(), "run %d", i)
			if c.l != nil {
				c.live()
			}
			c.end()
			require.Empty(t, n.twice, "run %d", i)
		}
		total += len(seen)
	}
	assert.Greater(t, total, 500)
}

// Whatever bytes a file has, it is opened or refused, and read to its end.
func FuzzLayers(f *testing.F) {
	for _, layers := range []Layers{{Compress: CompressS2}, {Compress: CompressZstd, Key: keyOf(1)}} {
		d := newDisk()
		x, err := WithLayers(d, layers).Create("file", 1)
		require.NoError(f, err)
		for range 5 {
			size, err := x.Size()
			require.NoError(f, err)
			_, err = x.WriteAt(bytes.Repeat([]byte("content "), 100), size)
			require.NoError(f, err)
		}
		f.Add(slices.Clone(d.names["file"].current))
		require.NoError(f, x.(*framed).finish())
		f.Add(slices.Clone(d.names["file"].current))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		d := image{"file": content}.disk()
		x, err := WithLayers(d, Layers{Compress: CompressS2, Key: keyOf(1)}).Open("file")
		if err != nil {
			return
		}
		size, err := x.Size()
		require.NoError(t, err)
		b := make([]byte, min(size, 1<<20))
		n, err := x.ReadAt(b, 0)
		require.NoError(t, ignoreEnd(err))
		require.Len(t, b, n)
		require.NoError(t, x.Truncate(size/2))
		_, err = x.WriteAt([]byte("more"), min(size/2, 1<<30))
		require.NoError(t, err)
	})
}
