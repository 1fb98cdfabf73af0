package log

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// awaitSyncer waits until the syncer has nothing to do.
func (l *Log) awaitSyncer() error { return l.withoutSyncer(func() error { return nil }) }

// live is Options.Live.
func (e *entries) live(spans []Span) (visible []Span) {
	e.mu.Lock()
	defer e.mu.Unlock()
	count := 0
	for _, s := range spans {
		if count += s.Count; count > entriesAtOnce+maxExtent {
			panic("too many entries for a visit to the core")
		}
		for n := s.First; n < s.First+uint64(s.Count); n++ {
			if n > e.last[s.Key] || e.dead[s.Key][n] {
				continue
			}
			if i := len(visible) - 1; i >= 0 && visible[i].Key == s.Key && visible[i].First+uint64(visible[i].Count) == n {
				visible[i].Count++
			} else {
				visible = append(visible, Span{s.Key, n, 1})
			}
		}
	}
	return visible
}

// keepSpans is Options.Keep: what surrounds the spans stays in proportion.
func keepSpans(dst []byte, _ byte, payload []byte, live []Span) []byte {
	all, kept := 0, 0
	parseSpans(0, payload, func(s Span) { all += s.Count })
	for _, s := range live {
		kept += s.Count
	}
	dst = append(dst, spansPayload(live...)...)
	return append(dst, make([]byte, 3*(len(payload)*kept/all/3))...)
}

// remove makes entries of key from first to last dead.
func (e *entries) remove(key, first, last uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.dead[key] == nil {
		e.dead[key] = map[uint64]bool{}
	}
	for n := max(first, 1); n <= min(last, e.last[key]); n++ {
		e.dead[key][n] = true
	}
}

// removeRandom trims streams, deletes parts of some, and now and then a whole one.
func (e *entries) removeRandom(keys uint64) {
	for key := uint64(1); key <= keys; key++ {
		last := e.last[key]
		switch e.r.IntN(4) {
		case 0:
			e.remove(key, 0, e.r.Uint64N(last+1))
		case 1:
			for range e.r.IntN(20) {
				n := e.r.Uint64N(last + 1)
				e.remove(key, n, n+e.r.Uint64N(5))
			}
		case 2:
			if e.r.IntN(4) == 0 {
				e.remove(key, 0, last)
			}
		}
	}
}

// cutHead lets all that was appended be rewritten.
func (e *entries) cutHead(t *testing.T) {
	t.Helper()
	require.NoError(t, e.CutHead(e.Last()+1))
	e.head = e.Last() + 1
}

// requireFiles checks that the directory has the files of the segments, and no other segment.
func (e *entries) requireFiles(t *testing.T) {
	t.Helper()
	require.NoError(t, e.awaitSyncer())
	names, err := e.files.List()
	require.NoError(t, err)
	names = slices.DeleteFunc(names, func(name string) bool { return !strings.Contains(name, segmentEnd) })
	var want []string
	for _, s := range e.view.segments {
		if s.file() != nil {
			want = append(want, s.name())
		}
	}
	if e.syncer.prepared != nil {
		want = append(want, segmentName(e.syncer.id))
	}
	require.Equal(t, want, names)
}

// What is visible stays, in order, however often segments are removed, joined and written again; what was pinned before stays, too.
func TestRewriterAgainstAModel(t *testing.T) {
	for _, keys := range []uint64{1, 4, 100} {
		t.Run(fmt.Sprint(keys), func(t *testing.T) {
			r := newRand(t)
			files := NewMemory(0)
			o := Options{Files: files, SegmentSize: 30_000, Recent: 1}
			e := openEntries(t, r, o)
			for range 8 {
				e.appendRandom(r.IntN(400), keys)
				e.removeRandom(keys)
				require.NoError(t, e.Sync())
				key := 1 + r.Uint64N(keys)
				before := e.visibleOf(key, 0, math.MaxUint64)
				p := e.Pin(key, 0, e.last[key])
				e.removeRandom(keys)
				e.cutHead(t)
				for range 2 {
					if r.IntN(3) == 0 {
						e.Compact()
					}
					require.NoError(t, e.giveBack())
					e.requireRandomRanges(t, 10, keys)
				}
				for _, back := range []bool{false, true} {
					found, err := pinned(p, back)
					require.NoError(t, err)
					require.Subset(t, found, before, "what was pinned stays")
				}
				p.Release()
				if r.IntN(3) == 0 {
					require.NoError(t, e.Close())
					e.open(t, o)
					e.requireRandomRanges(t, 10, keys)
				}
			}
			stats := e.Stats()
			t.Logf("%d removed, %d rewritten, %d bytes", stats.Removed, stats.Rewritten, stats.RewrittenBytes)
			require.NoError(t, e.Sync())
			e.requireFiles(t)
			for key := range keys {
				e.remove(key+1, 0, math.MaxUint64)
			}
			e.cutHead(t)
			require.NoError(t, e.giveBack())
			assert.LessOrEqual(t, e.Stats().Segments, 2, "all is dead but the last segment, and one that may not be sealed yet")
			require.NoError(t, e.Close())
		})
	}
}

// A file that is pinned is readable until it is released; then its space is given back.
func TestPinnedFilesStay(t *testing.T) {
	files := NewMemory(0)
	e := openEntries(t, newRand(t), Options{Files: files, SegmentSize: 100_000, Recent: 1})
	for range 3000 {
		e.append(100, 1)
	}
	e.cutHead(t)
	last := e.last[1]
	p := e.Pin(1, 1, last)
	used := files.Used()
	e.remove(1, 0, last)
	require.NoError(t, e.giveBack())
	found, err := pinned(p, false)
	require.NoError(t, err)
	assert.Len(t, found, int(last))
	assert.GreaterOrEqual(t, files.Used(), used)
	p.Release()
	assert.Less(t, files.Used(), used/2)
	require.NoError(t, e.Close())
}

// Segments stay as they are while little is dead, and those behind the head. Compact leaves alone what has nothing to give back.
func TestRewriterLeavesAlone(t *testing.T) {
	e := openEntries(t, newRand(t), Options{Files: NewMemory(0), SegmentSize: 50_000, Recent: 1})
	defer func() { require.NoError(t, e.Close()) }()
	for range 9000 {
		e.append(100, 1)
	}
	require.NoError(t, e.Sync())
	e.cutHead(t)
	require.NoError(t, e.awaitSyncer())
	e.Compact()
	require.NoError(t, e.giveBack())
	assert.Zero(t, e.Stats().Rewritten)
	for n := uint64(1); n <= e.last[1]; n += 10 {
		e.remove(1, n, n)
	}
	require.NoError(t, e.giveBack())
	assert.Zero(t, e.Stats().Rewritten, "a tenth is dead")
	e.Compact()
	require.NoError(t, e.giveBack())
	assert.NotZero(t, e.Stats().Rewritten)
	segments := e.Stats().Segments
	for n := uint64(1); n <= e.last[1]; n += 10 {
		e.remove(1, n, n+8)
	}
	e.meta.head = 1
	require.NoError(t, e.giveBack())
	assert.Equal(t, segments, e.Stats().Segments, "they are needed to open")
	e.meta.head = e.head
	require.NoError(t, e.giveBack())
	assert.Less(t, e.Stats().Segments, segments/4)
}

// A segment that is often read in small pieces is written again by stream, once; then one read gets what many did.
func TestScatteredReads(t *testing.T) {
	e := openEntries(t, newRand(t), Options{Files: NewMemory(0), SegmentSize: 200_000, Recent: 1})
	defer func() { require.NoError(t, e.Close()) }()
	for n := range uint64(9000) {
		e.append(10, 1+n%10)
	}
	e.cutHead(t)
	require.NoError(t, e.giveBack())
	assert.Zero(t, e.Stats().Rewritten, "it was not read")
	s := e.view.segments[1]
	require.False(t, s.rewritten)
	reads := func() (reads int) {
		for s.passed.Load() < passedSegments*e.o.SegmentSize && reads < 100 {
			before := s.passed.Load()
			e.requireRange(t, 3, 0, math.MaxUint64)
			if reads++; s.passed.Load() == before {
				return 0 // nothing is read in vain
			}
		}
		return reads
	}
	assert.Greater(t, reads(), 2)
	require.NoError(t, e.giveBack())
	rewritten := e.Stats().Rewritten
	assert.NotZero(t, rewritten)
	s = e.view.segments[1]
	require.True(t, s.rewritten)
	assert.Zero(t, reads())
	e.requireRandomRanges(t, 50, 10)
	require.NoError(t, e.giveBack())
	assert.Equal(t, rewritten, e.Stats().Rewritten)
}

// A segment with a record that is not whole keeps the trace of it.
func TestRewriterKeepsDamage(t *testing.T) {
	e := openEntries(t, newRand(t), Options{Files: NewMemory(0), SegmentSize: 20_000, Recent: 1})
	defer func() { require.NoError(t, e.Close()) }()
	for range 2000 {
		e.append(100, 1)
	}
	e.cutHead(t)
	for n := uint64(1); n <= e.last[1]; n += 10 {
		e.remove(1, n, n+8)
	}
	s := e.view.segments[3]
	_, err := s.file().WriteAt(make([]byte, 8000), s.end/2)
	require.NoError(t, err)
	for range 3 {
		_ = e.giveBack()
	}
	assert.Contains(t, e.view.segments, s)
	assert.NotZero(t, e.Stats().Rewritten)
	p := e.Pin(1, 0, math.MaxUint64)
	defer p.Release()
	_, err = pinned(p, false)
	var damage *Damage
	require.ErrorAs(t, err, &damage)
	assert.Equal(t, s.name(), damage.File)
}

// Readers read while the rewriter's own goroutine works, and the log grows.
func TestReadDuringRewriting(t *testing.T) {
	files := NewMemory(0)
	e := newEntries(newRand(t))
	l, _, err := Open(Options{
		Files: files, SegmentSize: 20_000, Recent: 1, Spans: parseSpans, Live: e.live, Keep: keepSpans,
	}, 0, func(Record) error { return nil })
	require.NoError(t, err)
	e.Log = l
	const keys = 3
	type job struct {
		p    *Pin
		want []uint64
	}
	jobs := make(chan job, 4)
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for j := range jobs {
				for _, back := range []bool{false, true} {
					found, err := pinned(j.p, back)
					assert.NoError(t, err)
					assert.True(t, slices.IsSorted(found))
					assert.Subset(t, found, j.want)
				}
				j.p.Release()
			}
		})
	}
	for range 150 {
		e.appendRandom(20, keys)
		key := 1 + e.r.Uint64N(keys)
		first := e.r.Uint64N(e.last[key] + 1)
		jobs <- job{e.Pin(key, first, e.last[key]), e.visibleOf(key, first, e.last[key])}
		for key := uint64(1); key <= keys; key++ {
			last := e.last[key]
			e.remove(key, 0, max(last, 100)-100)
			e.remove(key, last-last/50, last-last/100)
		}
		require.NoError(t, e.CutHead(e.Last()+1))
		e.Dead()
	}
	close(jobs)
	readers.Wait()
	require.NoError(t, e.awaitSyncer())
	require.NoError(t, e.giveBack())
	stats := e.Stats()
	require.NoError(t, stats.RewriteError)
	assert.NotZero(t, stats.Removed+stats.Rewritten)
	assert.Less(t, stats.Segments, 15)
	require.NoError(t, e.Close())
}

// What a plan joins: neighbors that are due; small ones beside them; never more than a segment.
func TestPlan(t *testing.T) {
	for _, test := range []struct {
		sentence string
		live     []int64 // of segments of 100 bytes, which are due below 50; a negative one is that small and wholly visible
		runs     [][]int
	}{
		{"nothing", nil, nil},
		{"none is due", []int64{60, 51, 100}, nil},
		{"neighbors are joined", []int64{10, 10, 100, 10, 20, 30}, [][]int{{0, 1}, {3, 4, 5}}},
		{"no more than a segment", []int64{40, 40, 40, 40}, [][]int{{0, 1}, {2, 3}}},
		{"a small one before is joined", []int64{100, -10, 10, 10}, [][]int{{1, 2, 3}}},
		{"a small one behind is joined", []int64{10, 10, -10, 100}, [][]int{{0, 1, 2}}},
		{"one that is as large as both is not", []int64{-30, 10, 10}, [][]int{{1, 2}}},
	} {
		t.Run(test.sentence, func(t *testing.T) {
			all := candidatesOf(test.live)
			for i := range all {
				all[i].due = all[i].size == 100 && all[i].live < 50
			}
			var found [][]int
			for _, run := range plan(all, 100) {
				var ids []int
				for _, c := range run {
					ids = append(ids, int(c.id))
				}
				found = append(found, ids)
			}
			assert.Equal(t, test.runs, found)
		})
	}
}

// candidatesOf makes segments of 100 bytes of which so many are visible; a negative one is that small and wholly visible.
func candidatesOf(live []int64) (all []candidate) {
	for i, live := range live {
		c := candidate{segment: &segment{id: uint64(i)}, size: 100, live: live}
		if live < 0 {
			c.size, c.live = -live, -live
		}
		all = append(all, c)
	}
	return all
}

// What is written again: nothing while little is dead; then what gives back most, until little is left.
func TestChoose(t *testing.T) {
	for _, test := range []struct {
		sentence string
		live     []int64
		damaged  int // -1 for none
		whole    bool
		due      []int
	}{
		{"nothing", nil, -1, false, nil},
		{"a segment of dead bytes is little", []int64{50, 60, 100}, -1, false, nil},
		{"the least visible ones first", []int64{60, 10, 20, 90, 30}, -1, false, []int{1, 2, 4}},
		{"a fourth of what is visible may be dead", []int64{80, 80, 80, 80, 80, 80, 80}, -1, false, nil},
		{"beyond it, until it is a sixth", []int64{75, 75, 75, 75, 75, 75, 75, 75}, -1, false, []int{0, 1, 2, 3}},
		{"what has little to give back is left alone", []int64{96, 97, 98, 10, 10}, -1, false, []int{3, 4}},
		{"damage stays", []int64{10, 10, 10}, 1, false, []int{0, 2}},
		{"all, if that is wanted, but for those", []int64{90, 95, 100, 50}, -1, true, []int{0, 3}},
	} {
		t.Run(test.sentence, func(t *testing.T) {
			all := candidatesOf(test.live)
			var visible int64
			for i := range all {
				visible += all[i].live
				all[i].damaged = i == test.damaged
			}
			choose(all, visible, 100, test.whole)
			var due []int
			for i := range all {
				if all[i].due {
					due = append(due, i)
				}
			}
			assert.Equal(t, test.due, due)
		})
	}
}

// A stream of many entries in one segment is looked at in several visits to the core.
func TestVisitsAreShort(t *testing.T) {
	e := openEntries(t, newRand(t), Options{Files: NewMemory(0), SegmentSize: 8 << 20, Recent: 1})
	defer func() { require.NoError(t, e.Close()) }()
	for range 3 * entriesAtOnce {
		e.append(0, 1)
	}
	for range 9 << 20 / 3000 {
		e.append(1000, 2)
	}
	e.cutHead(t)
	require.NoError(t, e.awaitSyncer())
	visits := 0
	e.o.Live = func(spans []Span) []Span { visits++; return e.live(spans) }
	require.NoError(t, e.giveBack())
	assert.Greater(t, visits, 3)
	e.remove(1, 0, e.last[1]-10)
	e.remove(2, 0, e.last[2])
	require.NoError(t, e.giveBack())
	e.requireRange(t, 1, 0, e.last[1])
}

// A clean stop seals the last segment, and it stays so if the next ones are of another kind. If all in it is dead, it is not removed: the name of
// the next follows from its own.
func TestTheLastSegmentStays(t *testing.T) {
	files := NewMemory(0)
	o := Options{Files: files, SegmentSize: 50_000}
	e := openEntries(t, newRand(t), o)
	for range 1000 {
		e.append(100, 1)
	}
	require.NoError(t, e.Close())
	o.Files = WithLayers(files, Layers{Compress: CompressS2})
	e.open(t, o)
	e.remove(1, 0, e.last[1])
	e.cutHead(t)
	e.Compact()
	require.NoError(t, e.giveBack())
	e.append(100, 1)
	require.NoError(t, e.Sync())
	require.NoError(t, e.Close())
}
