package stream

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A run is what its entries are one by one: ids, ordinals, bytes, and blocks.
func TestARunIsItsEntries(t *testing.T) {
	for _, size := range []int{0, 1, 127, 128, 5000, 20_000, 2 << 20} {
		k, one := newCore(t), newCore(t)
		for i := range 5 {
			messages := make([]string, max(1, min(300, 4_000_000/(size+1))))
			for j := range messages {
				messages[j] = strings.Repeat("x", size+j%2*i)
			}
			k.run("a", messages...)
			for _, m := range messages {
				one.add("a", "*", func(o *AddOptions) { o.Fields = [][]byte{[]byte("message"), []byte(m)} })
			}
		}
		require.Equal(t, one.s.Digest(), k.s.Digest(), "size %d", size)
		require.Equal(t, one.s.Entries(), k.s.Entries())
		k.replay()
	}
}

func TestEntriesOfRuns(t *testing.T) {
	k := newCore(t)
	k.run("a", "one", "two", "three")
	k.add("b", "5-5")
	k.setTime(k.now + 9)
	k.run("b", "x", "y")
	k.run("a", "", "", "")
	list := func(payload []byte, key uint64) (all []string) {
		require.NoError(t, EachEntry(payload, key, func(e *Entry) bool {
			line := fmt.Sprintf("%d/%d #%d %v %d %d", e.Key, e.Ordinal, e.Sequence, e.ID, e.Time, e.Fields.Len())
			least := e.Fields.Size()
			for {
				text, ok := e.Fields.Next()
				if !ok {
					break
				}
				least -= len(text)
				line += fmt.Sprintf(" %s=", text)
			}
			assert.GreaterOrEqual(t, least, 0)
			all = append(all, line)
			return len(all) < 8
		}))
		return all
	}
	all := []string{
		"1/1 #101 1000000-0 1000000 2 message= one=", "1/2 #102 1000000-1 1000000 2 message= two=", "1/3 #103 1000000-2 1000000 2 message= three=",
		"2/1 #104 5-5 1000000 2 field= value 104=",
		"2/2 #105 1000009-0 1000009 2 message= x=", "2/3 #106 1000009-1 1000009 2 message= y=",
		"1/4 #107 1000009-0 1000009 2 message= =", "1/5 #108 1000009-1 1000009 2 message= =", "1/6 #109 1000009-2 1000009 2 message= =",
	}
	assert.Equal(t, all[:8], list(k.payload, 0), "f ends it within a run")
	assert.Equal(t, all[3:6], list(k.payload, 2))
	assert.Empty(t, list(k.payload, 3))

	spans := func(payload []byte) (all []string) {
		require.NoError(t, Spans(payload, func(key, first uint64, count int) { all = append(all, fmt.Sprint(key, "/", first, "+", count)) }))
		return all
	}
	assert.Equal(t, []string{"1/1+3", "2/1+3", "1/4+3"}, spans(k.payload))

	// What is kept of runs are shorter runs.
	for name, test := range map[string]struct {
		live func(key, ordinal uint64) bool
		want []string
	}{
		"all":             {func(uint64, uint64) bool { return true }, all[:8]},
		"none":            {func(uint64, uint64) bool { return false }, nil},
		"ends":            {func(_, ordinal uint64) bool { return ordinal != 2 && ordinal != 5 }, []string{all[0], all[2], all[3], all[5], all[6], all[8]}},
		"middle":          {func(_, ordinal uint64) bool { return ordinal == 2 || ordinal == 5 }, []string{all[1], all[4], all[7]}},
		"of one, the end": {func(key, ordinal uint64) bool { return key == 2 && ordinal > 1 }, all[4:6]},
	} {
		kept := Keep(nil, k.payload, test.live)
		assert.Equal(t, test.want, list(kept, 0), name)
	}
}

// Fields of a run can be copied away from their record.
func TestFieldsOfARunAreCopied(t *testing.T) {
	k := newCore(t)
	k.run("a", "one", "two")
	var copies []Fields
	var b []byte
	require.NoError(t, EachEntry(k.payload, 0, func(e *Entry) bool {
		var f Fields
		f, b = e.Fields.CopyTo(b)
		copies = append(copies, f)
		return true
	}))
	clear(k.payload)
	for i, want := range []string{"one", "two"} {
		name, _ := copies[i].Next()
		value, ok := copies[i].Next()
		assert.Equal(t, []any{"message", want, true}, []any{string(name), string(value), ok})
		_, ok = copies[i].Next()
		assert.False(t, ok)
	}
}

// A run ends at a count, at a size, and where ids of one millisecond end. Lengths that are the same take no bytes.
func TestBoundsOfRuns(t *testing.T) {
	k := newCore(t)
	assert.Equal(t, 3, k.run("a", make([]string, 2*MaxRun+1)...))
	kib := strings.Repeat("x", 1024)
	assert.Equal(t, 2, k.run("b", strings.Fields(strings.Repeat(kib+" ", 100))...))
	mib := strings.Repeat(kib, 1024)
	assert.Equal(t, 2, k.run("b", mib, mib))
	k.add("end", fmt.Sprintf("%d-%d", k.now, uint64(math.MaxUint64-2)))
	assert.Equal(t, 2, k.run("end", "1", "2", "3", "4"))
	assert.Equal(t, ID{uint64(k.now) + 1, 1}, k.get("end").LastID())
	k.add("last", "18446744073709551615-18446744073709551614")
	assert.Equal(t, 1, k.run("last", "1"))
	_, err := k.s.PlanRun(k.change(), []byte("last"), [][]byte{nil})
	require.ErrorIs(t, err, ErrExhausted)
	k.flush()
	k.run("c", strings.Fields(strings.Repeat(kib[:64]+" ", 64))...)
	assert.LessOrEqual(t, len(k.payload), headerSize+64*64+24)
	k.replay()
}

// Rules hold behind each run, for the entries of the run as well.
func TestRetentionOfRuns(t *testing.T) {
	k := newCore(t)
	k.set("retention", "few count=10; small bytes=20000; new age=5s")
	k.run("few", make([]string, 100)...)
	assert.Equal(t, 10, k.get("few").Len())
	k.run("few", "1", "2", "3")
	k.run("few", make([]string, 30)...)
	assert.Equal(t, 10, k.get("few").Len())
	assert.Equal(t, uint64(133), k.get("few").EntriesAdded())
	for range 20 {
		k.run("small", strings.Fields(strings.Repeat("0123456789 ", 250))...)
		k.due()
		bytes := k.get("small").Bytes()
		assert.Less(t, bytes, uint64(20_000+2*blockSize*35))
	}
	assert.GreaterOrEqual(t, k.get("small").Bytes(), uint64(20_000))
	k.run("new", "1", "2")
	k.setTime(k.now + 4000)
	k.run("new", "3", "4")
	k.setTime(k.now + 2500)
	k.due()
	assert.Equal(t, 2, k.get("new").Len())
	k.setTime(k.now + 5000)
	k.due()
	assert.Zero(t, k.get("new").Len())
	k.run("new", "5", "6")
	k.setTime(k.now + 7000)
	k.due()
	assert.Zero(t, k.get("new").Len(), "entries of an empty stream have their deadline")
	k.replay()
}

// A watched key changes by a run; a run of a stream that has records missing is applied as far as it makes sense.
func TestRunsAreChanges(t *testing.T) {
	k := newCore(t)
	w := k.s.Watch([]byte("a"))
	k.run("a", "1", "2")
	assert.Equal(t, uint64(1), w.Version())
	k.s.Unwatch(w)
	k.flush()
	k.run("a", "lost", "lost")
	k.flush()
	k.run("a", "3", "4")
	k.flush()
	s := New()
	require.NoError(t, s.ApplyRecord(k.records[0]))
	require.ErrorIs(t, s.ApplyRecord(k.records[2]), ErrCorrupt)
	assert.Zero(t, s.ApplyDamaged(k.records[2], 0))
	assert.Equal(t, 4, s.Entries())
	assert.Equal(t, k.sequence, s.Sequence())
	require.ErrorIs(t, s.ApplyRecord(k.records[0]), ErrCorrupt, "twice")
}

// A run that lies about its lengths, or is cut off, is corrupt.
func TestCorruptRuns(t *testing.T) {
	for _, messages := range [][]string{{"one", "two", "three"}, {"one", "two"}} {
		k := newCore(t)
		k.run("a", messages...)
		for cut := headerSize + 1; cut < len(k.payload); cut++ {
			payload := bytes.Clone(k.payload[:cut])
			require.ErrorIs(t, New().ApplyRecord(payload), ErrCorrupt)
			if cut > headerSize+3 {
				putUvarint(payload[headerSize+1:headerSize+3], uint64(cut-headerSize-3)) //nolint:gosec // a length
				require.ErrorIs(t, New().ApplyRecord(payload), ErrCorrupt, "cut at %d", cut)
				require.ErrorIs(t, EachEntry(payload, 0, func(*Entry) bool { return true }), ErrCorrupt, "cut at %d", cut)
			}
		}
		more := append(bytes.Clone(k.payload), 'x')
		putUvarint(more[headerSize+1:headerSize+3], uint64(len(more)-headerSize-3)) //nolint:gosec // a length
		require.ErrorIs(t, New().ApplyRecord(more), ErrCorrupt)
		require.ErrorIs(t, EachEntry(more, 0, func(*Entry) bool { return true }), ErrCorrupt)
	}
}

// What a run costs, an entry: planned, applied, and put into the record.
func BenchmarkAddRun(b *testing.B) {
	messages := make([][]byte, 64)
	for i := range messages {
		messages[i] = make([]byte, 64)
	}
	s, payload, c := New(), BeginRecord(nil, 1, 1), &Change{}
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		c.Reset()
		c.Time, c.Sequence = int64(1+n/20), uint64(n)*64+2
		if _, err := s.PlanRun(c, []byte("a"), messages); err != nil {
			b.Fatal(err)
		}
		if len(payload) > 64<<10 {
			payload = BeginRecord(payload[:0], c.Sequence, c.Time)
		}
		payload = AppendChange(payload, c)
		s.Apply(c)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/64, "ns/entry")
}
