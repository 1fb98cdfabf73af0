package log

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// image is the content of a directory.
type image map[string][]byte

// disk makes a disk that has this content.
func (i image) disk() *disk {
	d := newDisk()
	for name, content := range i {
		f := &inode{durable: content, current: slices.Clone(content)}
		d.durable[name], d.names[name] = f, f
	}
	return d
}

// writeLog writes a log of several segments, each record in a group of its own or not, and returns its files and records.
func writeLog(t *testing.T, rng *rand.Rand, records int, fsync Fsync, groups bool) (image, []Record) {
	t.Helper()
	d := newDisk()
	l, _, err := Open(Options{Files: d, Fsync: fsync, SegmentSize: 1024}, 0, nil)
	require.NoError(t, err)
	require.NoError(t, l.Begin(1, 0))
	var model []Record
	for n := range records {
		r := Record{Number: uint64(n + 1), Kind: byte(rng.IntN(MaxKind))}
		r.Payload = payload(rng, 1, r.Number, 80)
		l.Append(r.Kind, r.Payload)
		model = append(model, r)
		if groups {
			require.NoError(t, l.Sync())
		}
	}
	require.NoError(t, l.Close())
	files := image{}
	for name, f := range d.names {
		files[name] = f.current
	}
	return files, model
}

func names(files image) (all []string) {
	for name := range files {
		if strings.HasSuffix(name, segmentEnd) {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return all
}

// reopen opens a log with that content, and closes it.
func reopen(t *testing.T, files image) ([]Record, Recovery, *disk) {
	t.Helper()
	d := files.disk()
	var found []Record
	l, recovery, err := Open(Options{Files: d, Fsync: Always, SegmentSize: 1024}, 0, collect(&found))
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return found, recovery, d
}

// The last segment is cut at every byte, and nothing, zeros or noise follow: the whole records are left, and no other; what is appended
// then is there at the next start.
func TestCutAtEveryByte(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	files, model := writeLog(t, rng, 50, No, false)
	all := names(files)
	last := all[len(all)-1]
	content := files[last]
	rest, err := usedEnd(bytes.NewReader(content), 0, int64(len(content)))
	require.NoError(t, err)
	noise := make([]byte, 300)
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	whole := map[int64]uint64{} // the last record that ends at an offset or before
	rd := newReader(bytes.NewReader(content), segmentSalt(t, files, last), segmentHeaderSize, int64(len(content)))
	first, stop := uint64(0), int64(0) // the end of the record of the clean stop: an index follows
	for number := uint64(0); ; {
		r, err := rd.next()
		if err != nil {
			break // the zeros behind the last record
		}
		if !own(r.Kind) {
			number = r.Number
			if first == 0 {
				first = number
			}
			whole[rd.at] = number
		}
		if r.Kind&^behindSync == kindStop {
			stop = rd.at - 7 // its last bytes are zeros, as may follow a cut
		}
	}
	require.NotZero(t, stop)
	want := first - 1
	for cut := range int(rest) {
		if n := whole[int64(cut)]; n > 0 {
			want = n
		}
		for _, behind := range [][]byte{nil, make([]byte, 300), noise} {
			damaged := image{}
			for name, content := range files {
				damaged[name] = content
			}
			damaged[last] = append(slices.Clone(content[:cut]), behind...)
			found, recovery, d := reopen(t, damaged)
			require.Equal(t, model[:want], found, "cut at %d", cut)
			require.Empty(t, recovery.Damages, "cut at %d", cut)
			require.False(t, recovery.Clean && int64(cut) < stop)
			l, recovery, err := Open(Options{Files: d, SegmentSize: 1024}, want, nil)
			require.NoError(t, err)
			require.True(t, recovery.Clean)
			require.Equal(t, want+1, l.Append(1, nil))
			require.NoError(t, l.Close())
		}
	}
}

// segmentSalt reads the salt of a segment.
func segmentSalt(t *testing.T, files image, name string) uint32 {
	t.Helper()
	m, err := parseMeta(files[metaName])
	require.NoError(t, err)
	id, ok := parseSegmentName(name)
	require.True(t, ok)
	return newSalt(m.secret, id)
}

// One bit of every byte is flipped. What is lost is reported with its file and a place before the flip, and all else is served. Behind a clean
// stop that holds for all policies.
func TestFlippedBits(t *testing.T) {
	t.Run("always", func(t *testing.T) { flipBits(t, Always, true, everyNth) })
	t.Run("no", func(t *testing.T) { flipBits(t, No, false, 5*everyNth) })
}

// flipBits flips a bit in each byte, or in each n-th one.
func flipBits(t *testing.T, fsync Fsync, groups bool, nth int) {
	t.Helper()
	rng := rand.New(rand.NewPCG(8, 8))
	files, model := writeLog(t, rng, 35, fsync, groups)
	reported, unused := 0, 0
	for name, content := range files {
		used, err := usedEnd(bytes.NewReader(content), 0, int64(len(content)))
		require.NoError(t, err)
		for at := 0; at < int(used); at += nth {
			damaged := image{}
			for name, content := range files {
				damaged[name] = content
			}
			damaged[name] = slices.Clone(content)
			damaged[name][at] ^= 1 << rng.IntN(8)
			found, recovery, d := reopen(t, damaged)
			what := fmt.Sprintf("%s at %d", name, at)
			if recovery.Cut > 0 { // the record of the clean stop is the last: nothing proves its sync
				require.Len(t, found, len(model), what)
			}
			lost := map[uint64]bool{}
			for _, damage := range recovery.Damages {
				require.Equal(t, name, damage.File, what)
				require.LessOrEqual(t, damage.Offset, int64(at), what)
				for n := damage.First; n <= damage.Last; n++ {
					lost[n] = true
				}
			}
			require.LessOrEqual(t, len(lost), 1, "%s: %v", what, recovery.Damages)
			i := 0
			for _, want := range model {
				if lost[want.Number] {
					continue
				}
				require.Less(t, i, len(found), what)
				require.Equal(t, want, found[i], what)
				i++
			}
			require.Len(t, found, i, what)
			if len(recovery.Damages) > 0 {
				reported++
			} else {
				unused++ // the index and the trailer of a segment, which are made again, and the record of the clean stop
			}
			var again []Record
			l, recovery, err := Open(Options{Files: d, Fsync: Always, SegmentSize: 1024}, 0, collect(&again))
			require.NoError(t, err, what)
			require.Equal(t, found, again, what)
			require.Equal(t, uint64(36), l.Append(1, nil), what)
			require.NoError(t, l.Close())
		}
	}
	t.Logf("%d flips reported, %d without a loss", reported, unused)
	assert.Greater(t, reported, 2000/nth)
}

// A client writes what looks like records into a payload, also with the bit that proves a sync. None of it is taken for a record: a search
// behind a broken record goes past them.
func TestFakeRecordsInAPayload(t *testing.T) {
	var fake []byte
	for range 1000 {
		fake = appendRecord(fake, 0, Record{Number: 3, Kind: 1 | behindSync, Payload: []byte("fake")})
	}
	d := newDisk()
	l, _, err := Open(Options{Files: d, SegmentSize: 64 << 10}, 0, nil)
	require.NoError(t, err)
	l.Append(1, []byte("one"))
	l.Append(1, fake)
	require.NoError(t, l.Sync())
	f := d.names[segmentName(1)]
	copy(f.current[segmentHeaderSize+headerSize+3:], "broken") // the header of the second
	d.kill()
	var found []Record
	again, recovery, err := Open(Options{Files: d, SegmentSize: 64 << 10}, 0, collect(&found))
	require.NoError(t, err)
	assert.Len(t, found, 1)
	assert.Empty(t, recovery.Damages)
	assert.Positive(t, recovery.Cut)
	require.NoError(t, again.Close())
	_ = l.Close()
}

// A segment that is gone is reported with the records that it had; those before and behind it are served, and the log goes on.
func TestMissingSegment(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	files, model := writeLog(t, rng, 60, Always, true)
	all := names(files)
	require.Greater(t, len(all), 3)
	for _, missing := range all[:len(all)-2] { // the last one is empty; without the one before it, the log is shorter
		left := image{}
		for name, content := range files {
			if name != missing {
				left[name] = content
			}
		}
		found, recovery, d := reopen(t, left)
		require.Len(t, recovery.Damages, 1)
		damage := recovery.Damages[0]
		want := slices.Concat(model[:damage.First-1], model[damage.Last:])
		require.Less(t, len(want), len(model))
		require.Equal(t, want, found)
		require.Empty(t, recovery.Cut)
		assert.ErrorContains(t, &damage, fmt.Sprintf("records %d to %d are lost", damage.First, damage.Last))
		l, _, err := Open(Options{Files: d, SegmentSize: 1024}, uint64(len(model)), nil)
		require.NoError(t, err)
		require.EqualValues(t, len(model)+1, l.Append(1, nil))
		require.NoError(t, l.Close())
	}
}

// A checkpoint that is ahead of the log is damage: what it had was synced before it. One that is older than the head is an error.
func TestCheckpointsThatDoNotFit(t *testing.T) {
	rng := rand.New(rand.NewPCG(10, 10))
	files, _ := writeLog(t, rng, 20, Always, true)
	d := files.disk()
	l, recovery, err := Open(Options{Files: d, SegmentSize: 1024}, 25, nil)
	require.NoError(t, err)
	require.Len(t, recovery.Damages, 1)
	assert.Equal(t, []uint64{21, 25}, []uint64{recovery.Damages[0].First, recovery.Damages[0].Last})
	require.EqualValues(t, 26, l.Append(1, []byte("behind")), "numbers are not given twice")
	require.NoError(t, l.CutHead(26))
	require.Error(t, l.CutHead(28))
	require.NoError(t, l.Close())

	_, _, err = Open(Options{Files: d, SegmentSize: 1024}, 24, nil) // nothing is applied
	assert.ErrorContains(t, err, "the checkpoint is too old")
	var found []Record
	l, recovery, err = Open(Options{Files: d, SegmentSize: 1024}, 25, collect(&found))
	require.NoError(t, err)
	assert.Empty(t, recovery.Damages, "what is before the head is not missed")
	assert.Len(t, found, 1)
	require.NoError(t, l.Close())
}
