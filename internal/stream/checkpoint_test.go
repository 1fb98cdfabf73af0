package stream

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// save writes a checkpoint at once.
func save(t *testing.T, s *Streams, base bool) *bytes.Buffer {
	var file bytes.Buffer
	c := s.Freeze(base)
	var part *Part
	for done := false; !done; {
		part, done = c.Collect(100, part)
		n, err := part.WriteTo(&file)
		require.NoError(t, err)
		require.Positive(t, n)
	}
	c.Saved()
	return &file
}

// A checkpoint of very many small streams leaves less garbage than it has bytes.
func TestCheckpointUsesMemoryAgain(t *testing.T) {
	k := newCore(t)
	for i := range 10_000 {
		k.add(fmt.Sprint("stream:", i), "1")
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	c, size := k.s.Freeze(true), int64(0)
	var part *Part
	for done := false; !done; {
		part, done = c.Collect(100, part)
		n, err := part.WriteTo(io.Discard)
		require.NoError(t, err)
		size += n
	}
	runtime.ReadMemStats(&after)
	assert.Less(t, int64(after.TotalAlloc-before.TotalAlloc), size/2) //nolint:gosec // a count of bytes
}

// large makes a state with streams of several pages, of windows, and with many small ones.
func large(t *testing.T) *core {
	k := newCore(t)
	for i := range 100_000 {
		k.add("large", fmt.Sprint(i*3+1))
		if i%1000 == 0 {
			k.add(fmt.Sprint("small", i), "*", unique("p", fmt.Sprint(i)))
			k.add("window", "*", unique(fmt.Sprint(i%7), fmt.Sprint(i)))
		}
		k.payload = nil
	}
	for i := 0; i < 90_000; i += 3 {
		k.s.PlanDelete(k.change(), k.get("large"), []ID{{uint64(i*3 + 1), 0}})
		k.apply()
		k.payload = nil
	}
	return k
}

func TestCheckpointOfLargeStreams(t *testing.T) {
	k := large(t)
	base := save(t, k.s, false)
	s, err := Load(bytes.NewReader(base.Bytes()))
	require.NoError(t, err)
	assert.Equal(t, k.s.Digest(), s.Digest())
	assert.InDelta(t, k.s.Memory(), s.Memory(), 1000)
	checkPages(t, s.Lookup([]byte("large")).ids.full)

	for i := range 1000 {
		k.add("large", fmt.Sprint(1_000_000+i))
	}
	k.s.PlanDelete(k.change(), k.get("large"), []ID{{100, 0}, {150_001, 0}})
	k.apply()
	delta := save(t, k.s, false)
	assert.Less(t, delta.Len(), 20_000, "a delta has what changed")
	s, err = Load(bytes.NewReader(base.Bytes()), bytes.NewReader(delta.Bytes()))
	require.NoError(t, err)
	assert.Equal(t, k.s.Digest(), s.Digest())
	checkPages(t, s.Lookup([]byte("large")).ids.full)

	k.add("large", "*")
	again := save(t, s, false)
	assert.Greater(t, again.Len(), 100_000, "the first one of a process is a base")
	_, err = Load(bytes.NewReader(delta.Bytes()))
	require.ErrorIs(t, err, ErrCorrupt, "a delta alone")
	_, err = Load(bytes.NewReader(base.Bytes()), bytes.NewReader(base.Bytes()))
	require.ErrorIs(t, err, ErrCorrupt, "two bases")
}

// Blocks that are given up lie in other pages after a start than before. A delta has none of their deleted ids, which a page that has
// other blocks still counts.
func TestDeltaOfAStreamWithBlocksGivenUp(t *testing.T) {
	k := newCore(t)
	id := 0
	grow := func(blocks int) {
		for range blocks * blockSize {
			id++
			k.add("a", fmt.Sprint(id))
			k.payload = nil
		}
	}
	trim := func(blocks int) {
		k.s.PlanTrim(k.change(), k.get("a"), &TrimOptions{Kind: TrimMinID, MinID: ID{uint64(blocks*blockSize + 1), 0}}) //nolint:gosec // a number
		k.apply()
	}
	remove := func(block int) {
		require.Equal(t, 1, k.s.PlanDelete(k.change(), k.get("a"), []ID{{uint64(block*blockSize + 7), 0}})) //nolint:gosec // a number
		k.apply()
	}
	grow(pageBlocks + 40)
	trim(pageBlocks / 2)
	files := []io.Reader{save(t, k.s, true)}
	remove(pageBlocks + 5)
	grow(pageBlocks - 40)
	trim(pageBlocks + 12)
	files = append(files, save(t, k.s, false))
	remove(pageBlocks + 30)
	files = append(files, save(t, k.s, false))
	s, err := Load(files...)
	require.NoError(t, err)
	assert.Equal(t, k.s.Digest(), s.Digest())
}

// A delta takes back what an earlier checkpoint has of the end of a stream: XSETID went behind deleted entries.
func TestDeltaOfAStreamThatWasCut(t *testing.T) {
	k := newCore(t)
	for i := range 600 {
		k.add("a", fmt.Sprint(i+1))
	}
	base := save(t, k.s, true)
	st := k.get("a")
	for id := uint64(200); id <= 600; id++ {
		k.s.PlanDelete(k.change(), st, []ID{{id, 0}})
		k.apply()
	}
	require.NoError(t, k.s.PlanSetID(k.change(), st, &SetIDOptions{ID: ID{600, 0}, EntriesAdded: -1, MaxDeleted: ID{1, 0}}))
	k.apply()
	require.NoError(t, k.s.PlanSetID(k.change(), st, &SetIDOptions{ID: ID{199, 0}, EntriesAdded: -1}))
	k.apply()
	for i := range 300 {
		k.add("a", fmt.Sprint("199-", i+1))
	}
	delta := save(t, k.s, false)
	s, err := Load(base, delta)
	require.NoError(t, err)
	assert.Equal(t, k.s.Digest(), s.Digest())
	k.replay()
}

// The first page of a stream gives up its blocks with deleted ids, and has none any more.
func TestDeltaOfAPageThatGaveUpItsDeletedIDs(t *testing.T) {
	k := newCore(t)
	for i := range 20 * blockSize {
		k.add("a", fmt.Sprint(i+1))
	}
	base := save(t, k.s, true)
	k.s.PlanDelete(k.change(), k.get("a"), []ID{{10, 0}})
	k.apply()
	k.s.PlanTrim(k.change(), k.get("a"), &TrimOptions{Kind: TrimMaxLen, MaxLen: 5 * blockSize})
	k.apply()
	require.Less(t, len(k.get("a").ids.full.pages[0].heads), 20, "blocks are given up")

	delta := save(t, k.s, false)
	s, err := Load(base, delta)
	require.NoError(t, err)
	assert.Equal(t, k.s.Digest(), s.Digest())
}

// A checkpoint that ends early or has a flipped bit is refused.
func TestDamagedCheckpoints(t *testing.T) {
	k := newCore(t)
	for i := range 600 {
		k.add("a", fmt.Sprint(i+1), unique("p", fmt.Sprint(i)))
	}
	k.s.PlanDelete(k.change(), k.get("a"), []ID{{7, 0}, {599, 0}})
	k.apply()
	file := save(t, k.s, true).Bytes()
	for n := range file {
		_, err := Load(bytes.NewReader(file[:n]))
		require.ErrorIs(t, err, ErrCorrupt, "%d bytes", n)
		flipped := bytes.Clone(file)
		flipped[n] ^= 1 << (n % 8)
		_, err = Load(bytes.NewReader(flipped))
		require.ErrorIs(t, err, ErrCorrupt, "byte %d", n)
	}
	broken := errors.New("broken disk")
	_, err := Load(io.MultiReader(bytes.NewReader(file[:100]), failing{broken}))
	require.ErrorIs(t, err, broken)
	_, err = (&Part{last: true}).WriteTo(failing{broken})
	require.ErrorIs(t, err, broken)
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error)  { return 0, f.err }
func (f failing) Write([]byte) (int, error) { return 0, f.err }

// The lists of what changed are given up when they outgrow the state.
func TestListsForDeltasAreBounded(t *testing.T) {
	k := newCore(t)
	k.add("stays", "1")
	save(t, k.s, false)
	for i := range 10_500 {
		k.add(fmt.Sprint(i), "1")
		k.s.PlanRemove(k.change(), k.get(fmt.Sprint(i)))
		k.apply()
		k.payload = nil
	}
	assert.Empty(t, k.s.saving.changed)
	assert.True(t, k.s.Freeze(false).Base())
}

// Sections whose CRC is right and whose content lies are refused, or give a state that works.
func FuzzLoad(f *testing.F) {
	k := newCore(&testing.T{})
	for i := range 700 {
		k.add("a", fmt.Sprint(i*i+1), unique("p", fmt.Sprint(i)))
	}
	k.s.PlanDelete(k.change(), k.get("a"), []ID{{10, 0}, {101, 0}, {699*699 + 1, 0}})
	k.apply()
	items := func(file []byte) []byte { return file[sectionHead:] } // of its only section
	f.Add(items(save(&testing.T{}, k.s, true).Bytes()), []byte{})
	k.add("b", "5")
	f.Add(items(save(&testing.T{}, k.s, true).Bytes()), items(save(&testing.T{}, k.s, false).Bytes()))
	lies := binary.AppendUvarint([]byte{itemHead, checkpointVersion, 1, 0, 0, 1, 1, 1, 0, 0, itemRemoved}, 1<<60)
	f.Add(lies, lies)
	section := func(content []byte) io.Reader {
		file := append(make([]byte, sectionHead), content...)
		fillHead(file, sectionItems, content)
		return bytes.NewReader(file)
	}
	f.Fuzz(func(t *testing.T, base, delta []byte) {
		checkpoints := []io.Reader{section(base)}
		if len(delta) > 0 {
			checkpoints = append(checkpoints, section(delta))
		}
		s, err := Load(checkpoints...)
		if err != nil {
			require.ErrorIs(t, err, ErrCorrupt)
			return
		}
		s.Digest()
		for st := range s.All() {
			all := st.Range(MinID, MaxID, 0, true)
			all.Each(func(uint64, ID) bool { return true })
			st.First()
			st.Last()
		}
		k := &core{t: t, s: s}
		k.setTime(s.Time())
		k.due()
		for st := range s.All() {
			if id, ok := st.LastID().Next(); ok {
				if _, err := s.PlanAdd(k.change(), []byte(st.Name()), &AddOptions{ID: id}); err == nil {
					s.Apply(&k.c)
				}
			}
		}
		save(t, s, true)
	})
}
