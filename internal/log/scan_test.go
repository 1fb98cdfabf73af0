package log

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// scanned is what a scan passes: the numbers of records, and how often each entry comes.
type scanned struct {
	numbers []uint64
	entries map[Span]int // of one ordinal each
	damages []error
}

// rest reads a scan to its end.
func rest(t *testing.T, s *Scan) (all scanned) {
	t.Helper()
	all.entries = map[Span]int{}
	for {
		more, err := s.Next(func(r Record) {
			all.numbers = append(all.numbers, r.Number)
			parseSpans(0, r.Payload, func(s Span) {
				for i := range s.Count {
					all.entries[Span{s.Key, s.First + uint64(i), 1}]++
				}
			})
		}, func(d *Damage) { all.damages = append(all.damages, d) })
		require.NoError(t, err)
		if !more {
			return all
		}
	}
}

// requireVisible demands that a scan has each visible entry once, in the order of the records.
func (e *entries) requireVisible(t *testing.T, all scanned, keys uint64) {
	t.Helper()
	require.True(t, slices.IsSorted(all.numbers), "records come in the order of their numbers")
	for key := uint64(1); key <= keys; key++ {
		for _, n := range e.visibleOf(key, 1, e.last[key]) {
			require.Equal(t, 1, all.entries[Span{key, n, 1}], "entry %d of %d", n, key)
		}
	}
}

// A scan passes all visible entries in the order of the log: from memory and files, and of segments that were written again by stream.
func TestScanAgainstAModel(t *testing.T) {
	rewritten := uint64(0)
	for i := 0; i < 2 || rewritten == 0; i++ { // few entries are removed now and then
		require.Less(t, i, 100)
		recent := []int64{1, 64 << 20}[i%2]
		r := newRand(t)
		const keys = 20
		o := Options{Files: NewMemory(0), SegmentSize: 50_000, Recent: recent}
		e := openEntries(t, r, o)
		for round := range 6 {
			e.appendRandom(100, keys)
			if round%2 == 1 {
				e.removeRandom(keys)
				e.cutHead(t)
				require.NoError(t, e.awaitSyncer())
				require.NoError(t, e.giveBack())
			}
			s := e.NewScan()
			e.appendRandom(5, keys) // they are not in it
			last := e.Last()
			all := rest(t, s)
			require.LessOrEqual(t, all.numbers[len(all.numbers)-1], last-5)
			s.Release()

			s = e.NewScan()
			e.requireVisible(t, rest(t, s), keys)
			e.requireSeeks(t, s)
			s.Release()
		}
		stats := e.Stats()
		t.Logf("%d segments, %d removed, %d rewritten", stats.Segments, stats.Removed, stats.Rewritten)
		rewritten += stats.Rewritten
		require.NoError(t, e.Close())
	}
}

// requireSeeks goes to random records, and compares what follows with all that there is.
func (e *entries) requireSeeks(t *testing.T, s *Scan) {
	t.Helper()
	s.enter(0)
	all := rest(t, s)
	for range 20 {
		from := 1 + e.r.Uint64N(e.Last()+2)
		mute := e.r.Uint64N(5) // some records cannot tell
		require.NoError(t, s.Seek(func(r Record) (before, known bool) {
			return r.Number < from, mute == 0 || r.Number%5 != mute
		}))
		got := rest(t, s)
		at, _ := slices.BinarySearch(all.numbers, from)
		require.GreaterOrEqual(t, len(got.numbers), len(all.numbers)-at, "from %d", from)
		require.Equal(t, all.numbers[len(all.numbers)-len(got.numbers):], got.numbers)

		bytes := e.r.Int64N(400_000)
		more, err := s.Back(bytes)
		require.NoError(t, err)
		got = rest(t, s)
		require.Equal(t, all.numbers[len(all.numbers)-len(got.numbers):], got.numbers)
		require.Equal(t, len(got.numbers) < len(all.numbers), more, "%d bytes back", bytes)
	}
}

// A seek does not read what is far before: of a segment, it begins at a stop.
func TestSeekBeginsCloseBy(t *testing.T) {
	for _, recent := range []int64{1, 64 << 20} {
		e := openEntries(t, newRand(t), Options{Files: NewMemory(0), SegmentSize: 64 << 20, Recent: recent})
		for range 4000 {
			e.append(300, 1)
		}
		require.NoError(t, e.Sync())
		s := e.NewScan()
		for _, from := range []uint64{1, 2, 1000, 3999, 4000} {
			require.NoError(t, s.Seek(func(r Record) (before, known bool) { return r.Number < from, true }))
			got := rest(t, s)
			require.LessOrEqual(t, got.numbers[0], from)
			require.LessOrEqual(t, from-got.numbers[0], uint64(3*stopDistance/900))
		}
		s.Release()
		require.NoError(t, e.Close())
	}
}

// Damage is passed in its place, and costs one record.
func TestScanPassesDamage(t *testing.T) {
	files := NewMemory(0)
	o := Options{Files: files, SegmentSize: 200_000, Recent: 1}
	e := openEntries(t, newRand(t), o)
	e.appendRandom(2000, 3)
	require.NoError(t, e.Close())
	e.open(t, o)
	defer func() { require.NoError(t, e.Close()) }()
	s := e.NewScan()
	defer s.Release()
	whole := rest(t, s)
	require.Empty(t, whole.damages)
	for range 10 {
		g := e.view.segments[e.r.IntN(len(e.view.segments)-1)]
		at := segmentHeaderSize + e.r.Int64N(g.end-segmentHeaderSize)
		var b [1]byte
		_, err := g.file().ReadAt(b[:], at)
		require.NoError(t, err)
		flip(t, g, at, b[0]^1)
		s.enter(0)
		got := rest(t, s)
		assert.NotEmpty(t, got.damages)
		for _, d := range got.damages {
			var damage *Damage
			require.ErrorAs(t, d, &damage)
			assert.Equal(t, g.name(), damage.File)
		}
		assert.GreaterOrEqual(t, len(got.numbers), len(whole.numbers)-1)
		flip(t, g, at, b[0])
	}
}

func flip(t *testing.T, g *segment, at int64, to byte) {
	t.Helper()
	_, err := g.file().WriteAt([]byte{to}, at)
	require.NoError(t, err)
}
