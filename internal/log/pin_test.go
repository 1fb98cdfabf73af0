package log

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/conchmq/conch/internal/testseed"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var pinSeed = flag.Uint64("log.pin", 0, "the seed of the model tests of pins; 0 takes a new one")

// newRand returns a generator of which a failure prints the seed.
func newRand(t *testing.T) *rand.Rand {
	t.Helper()
	seed := *pinSeed
	if seed == 0 {
		seed = testseed.New()
	}
	t.Logf("replay with -log.pin %d", seed)
	return rand.New(rand.NewPCG(seed, 7))
}

// entries is a log with streams: the last ordinal of each key, and what is no longer visible. The test is its core.
type entries struct {
	*Log
	r    *rand.Rand
	mu   sync.Mutex // guards what follows: the rewriter reads it
	last map[uint64]uint64
	dead map[uint64]map[uint64]bool
	head uint64 // records before it are not applied when it is opened
}

func openEntries(t *testing.T, r *rand.Rand, o Options) *entries {
	t.Helper()
	e := newEntries(r)
	e.open(t, o)
	return e
}

func newEntries(r *rand.Rand) *entries {
	return &entries{r: r, last: map[uint64]uint64{}, dead: map[uint64]map[uint64]bool{}, head: 1}
}

// open opens the log, once more or for the first time.
func (e *entries) open(t *testing.T, o Options) {
	t.Helper()
	o.Spans = parseSpans
	l, recovery, err := Open(o, e.head-1, func(Record) error { return nil })
	require.NoError(t, err)
	require.Empty(t, recovery.Damages)
	e.Log = l
	l.o.Live, l.o.Keep = e.live, keepSpans // set behind Open, they start no goroutine: the test calls giveBack
}

// append appends a record with some entries of each key.
func (e *entries) append(padding int, keys ...uint64) {
	var spans []Span
	e.mu.Lock()
	for _, key := range keys {
		count := 1 + e.r.IntN(3)
		spans = append(spans, Span{key, e.last[key] + 1, count})
		e.last[key] += uint64(count)
	}
	e.mu.Unlock()
	payload := append(spansPayload(spans...), make([]byte, 3*padding)...) // zeros are spans of no entry
	e.Append(1, payload)
}

// appendRandom appends records of up to three of the keys, and a large one now and then.
func (e *entries) appendRandom(records int, keys uint64) {
	for range records {
		var some []uint64
		for range 1 + e.r.IntN(3) {
			if key := 1 + e.r.Uint64N(keys); !slices.Contains(some, key) {
				some = append(some, key)
			}
		}
		padding := e.r.IntN(1 + e.r.IntN(60))
		if e.r.IntN(200) == 0 {
			padding = e.r.IntN(200_000)
		}
		e.append(padding, some...)
	}
}

// visibleOf are the ordinals of key from first to last that are not dead.
func (e *entries) visibleOf(key, first, last uint64) (all []uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for n := max(1, first); n <= min(last, e.last[key]); n++ {
		if !e.dead[key][n] {
			all = append(all, n)
		}
	}
	return all
}

// pinned reads the ordinals that a pin holds.
func pinned(p *Pin, back bool) (all []uint64, err error) {
	read := p.Read
	if back {
		read = p.ReadBack
	}
	err = read(func(payload []byte) bool {
		at := len(all)
		parseSpans(0, payload, func(s Span) {
			for n := s.First; n < s.First+uint64(s.Count); n++ {
				if s.Key == p.key && n >= p.first && n <= p.last {
					all = append(all, n)
				}
			}
		})
		if back {
			slices.Reverse(all[at:])
		}
		return true
	})
	if back {
		slices.Reverse(all)
	}
	return all, err
}

// requireRange checks what a pin of that range reads, in both directions.
func (e *entries) requireRange(t *testing.T, key, first, last uint64) {
	t.Helper()
	require.Empty(t, e.compareRange(key, first, last))
}

// compareRange describes what a pin of that range reads wrongly, in either direction.
func (e *entries) compareRange(key, first, last uint64) string {
	want := e.visibleOf(key, first, last)
	p := e.Pin(key, first, last)
	defer p.Release()
	for _, back := range []bool{false, true} {
		found, err := pinned(p, back)
		found = slices.DeleteFunc(found, func(n uint64) bool { return e.dead[key][n] })
		if err != nil || !slices.Equal(want, found) {
			return fmt.Sprintf("key %d, %d to %d, back %v: want %v, found %v, %v", key, first, last, back, want, found, err)
		}
	}
	return ""
}

// requireRandomRanges checks ranges of all kinds: short, long, at the ends, beyond them.
func (e *entries) requireRandomRanges(t *testing.T, ranges int, keys uint64) {
	t.Helper()
	for range ranges {
		key := 1 + e.r.Uint64N(keys+1)
		first := e.r.Uint64N(e.last[key] + 3)
		last := first + e.r.Uint64N(1+e.last[key]>>e.r.IntN(12))
		switch e.r.IntN(8) {
		case 0:
			first, last = 0, math.MaxUint64
		case 1:
			first, last = max(e.last[key], 3)-3, e.last[key]
		}
		e.requireRange(t, key, first, last)
	}
}

// A pin reads what was appended, in order, from memory and from files, while segments are sealed, and after the log was opened again.
func TestPinAgainstAModel(t *testing.T) {
	for _, test := range []struct {
		name         string
		keys         uint64
		size, recent int64
		fsync        Fsync
	}{
		{"one key", 1, 100_000, 1, No},
		{"few keys, a chunk in memory", 5, 50_000, 1, No},
		{"few keys, all in memory", 5, 50_000, 64 << 20, Always},
		{"many keys", 500, 200_000, 2 << 20, No},
		{"one segment", 20, 64 << 20, 1, Always},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRand(t)
			directory, err := OpenDirectory(t.TempDir())
			require.NoError(t, err)
			defer func() { require.NoError(t, directory.Close()) }()
			o := Options{Files: keep{directory}, Fsync: test.fsync, SegmentSize: test.size, Recent: test.recent}
			e := openEntries(t, r, o)
			for range 3 {
				for range 5 {
					e.appendRandom(100, test.keys)
					if r.IntN(2) == 0 {
						require.NoError(t, e.Sync())
					}
					e.requireRandomRanges(t, 8, test.keys)
				}
				require.NoError(t, e.Close())
				e.open(t, o)
				e.requireRandomRanges(t, 8, test.keys)
			}
			require.NoError(t, e.Close())
		})
	}
}

// A function that returns false gets nothing more.
func TestReadStops(t *testing.T) {
	e := openEntries(t, newRand(t), Options{Files: NewMemory(0), SegmentSize: 20_000, Recent: 1})
	defer func() { require.NoError(t, e.Close()) }()
	e.appendRandom(500, 2)
	p := e.Pin(1, 0, math.MaxUint64)
	defer p.Release()
	for _, read := range []func(func([]byte) bool) error{p.Read, p.ReadBack} {
		for _, wanted := range []int{1, 2, 50} {
			got := 0
			require.NoError(t, read(func([]byte) bool { got++; return got < wanted }))
			assert.Equal(t, wanted, got)
		}
	}
}

// Readers read ranges that are pinned while the log grows and seals segments: each gets all that was appended when it was pinned.
func TestReadDuringWrites(t *testing.T) {
	for _, recent := range []int64{1, 4 << 20} {
		e := openEntries(t, newRand(t), Options{Files: NewMemory(0), SegmentSize: 300_000, Recent: recent})
		const keys = 3
		pins := make(chan *Pin, 4)
		var readers sync.WaitGroup
		for range 2 {
			readers.Go(func() {
				for p := range pins {
					for _, back := range []bool{false, true} {
						found, err := pinned(p, back)
						assert.NoError(t, err)
						if assert.Len(t, found, int(p.last-p.first+1)) {
							assert.Equal(t, []uint64{p.first, p.last}, []uint64{found[0], found[len(found)-1]})
						}
					}
					p.Release()
				}
			})
		}
		for range 400 {
			e.appendRandom(1+e.r.IntN(40), keys)
			key := 1 + e.r.Uint64N(keys)
			if last := e.last[key]; last > 0 {
				pins <- e.Pin(key, 1+last-min(last, 1+e.r.Uint64N(300)), last)
			}
		}
		close(pins)
		readers.Wait()
		require.NoError(t, e.Close())
	}
}

// What is in memory is known to be: the core may read it. What is in files alone is known not to be.
func TestRecent(t *testing.T) {
	e := openEntries(t, newRand(t), Options{Files: NewMemory(0), Recent: 1})
	defer func() { require.NoError(t, e.Close()) }()
	recent := func(key, first, last uint64) bool {
		p := e.Pin(key, first, last)
		defer p.Release()
		return p.Recent()
	}
	assert.False(t, recent(1, 1, 1))
	e.append(0, 1)
	assert.True(t, recent(1, 1, 1), "written or not")
	require.NoError(t, e.Sync())
	assert.True(t, recent(1, 1, 1))
	assert.False(t, recent(2, 1, 1))
	for range 5 {
		e.append(chunkSize/6, 2)
	}
	require.NoError(t, e.Sync())
	assert.False(t, recent(1, 1, 1))
	assert.True(t, recent(2, e.last[2], e.last[2]))
}

// Damage in a record costs that record alone, wherever the flip is; it is reported with file and offset.
func TestDamageCostsOneRecord(t *testing.T) {
	r := newRand(t)
	files := NewMemory(0)
	e := openEntries(t, r, Options{Files: files, SegmentSize: 50_000, Recent: 1})
	e.appendRandom(2000, 3)
	require.NoError(t, e.Close())
	e.open(t, Options{Files: files, SegmentSize: 50_000, Recent: 1})
	defer func() { require.NoError(t, e.Close()) }()
	segments := e.view.segments
	require.Greater(t, len(segments), 3)
	for range 25 {
		s := segments[r.IntN(len(segments)-1)]
		var records []indexed
		rd := newReader(s.file(), s.salt, segmentHeaderSize, s.end)
		for rd.at < rd.size {
			at := rd.at
			record, err := rd.next()
			require.NoError(t, err)
			if own(record.Kind) {
				continue
			}
			n := indexed{at: at, length: rd.at - at}
			parseSpans(0, record.Payload, func(s Span) {
				if s.Count > 0 {
					n.spans = append(n.spans, s)
				}
			})
			records = append(records, n)
		}
		broken := records[r.IntN(len(records))]
		var b [1]byte
		at := broken.at + r.Int64N(broken.length)
		_, err := s.file().ReadAt(b[:], at)
		require.NoError(t, err)
		flipped := b[0] ^ 1<<r.IntN(8)
		_, err = s.file().WriteAt([]byte{flipped}, at)
		require.NoError(t, err)

		for key := uint64(1); key <= 3; key++ {
			want := e.visibleOf(key, 0, math.MaxUint64)
			lost := 0
			for _, span := range broken.spans {
				if span.Key == key {
					lost = span.Count
					at, _ := slices.BinarySearch(want, span.First)
					want = slices.Delete(want, at, at+span.Count)
				}
			}
			p := e.Pin(key, 0, math.MaxUint64)
			for _, back := range []bool{false, true} {
				found, err := pinned(p, back)
				require.Equal(t, want, found)
				if lost == 0 {
					require.NoError(t, err)
					continue
				}
				var damage *Damage
				require.ErrorAs(t, err, &damage)
				require.Equal(t, []any{s.name(), broken.at}, []any{damage.File, damage.Offset})
			}
			p.Release()
		}
		_, err = s.file().WriteAt(b[:], at)
		require.NoError(t, err)
	}
}

// An index that is not whole is made again from the records.
func TestIndexIsMadeAgain(t *testing.T) {
	r := newRand(t)
	files := NewMemory(0)
	o := Options{Files: files, SegmentSize: 50_000, Recent: 1}
	e := openEntries(t, r, o)
	e.appendRandom(1000, 3)
	require.NoError(t, e.Close())
	for range 30 {
		e.open(t, o)
		s := e.view.segments[r.IntN(len(e.view.segments)-1)]
		size, err := s.file().Size()
		require.NoError(t, err)
		at := s.end + r.Int64N(size-trailerSize-s.end)
		var b [1]byte
		_, err = s.file().ReadAt(b[:], at)
		require.NoError(t, err)
		_, err = s.file().WriteAt([]byte{b[0] ^ 1<<r.IntN(8)}, at)
		require.NoError(t, err)
		e.requireRandomRanges(t, 20, 3)
		require.NoError(t, e.Close())
	}
}
