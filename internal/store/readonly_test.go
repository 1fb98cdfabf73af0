package store

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/invariant"
	"github.com/conchmq/conch/internal/log"
	"github.com/conchmq/conch/internal/stream"
)

// files is what a directory has.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		require.NoError(t, err)
		all[e.Name()] = string(b)
	}
	return all
}

func progress(int64, int64) error { return nil }

// verify returns the faults of a directory.
func verify(t *testing.T, dir string) (v Verified, faults []string) {
	t.Helper()
	return verifyWith(t, Options{Dir: dir})
}

func verifyWith(t *testing.T, o Options) (v Verified, faults []string) {
	t.Helper()
	s, err := OpenReadOnly(o)
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close(0)) }()
	v, err = s.Verify(func(f Fault) { faults = append(faults, fmt.Sprintf("%s: offset %d: %s", f.File, f.Offset, f.What)) }, progress)
	require.NoError(t, err)
	require.Len(t, faults, v.Faults)
	return v, faults
}

// filled is a directory of some segments, with checkpoints, deleted streams and entries. It returns the digest, too.
func filled(t *testing.T) (dir string, digest [32]byte) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "log")
	return dir, fillDirectory(t, Options{Dir: dir})
}

func fillDirectory(t *testing.T, o Options) (digest [32]byte) {
	t.Helper()
	o.SegmentSize, o.Fsync = MinSegmentSize, FsyncAlways
	s := open(t, o)
	text := strings.Repeat("x", 1000)
	for i := range 400 {
		s.add(fmt.Sprintf("orders.%d", i%7), text)
		if i%50 == 0 {
			s.add(fmt.Sprintf("gone.%d", i), text)
			s.remove(fmt.Sprintf("gone.%d", i))
		}
	}
	digest = s.Streams().Digest()
	require.NoError(t, s.Close(0))
	return digest
}

// A store is read while its owner goes on, as of the last sync, and nothing is written.
func TestReadOnlyBesideItsOwner(t *testing.T) {
	dir, _ := filled(t)
	owner := open(t, Options{Dir: dir, SegmentSize: MinSegmentSize, Fsync: FsyncAlways})
	owner.add("orders.1", "one more")
	require.NoError(t, owner.log.Sync())
	digest := owner.Streams().Digest()

	var s *Store
	for i := 0; s == nil; i++ { // beside the first attempts the owner may seal a segment
		require.Less(t, i, 100, "opening changes files")
		before := files(t, dir)
		opened, err := OpenReadOnly(Options{Dir: dir})
		require.NoError(t, err)
		if s = opened; !assert.ObjectsAreEqual(before, files(t, dir)) {
			require.NoError(t, opened.Close(0))
			s = nil
		}
	}
	assert.Equal(t, digest, s.Streams().Digest())
	owner.add("orders.1", "and another")
	require.NoError(t, owner.log.Sync())
	assert.Equal(t, digest, s.Streams().Digest())
	var out bytes.Buffer
	n, err := s.Dump(&out, DumpOptions{Streams: []string{"orders.1"}})
	require.NoError(t, err)
	assert.Equal(t, 58, n)
	assert.Contains(t, out.String(), "one more")
	assert.NotContains(t, out.String(), "and another")
	require.NoError(t, s.Close(0))
	require.NoError(t, owner.Close(0))
	v, faults := verify(t, dir)
	assert.Empty(t, faults)
	assert.EqualValues(t, 402, v.Visible)
}

// A store without a directory's right, or without a store, is an error of one line, and nothing is made.
func TestReadOnlyOfNothing(t *testing.T) {
	none := filepath.Join(t.TempDir(), "none")
	_, err := OpenReadOnly(Options{Dir: none})
	require.ErrorContains(t, err, none)
	require.NoDirExists(t, none)
	empty := t.TempDir()
	_, err = OpenReadOnly(Options{Dir: empty})
	require.ErrorContains(t, err, "there is no store in "+empty)
}

func TestVerify(t *testing.T) {
	dir, _ := filled(t)
	v, faults := verify(t, dir)
	assert.Empty(t, faults)
	assert.Greater(t, v.Segments, 5)
	assert.EqualValues(t, 408, v.Entries)
	assert.EqualValues(t, 400, v.Visible)
	assert.Equal(t, 7, v.Streams)
}

// A flipped bit in any file is found, but in what has no meaning: the space of a segment that ends, and what is made again at a start.
func TestVerifyFindsFlippedBits(t *testing.T) {
	for name, o := range map[string]Options{
		"plain": {}, "compressed": {Compress: log.CompressS2}, "encrypted": {KeyFile: keyFile(t, "1")},
		"both": {Compress: log.CompressZstd, KeyFile: keyFile(t, "2")},
	} {
		t.Run(name, func(t *testing.T) {
			o.Dir = filepath.Join(t.TempDir(), "log")
			flipBits(t, o, fillDirectory(t, o))
		})
	}
}

// flipBits flips a bit in many places of each file, in fewer under the race detector, which is ten times slower and looks for something else.
func flipBits(t *testing.T, o Options, digest [32]byte) {
	t.Helper()
	places := 40
	if invariant.On {
		places = 10
	}
	dir := o.Dir
	whole := files(t, dir)
	for name, text := range whole {
		if name == "lock" {
			continue
		}
		step := 1 + len(text)/places
		for at := 0; at < len(text)-32; at += step { // a trailer of a segment has 32 bytes, and is made again
			b := []byte(text)
			b[at] ^= 4
			require.NoError(t, os.WriteFile(filepath.Join(dir, name), b, 0o600))
			s, err := OpenReadOnly(o)
			if err != nil {
				require.ErrorContains(t, err, name, "byte %d", at)
				continue
			}
			v, err := s.Verify(func(f Fault) { assert.True(t, f.File == name || f.File == "", "%s: %v", name, f) }, progress)
			require.NoError(t, err)
			if o.Compress != log.CompressNone || o.KeyFile != "" { // the header of a frame file, and an index, are made again without a loss
				isWhole := v.Visible == 400 && s.Streams().Digest() == digest
				assert.True(t, v.Faults > 0 || isWhole, "%s, byte %d of %d", name, at, len(text))
			} else {
				assert.NotZero(t, v.Faults, "%s, byte %d of %d", name, at, len(text))
			}
			require.NoError(t, s.Close(0))
		}
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
}

// A segment before the head is needed by no start. Its entries are missed all the same.
func TestVerifyMissesEntries(t *testing.T) {
	dir, _ := filled(t)
	require.NoError(t, os.Remove(filepath.Join(dir, "00000000000000000003.log")))
	_, faults := verify(t, dir)
	require.NotEmpty(t, faults)
	assert.Contains(t, strings.Join(faults, "\n"), "entries are in no file")
}

// The id, the position and the time choose the same entries in their ways.
func TestDump(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	s := open(t, Options{Dir: dir, Fsync: FsyncAlways})
	epoch := s.Epoch()
	s.addID("orders", stream.ID{Ms: 1000}, "price", "120", "region", "eu")
	s.addID("orders", stream.ID{Ms: 2000}, "price", "80", "region", "us")
	s.addID("raw", stream.ID{Ms: 2500}, "bytes", "\xff\x00")
	s.addID("\xfe", stream.ID{Ms: 3000}, "message", "hi")
	s.addID("orders", stream.ID{Ms: 4000, Seq: 7}, "price", "95", "region", "<eu>")
	require.NoError(t, s.Close(0))
	line := func(stream, id string, n int, fields string) string {
		return fmt.Sprintf(`{%s,"id":"%s","position":"%s-%d",%s}`+"\n", stream, id, epoch, n, fields)
	}
	lines := []string{
		line(`"stream":"orders"`, "1000-0", 1, `"fields":["price","120","region","eu"]`),
		line(`"stream":"orders"`, "2000-0", 2, `"fields":["price","80","region","us"]`),
		line(`"stream":"raw"`, "2500-0", 3, `"fields_base64":["Ynl0ZXM=","/wA="]`),
		line(`"stream_base64":"/g=="`, "3000-0", 4, `"fields":["message","hi"]`),
		line(`"stream":"orders"`, "4000-7", 5, `"fields":["price","95","region","<eu>"]`),
	}
	now := time.UnixMilli(5000)
	for name, c := range map[string]struct {
		o    DumpOptions
		want []int
	}{
		"all":              {DumpOptions{}, []int{0, 1, 2, 3, 4}},
		"globs":            {DumpOptions{Streams: []string{"ord*", "raw"}}, []int{0, 1, 2, 4}},
		"from an id":       {DumpOptions{From: "2000-1"}, []int{2, 3, 4}},
		"milliseconds":     {DumpOptions{From: "2000", To: "4000"}, []int{1, 2, 3, 4}},
		"to an id":         {DumpOptions{To: "2000-0"}, []int{0, 1}},
		"a position":       {DumpOptions{From: epoch + "-2", To: "#4"}, []int{1, 2, 3}},
		"an age":           {DumpOptions{From: "-2s"}, []int{3, 4}},
		"a time":           {DumpOptions{From: "1970-01-01T00:00:02Z", To: "1970-01-01T00:00:03Z"}, []int{1, 2, 3}},
		"the oldest":       {DumpOptions{From: "0", To: "1000"}, []int{0}},
		"a predicate":      {DumpOptions{Where: "price < 100"}, []int{1, 4}},
		"header, no match": {DumpOptions{Where: `header("x") == 1`}, nil},
		"nothing":          {DumpOptions{From: "9000"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := OpenReadOnly(Options{Dir: dir})
			require.NoError(t, err)
			defer func() { require.NoError(t, s.Close(0)) }()
			c.o.Now = now
			var out bytes.Buffer
			n, err := s.Dump(&out, c.o)
			require.NoError(t, err)
			assert.Equal(t, len(c.want), n)
			want := ""
			for _, i := range c.want {
				want += lines[i]
			}
			assert.Equal(t, want, out.String())
		})
	}
	s2, err := OpenReadOnly(Options{Dir: dir})
	require.NoError(t, err)
	for o, want := range map[string]string{
		"From x":                  `"x" is neither an id, a position nor a time`,
		"From a0123456789abcde-1": "the epoch a0123456789abcde is unknown here",
		"Where price >":           "the predicate is invalid: column",
		"From GROUP x":            "is no place in the order of all streams",
	} {
		key, text, _ := strings.Cut(o, " ")
		d := DumpOptions{}
		if key == "Where" {
			d.Where = text
		} else {
			d.From = text
		}
		_, err := s2.Dump(&bytes.Buffer{}, d)
		assert.ErrorContains(t, err, want)
	}
	broken := errors.New("the pipe is gone")
	_, err = s2.Dump(writeError{broken}, DumpOptions{})
	require.ErrorIs(t, err, broken)
	require.NoError(t, s2.Close(0))
}

type writeError struct{ err error }

func (w writeError) Write([]byte) (int, error) { return 0, w.err }

// addID appends an entry with that id.
func (s *opened) addID(key string, id stream.ID, fields ...string) {
	s.t.Helper()
	s.sequence++
	c := &stream.Change{Time: s.Now(), Sequence: s.sequence}
	o := &stream.AddOptions{ID: id}
	for _, f := range fields {
		o.Fields = append(o.Fields, []byte(f))
	}
	ok, err := s.Streams().PlanAdd(c, []byte(key), o)
	require.NoError(s.t, err)
	require.True(s.t, ok)
	s.append(c)
}

func TestDirectoryStats(t *testing.T) {
	dir, _ := filled(t)
	s, err := OpenReadOnly(Options{Dir: dir})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close(0)) }()
	d, err := s.DirectoryStats(2)
	require.NoError(t, err)
	assert.True(t, d.Clean)
	assert.Equal(t, 7, d.Streams)
	assert.Equal(t, 400, d.Entries)
	assert.EqualValues(t, 408, d.Sequence)
	assert.Equal(t, 1, d.Checkpoints)
	assert.Len(t, d.Epochs, 1)
	assert.InEpsilon(t, float64(d.Bytes)*400/408, float64(d.Visible), 0.02)
	require.Len(t, d.Largest, 2)
	assert.Equal(t, 58, d.Largest[0].Entries)
	assert.Equal(t, "orders.0", d.Largest[0].Name)
}

// Damage is listed, and costs what is damaged alone.
func TestDumpOfADamagedStore(t *testing.T) {
	dir, _ := filled(t)
	name := filepath.Join(dir, "00000000000000000002.log")
	b, err := os.ReadFile(name)
	require.NoError(t, err)
	b[5000] ^= 1
	require.NoError(t, os.WriteFile(name, b, 0o600))
	s, err := OpenReadOnly(Options{Dir: dir})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close(0)) }()
	var faults []log.Fault
	n, err := s.Dump(&bytes.Buffer{}, DumpOptions{Damage: func(f Fault) { faults = append(faults, f) }})
	require.NoError(t, err)
	assert.Equal(t, 399, n)
	require.Len(t, faults, 1)
	assert.Equal(t, "00000000000000000002.log", faults[0].File)
}
