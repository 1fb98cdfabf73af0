package log

import (
	"bytes"
	"encoding/binary"
	"flag"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/conchmq/conch/internal/testseed"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var indexSeed = flag.Uint64("log.index", 0, "the seed of the index' model test; 0 takes a new one")

// The payload of a test's record is the list of its spans: key, first ordinal, count.
func spansPayload(spans ...Span) (b []byte) {
	for _, s := range spans {
		b = binary.AppendUvarint(b, s.Key)
		b = binary.AppendUvarint(b, s.First)
		b = binary.AppendUvarint(b, uint64(s.Count))
	}
	return b
}

func parseSpans(_ byte, payload []byte, add func(Span)) {
	for len(payload) > 0 {
		var n [3]uint64
		for i := range n {
			v, width := binary.Uvarint(payload)
			if width <= 0 {
				return
			}
			n[i], payload = v, payload[width:]
		}
		add(Span{n[0], n[1], int(n[2])})
	}
}

// indexed is one record of the model: where it is, and what it holds.
type indexed struct {
	at, length int64
	spans      []Span
}

// indexModel adds random records to an index, and knows them.
type indexModel struct {
	index   *index
	records []indexed
	next    map[uint64]uint64 // the next ordinal of a key
	end     int64
}

func newIndexModel() *indexModel {
	return &indexModel{index: newIndex(parseSpans), next: map[uint64]uint64{}, end: 64}
}

// add adds a record with entries of these keys, a random number of each.
func (m *indexModel) add(r *rand.Rand, padding int, keys ...uint64) {
	var spans []Span
	for _, key := range keys {
		first, count := m.next[key]+1, 1+r.IntN(3)
		if r.IntN(20) == 0 {
			first += r.Uint64N(1000) // as behind entries that were left out
		}
		m.next[key] = first + uint64(count) - 1
		spans = append(spans, Span{key, first, count})
	}
	payload := append(spansPayload(spans...), make([]byte, padding)...)
	if padding > 0 { // zeros are spans of no entry, three bytes each
		payload = payload[:len(payload)-padding%3]
	}
	record := Record{Payload: payload}
	m.index.add(m.end, record)
	m.records = append(m.records, indexed{m.end, headerSize + int64(len(payload)), spans})
	m.end += headerSize + int64(len(payload))
}

// offsets are those of the records with such entries.
func (m *indexModel) offsets(key, first, last uint64) (all []int64) {
	for _, r := range m.records {
		if slices.ContainsFunc(r.spans, func(s Span) bool { return s.Key == key && s.First <= last && s.First+uint64(s.Count)-1 >= first }) {
			all = append(all, r.at)
		}
	}
	return all
}

// requireFound checks extents against the model: they hold all records with such entries, each holds at least one record
// with an entry of the key, and what they hold beside is at most maxExtent for each end of the range.
func (m *indexModel) requireFound(t *testing.T, found []extent, key, first, last uint64) {
	t.Helper()
	want := m.offsets(key, first, last)
	var more int64
	for i, e := range found {
		require.Equal(t, key, e.key)
		require.LessOrEqual(t, e.first, last)
		require.GreaterOrEqual(t, e.last, first)
		if i > 0 {
			require.Greater(t, e.first, found[i-1].first)
		}
		for at := e.offset; at < e.offset+e.length; {
			n, ok := slices.BinarySearchFunc(m.records, at, func(r indexed, at int64) int { return int(r.at - at) })
			require.True(t, ok, "an extent has whole records")
			require.True(t, slices.ContainsFunc(m.records[n].spans, func(s Span) bool { return s.Key == key }))
			if len(want) > 0 && want[0] == at {
				want = want[1:]
			} else if i == 0 || at >= found[i-1].offset+found[i-1].length {
				more += m.records[n].length
			}
			at += m.records[n].length
		}
	}
	require.Empty(t, want, "records that were not found")
	require.LessOrEqual(t, more, int64(2*maxExtent))
}

// memoryPart encodes a part as a file has it, and opens it.
func memoryPart(t *testing.T, p *part) *part {
	t.Helper()
	const start = 5
	b := p.appendTo(make([]byte, start))
	opened, err := openPart(bytes.NewReader(b), start, int64(len(b)))
	require.NoError(t, err)
	return opened
}

// An index finds what was added, while it grows, sealed, and read from a file.
func TestIndexAgainstAModel(t *testing.T) {
	seed := *indexSeed
	if seed == 0 {
		seed = testseed.New()
	}
	t.Logf("replay with -log.index %d", seed)
	for _, keys := range []uint64{1, 2, 10, 3000} {
		r := rand.New(rand.NewPCG(seed, keys))
		m := newIndexModel()
		check := func(find func(back bool, key, first, last uint64, most int) []extent) {
			key := 1 + r.Uint64N(keys+1)
			first := r.Uint64N(m.next[key] + 2)
			last := first + r.Uint64N(1+m.next[key]/(1+r.Uint64N(50)))
			if r.IntN(10) == 0 {
				first, last = 0, math.MaxUint64
			}
			all := find(false, key, first, last, math.MaxInt)
			m.requireFound(t, all, key, first, last)
			back := find(true, key, first, last, math.MaxInt)
			slices.Reverse(back)
			require.Equal(t, all, back)
			if len(all) > 0 {
				most := 1 + r.IntN(len(all))
				require.Equal(t, all[:most], find(false, key, first, last, most))
				back = find(true, key, first, last, most)
				slices.Reverse(back)
				require.Equal(t, all[len(all)-most:], back)
			}
		}
		growing := func(back bool, key, first, last uint64, most int) []extent {
			find := m.index.find
			if back {
				find = m.index.findBack
			}
			found, end, err := find(nil, key, first, last, most)
			require.NoError(t, err)
			require.Equal(t, m.end, end)
			return found
		}
		for n := range 8_000 {
			var some []uint64
			for range 1 + r.IntN(1+r.IntN(4)) {
				if key := 1 + r.Uint64N(keys); !slices.Contains(some, key) {
					some = append(some, key)
				}
			}
			m.add(r, 3*r.IntN(1+r.IntN(100)), some...)
			if n%200 == 0 {
				check(growing)
			}
		}
		for _, sealed := range []*part{m.index.seal(), memoryPart(t, m.index.seal())} {
			for range 50 {
				check(func(back bool, key, first, last uint64, most int) []extent {
					find := sealed.find
					if back {
						find = sealed.findBack
					}
					found, err := find(nil, key, first, last, most)
					require.NoError(t, err)
					return found
				})
			}
		}
	}
}

// Records of one key within the same record are one extent, however they are mixed with those of others.
func TestIndexOfMixedRecords(t *testing.T) {
	x := newIndex(parseSpans)
	var spans []Span
	for n := range uint64(100) {
		spans = append(spans, Span{1, n + 1, 1}, Span{2, n + 1, 1})
	}
	x.add(64, Record{Payload: spansPayload(spans...)})
	length := headerSize + int64(len(spansPayload(spans...)))
	found, err := x.seal().find(nil, 2, 50, 50, 10)
	require.NoError(t, err)
	assert.Equal(t, []extent{{2, 1, 100, 64, length}}, found)
}

// The log's own records have no entries, whatever their bytes are.
func TestIndexLeavesOutTheLogsOwnRecords(t *testing.T) {
	x := newIndex(parseSpans)
	x.add(64, Record{Kind: kindMark, Payload: spansPayload(Span{1, 1, 1})})
	found, end, err := x.find(nil, 1, 0, math.MaxUint64, 10)
	require.NoError(t, err)
	assert.Empty(t, found)
	assert.Equal(t, int64(64+headerSize+3), end)
}

// What an index takes, in a file and in memory, for records of about 130 bytes.
func TestIndexSize(t *testing.T) {
	for _, test := range []struct {
		keys             uint64
		inFile, inMemory float64 // bytes a record, at most
	}{{1, 0.2, 1}, {10, 4.1, 5}, {1000, 5.4, 6.5}, {20_000, 7, 9}} {
		r := rand.New(rand.NewPCG(1, test.keys))
		m := newIndexModel()
		const records = 50_000
		for range records {
			key := 1 + r.Uint64N(test.keys)
			m.next[key]++
			payload := append(spansPayload(Span{key, m.next[key], 1}), make([]byte, 96)...)
			m.index.add(m.end, Record{Payload: payload})
			m.end += headerSize + int64(len(payload))
		}
		file, memory := float64(len(m.index.appendTo(nil)))/records, float64(m.index.size())/records
		t.Logf("%d keys: %.2f bytes a record in the file, %.2f in memory", test.keys, file, memory)
		assert.LessOrEqual(t, file, test.inFile)
		assert.LessOrEqual(t, memory, test.inMemory)
	}
}

// Each flipped bit of an index in a file is noticed, when it is opened or when the block is read.
func TestDamagedIndex(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	m := newIndexModel()
	for range 3000 {
		m.add(r, 0, 1+r.Uint64N(50))
	}
	whole := m.index.appendTo(nil)
	for range 2000 {
		b := slices.Clone(whole)
		b[r.IntN(len(b))] ^= 1 << r.IntN(8)
		p, err := openPart(bytes.NewReader(b), 0, int64(len(b)))
		for key := uint64(1); key <= 50 && err == nil; key++ {
			_, err = p.find(nil, key, 0, math.MaxUint64, math.MaxInt)
		}
		require.ErrorIs(t, err, errIndex)
	}
	for n := range len(whole) {
		_, err := openPart(bytes.NewReader(whole[:n]), 0, int64(n))
		require.ErrorIs(t, err, errIndex)
	}
}

// Readers look up while records are added: all that was added before is found.
func TestIndexReadWhileItGrows(t *testing.T) {
	x := newIndex(parseSpans)
	const records = 5_000
	added := make(chan uint64, records)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := range added {
			found, _, err := x.find(nil, n%7, n, n, 10)
			assert.NoError(t, err)
			assert.NotEmpty(t, found, n)
		}
	}()
	at := int64(64)
	for n := range uint64(records) {
		payload := spansPayload(Span{n % 7, n, 1})
		x.add(at, Record{Payload: payload})
		at += headerSize + int64(len(payload))
		added <- n
	}
	close(added)
	<-done
}

// Any bytes are decoded without a panic, in steps that their length bounds, and what comes out is in order.
func FuzzIndexBlock(f *testing.F) {
	f.Add(appendExtent(nil, extent{1, 2, 3, 64, 100}, extent{}, true))
	f.Add(appendExtent(appendExtent(nil, extent{1, 2, 3, 64, 100}, extent{}, true), extent{1, 9, 9, 200, 1}, extent{1, 2, 3, 64, 100}, false))
	f.Add(binary.AppendUvarint(nil, math.MaxUint64))
	f.Add(bytes.Repeat([]byte{0xff}, 40))
	f.Fuzz(func(t *testing.T, b []byte) {
		var before extent
		d := decoder{rest: b}
		for n := 0; d.next(); n++ {
			e := d.extent
			require.LessOrEqual(t, e.first, e.last)
			require.Positive(t, e.length)
			require.GreaterOrEqual(t, e.offset, int64(0))
			require.LessOrEqual(t, e.offset+e.length, int64(maxOffset))
			require.True(t, n == 0 || before.isBefore(e.key, e.first))
			before = e
		}
		// What was decoded is found in a part of it, with whatever sum and table.
		if d.err == nil && before.length > 0 {
			p := &part{data: b, blocks: []block{{end: uint32(len(b))}}, lastKey: math.MaxUint64}
			found, err := p.find(nil, before.key, before.first, before.last, math.MaxInt)
			require.NoError(t, err)
			require.Contains(t, found, before)
		}
	})
}

// Records with any spans are added, also such as no stream has: what comes of it is an index that can be opened.
func FuzzIndexAdd(f *testing.F) {
	f.Add(spansPayload(Span{1, 1, 1}, Span{2, 5, 3}), spansPayload(Span{1, 2, 1}), uint8(1))
	f.Add(spansPayload(Span{1, 9, 1}, Span{1, 5, 3}), spansPayload(Span{1, 2, 1}), uint8(200))
	f.Add(spansPayload(Span{math.MaxUint64, math.MaxUint64, math.MaxInt}), spansPayload(Span{}), uint8(3))
	f.Fuzz(func(t *testing.T, a, b []byte, records uint8) {
		x := newIndex(parseSpans)
		for n := range 10 * int(records) {
			payload := a
			if n%3 == 0 {
				payload = b
			}
			x.add(x.end, Record{Payload: payload})
		}
		p := memoryPart(t, x.seal())
		parseSpans(0, a, func(s Span) {
			_, err := p.find(nil, s.Key, s.First, s.First, 10)
			require.NoError(t, err)
		})
	})
}

// A file that ends with any bytes is opened or refused, and looking up ends.
func FuzzIndexFile(f *testing.F) {
	x := newIndex(parseSpans)
	x.add(64, Record{Payload: spansPayload(Span{1, 1, 1}, Span{7, 5, 2})})
	f.Add(x.appendTo(nil), uint64(1))
	f.Add([]byte(partMagic), uint64(7))
	f.Fuzz(func(_ *testing.T, b []byte, key uint64) {
		p, err := openPart(bytes.NewReader(b), 0, int64(len(b)))
		if err == nil {
			_, _ = p.find(nil, key, 0, math.MaxUint64, math.MaxInt)
			_, _ = p.findBack(nil, key, 0, math.MaxUint64, math.MaxInt)
		}
	})
}
