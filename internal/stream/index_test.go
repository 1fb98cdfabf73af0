package stream

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/conchmq/conch/internal/testseed"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var seedFlag = flag.Uint64("seed", 0, "seed of the model tests; 0 takes a new one")

// random returns a source of random numbers. A failure prints its seed.
func random(t *testing.T) *rand.Rand {
	seed := *seedFlag
	if seed == 0 {
		seed = testseed.New()
	}
	t.Logf("-seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// modelEntry is one live entry of the model.
type modelEntry struct {
	ordinal uint64
	id      ID
}

// modelIndex is an index as a list.
type modelIndex struct {
	entries []modelEntry
	next    uint64
}

func (m *modelIndex) find(id ID) (int, bool) {
	return slices.BinarySearchFunc(m.entries, id, func(e modelEntry, id ID) int { return e.id.Compare(id) })
}

// randomID makes an id behind prev, of each kind that codes have.
func randomID(r *rand.Rand, prev ID) ID {
	next, _ := prev.Next()
	switch r.IntN(8) {
	case 0, 1, 2:
		return next
	case 3, 4:
		return ID{prev.Ms + 1 + r.Uint64N(200), 0}
	case 5:
		return ID{prev.Ms, prev.Seq + 1 + r.Uint64N(1<<r.IntN(40))}
	case 6:
		return ID{prev.Ms + 1 + r.Uint64N(1<<r.IntN(36)), r.Uint64() >> r.IntN(64)}
	}
	return ID{prev.Ms + 1 + r.Uint64N(3), r.Uint64N(3)}
}

// An index and a plain list have the same entries, whatever is added, removed, trimmed and set.
func TestIndexModel(t *testing.T) {
	r := random(t)
	for range 10 {
		runIndexModel(t, r, 400+r.IntN(8000), 1)
	}
	for range 3 {
		runIndexModel(t, r, 1500, 300) // several pages
	}
}

// snapshot is a range with what was in it when it was made.
type snapshot struct {
	r    Range
	want []modelEntry
}

func runIndexModel(t *testing.T, r *rand.Rand, steps, adds int) {
	st := &Stream{ids: newIndex()}
	m := &modelIndex{next: 1}
	var kept []snapshot
	removes, trims := r.IntN(6), r.IntN(3)
	for step := range steps {
		switch n := r.IntN(1000); {
		case n < 100*removes:
			removeSome(t, r, st, m)
		case n < 100*removes+2*trims:
			trimSome(t, r, st, m)
		case n > 997:
			setLast(r, st, m)
		case n > 994:
			kept = append(kept, checkRange(t, r, st, m))
		default:
			for range 1 + r.IntN(adds) {
				id := randomID(r, st.last)
				if st.ids.append(st.last, id, 10) != m.next {
					require.Fail(t, "another ordinal")
				}
				m.entries = append(m.entries, modelEntry{m.next, id})
				st.last = id
				m.next++
			}
		}
		require.Equal(t, len(m.entries), st.Len())
		checkKept(t, &st.ids)
		if step%1000 == 0 {
			checkIndex(t, st, m)
			checkLive(t, r, st, m)
			checkSeeker(t, r, st, m)
		}
	}
	checkIndex(t, st, m)
	checkLive(t, r, st, m)
	for _, k := range kept {
		checkEach(t, &k.r, k.want)
	}
}

func removeSome(t *testing.T, r *rand.Rand, st *Stream, m *modelIndex) {
	if len(m.entries) == 0 {
		return
	}
	at := r.IntN(len(m.entries))
	if r.IntN(2) == 0 {
		at = min(at, r.IntN(10)) // the oldest ones, so that the front moves
	}
	e := m.entries[at]
	v := st.ids.view()
	ordinal, ok := v.find(e.id)
	require.True(t, ok)
	require.Equal(t, e.ordinal, ordinal)
	require.True(t, st.ids.remove(ordinal))
	require.False(t, st.ids.remove(ordinal), "it is gone")
	require.False(t, st.Exists(e.id))
	m.entries = slices.Delete(m.entries, at, at+1)
}

// checkKept checks the bytes of blocks: those of full ones and of the open one are those of the stream, and none is missing.
func checkKept(t *testing.T, x *index) {
	t.Helper()
	blocks, full := uint64(0), uint64(0)
	x.eachKept(func(h *head) { blocks, full = blocks+h.bytes, full+1 })
	if x.full != nil {
		require.Equal(t, blocks, x.full.content)
	}
	require.GreaterOrEqual(t, x.kept, 10*x.live)
	require.Equal(t, uint64(x.count)*10, x.openBytes())
	require.Equal(t, x.live > 0, x.kept > 0)
	require.LessOrEqual(t, x.kept, full*10*blockSize+x.openBytes())
}

func trimSome(t *testing.T, r *rand.Rand, st *Stream, m *modelIndex) {
	n := r.IntN(len(m.entries) + 1)
	if r.IntN(3) > 0 {
		n = min(n, r.IntN(50))
	}
	v := st.ids.view()
	require.EqualValues(t, n, st.ids.trim(v.at(uint64(n))))
	m.entries = m.entries[n:]
}

// setLast moves the last id, down to that of the newest entry or up.
func setLast(r *rand.Rand, st *Stream, m *modelIndex) {
	lowest := MinID
	if len(m.entries) > 0 {
		lowest = m.entries[len(m.entries)-1].id
	}
	st.ids.endBlock()
	if st.last = lowest; r.IntN(2) == 0 {
		st.last = randomID(r, lowest)
	}
}

// checkRange compares a random range.
func checkRange(t *testing.T, r *rand.Rand, st *Stream, m *modelIndex) snapshot {
	pick := func() ID {
		if len(m.entries) == 0 || r.IntN(4) == 0 {
			return []ID{MinID, MaxID, {r.Uint64() >> r.IntN(64), r.Uint64() >> r.IntN(64)}}[r.IntN(3)]
		}
		id := m.entries[r.IntN(len(m.entries))].id
		switch r.IntN(3) {
		case 0:
			id, _ = id.Next()
		case 1:
			id, _ = id.Prev()
		}
		return id
	}
	from, to, count, reverse := pick(), pick(), r.IntN(3)*r.IntN(1000), r.IntN(2) == 0
	low, _ := m.find(from)
	high, found := m.find(to)
	if found {
		high++
	}
	var want []modelEntry
	if low < high {
		want = slices.Clone(m.entries[low:high])
	}
	if reverse {
		slices.Reverse(want)
	}
	if count > 0 {
		want = want[:min(count, len(want))]
	}
	got := st.Range(from, to, count, reverse)
	checkEach(t, &got, want)
	return snapshot{got, want}
}

func checkEach(t *testing.T, r *Range, want []modelEntry) {
	require.Equal(t, len(want), r.Len())
	var got []modelEntry
	r.Each(func(ordinal uint64, id ID) bool {
		got = append(got, modelEntry{ordinal, id})
		return true
	})
	if !slices.Equal(want, got) {
		require.Equal(t, want, got)
	}
	if len(want) == 0 {
		return
	}
	low, high := want[0].ordinal, want[len(want)-1].ordinal
	if r.Reverse() {
		low, high = high, low
		got = slices.Clone(got)
		slices.Reverse(got)
	}
	require.Equal(t, low, r.First())
	require.Equal(t, high, r.Last())
	for o, i := low-1, 0; o <= high+1; o++ {
		live := i < len(got) && got[i].ordinal == o
		if live != r.Live(o) {
			require.Equal(t, live, r.Live(o), "ordinal %d", o)
		}
		if live {
			i++
		}
	}
}

// checkIndex compares all entries, both ways, and both edges.
func checkIndex(t *testing.T, st *Stream, m *modelIndex) {
	all := st.Range(MinID, MaxID, 0, false)
	checkEach(t, &all, slices.Clip(append([]modelEntry(nil), m.entries...)))
	require.Equal(t, m.next, st.ids.next)
	first, ok := st.First()
	last, _ := st.Last()
	if require.Equal(t, len(m.entries) > 0, ok); ok {
		require.Equal(t, m.entries[0].id, first)
		require.Equal(t, m.entries[len(m.entries)-1].id, last)
		require.Equal(t, m.entries[0].ordinal, st.ids.first)
	} else {
		require.Nil(t, st.ids.full)
	}
	if f := st.ids.full; f != nil {
		checkPages(t, f)
	}
}

// checkLive compares the runs of live ordinals.
func checkLive(t *testing.T, r *rand.Rand, st *Stream, m *modelIndex) {
	from := r.Uint64N(m.next + 5)
	to := from + r.Uint64N(m.next+5)
	var got, want []uint64
	v, last := st.ids.view(), uint64(0)
	v.live(from, to, func(first uint64, count int) {
		require.Greater(t, first, last, "runs are apart")
		for last = first; last < first+uint64(count); last++ {
			got = append(got, last)
		}
	})
	for _, e := range m.entries {
		if e.ordinal >= from && e.ordinal < to {
			want = append(want, e.ordinal)
		}
	}
	if !slices.Equal(want, got) {
		require.Equal(t, want, got, "%d to %d", from, to)
	}
}

func checkPages(t *testing.T, f *sealed) {
	end := uint64(0)
	for _, p := range f.pages {
		count := 0
		require.LessOrEqual(t, len(p.heads), pageBlocks)
		for _, h := range p.heads {
			require.GreaterOrEqual(t, h.ordinal, end)
			end = h.end()
			count += int(h.count)
		}
		require.Equal(t, count, p.count)
		if p.dead != nil {
			total := 0
			for i := range p.heads {
				m := p.dead.block(i)
				require.EqualValues(t, p.dead.in[i], m.count(0, blockSize))
				total += m.count(0, blockSize)
			}
			require.Equal(t, total, p.dead.total)
		}
	}
}

// Ids of odd shapes take at most 20 bytes in a block, and come back.
func TestCodes(t *testing.T) {
	far := ID{math.MaxUint64 - 1, math.MaxUint64}
	steps := []ID{{1, 0}, {1, 1}, {1, 2}, {1, 4}, {2, 0}, {2, math.MaxUint64}, {3, 7}, {1 << 60, 3}, {1<<60 + 5, 0}, {1 << 63, 0}, far, {math.MaxUint64, 0}, MaxID}
	var codes []byte
	prev := MinID
	for _, id := range steps {
		before := len(codes)
		codes = appendCode(codes, prev, id)
		assert.LessOrEqual(t, len(codes)-before, 19, id)
		prev = id
	}
	d := decoder{codes: appendRun(codes, 3)[:len(codes)], tail: 0}
	for _, id := range steps {
		d.next()
		assert.Equal(t, id, d.id)
	}
	d.next()
	assert.Equal(t, MaxID, d.id, "codes that end early repeat the last id")
}

// The bytes an entry takes, by the rate of `*` ids (decision 029).
func TestBytesForEachID(t *testing.T) {
	if testing.Short() {
		t.Skip("it makes two million ids for each rate")
	}
	const n = 2_000_000
	for rate, most := range map[float64]float64{100_000: 0.45, 1000: 1.35, 10: 2.0} {
		r := rand.New(rand.NewPCG(1, 2))
		st := &Stream{ids: newIndex()}
		before := heap()
		at := 0.0
		for range n {
			at += r.ExpFloat64() * 1000 / rate
			id := ID{uint64(at) + 1, 0}
			if !st.last.Less(id) {
				id, _ = st.last.Next()
			}
			st.ids.append(st.last, id, 10)
			st.last = id
		}
		each := float64(heap()-before) / n
		t.Logf("%v a second: %.2f bytes", rate, each)
		assert.Less(t, each, most, fmt.Sprint(rate))
		runtime.KeepAlive(st)
	}
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// Many streams of a thousand entries each, trimmed at each add, do not hold the ids that went.
func TestTrimmedIDsGiveTheirMemoryBack(t *testing.T) {
	const streams, entries = 200, 20_000
	all := make([]*Stream, streams)
	before := heap()
	for i := range all {
		st := &Stream{ids: newIndex()}
		for n := range uint64(entries) {
			id := ID{n * 40, 0}
			if n == 0 {
				id.Seq = 1
			}
			st.ids.append(st.last, id, 10)
			st.last = id
			if st.ids.live > 1000 {
				st.ids.trim(st.ids.first + 1)
			}
		}
		require.EqualValues(t, 1000, st.ids.live)
		all[i] = st
	}
	assert.Less(t, (heap()-before)/streams, int64(8<<10))
	runtime.KeepAlive(all)
}

// A range that ends where a page does.
func TestRangesThatEndWithAPage(t *testing.T) {
	st := &Stream{ids: newIndex()}
	for n := range uint64(100_000) {
		id := ID{n + 1, 0}
		st.ids.append(st.last, id, 10)
		st.last = id
	}
	const page = pageBlocks * blockSize
	require.True(t, st.ids.remove(2*page+5))
	require.True(t, st.ids.remove(100_000-page))
	for _, count := range []int{page - 1, page, page + 1, 2 * page} {
		r := st.Range(MinID, MaxID, count, false)
		assert.Equal(t, []any{count, uint64(1), uint64(count)}, []any{r.Len(), r.First(), r.Last()})
		v := st.ids.view()
		end := v.pages[2].end()
		r = st.Range(MinID, ID{end - 1, 0}, count, true)
		assert.Equal(t, []any{count, end - uint64(count) - 2, end - 1}, []any{r.Len(), r.First(), r.Last()})
	}
}
