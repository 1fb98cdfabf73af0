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

// everyKind returns a record with changes of every kind.
func everyKind(t *testing.T) []byte {
	k := newCore(t)
	k.add("a", "5")
	k.setTime(k.now + 3)
	k.add("a", "*", maxLen(1), unique("p", "1"))
	k.add("a", "*", unique("p", "1"))
	k.add("b", "*")
	k.add("", "18446744073709551615-0")
	for i := range 20 {
		k.add("b", fmt.Sprint("9000000-", i*7+1))
	}
	st := k.get("b")
	k.s.PlanDelete(k.change(), st, []ID{{9000000, 8}, {9000000, 1}})
	k.apply()
	k.s.PlanTrim(k.change(), st, &TrimOptions{Kind: TrimMaxLen, MaxLen: 5})
	k.apply()
	require.NoError(t, k.s.PlanSetID(k.change(), st, &SetIDOptions{ID: MaxID, EntriesAdded: math.MaxInt64, MaxDeleted: ID{3, 4}}))
	k.apply()
	k.s.PlanConfigure(k.change(), st, 5, 6)
	k.apply()
	k.s.PlanExpiry(k.change(), st, k.now+1)
	k.apply()
	k.fence("b", 7)
	k.fence("fenced", math.MaxInt64)
	k.set("stream-idmp-duration", "8")
	k.set("stream-idmp-maxsize", "9")
	k.run("runs", "first", "second", "")
	k.run("runs", "same", "size")
	k.set("retention", "a count=1; r* count=3")
	k.setCursor("g", "a", k.sequence)
	k.setCursor("h", "*", 0)
	k.removeCursor("h", "*")
	k.holdCursor("i", "*", 0, "a node")
	k.setSource("s", "0", "17")
	k.setSource("s", "1", "")
	k.removeSource("s", "1")
	k.set("durable", "a b*")
	k.setTime(k.now + 200_000)
	k.due()
	k.run("runs", "", "", "", "", "")
	k.s.PlanRemove(k.change(), k.get("a"))
	k.s.PlanRemove(&k.c, k.get(""))
	k.apply()
	k.add("c", "1")
	k.s.PlanFlush(k.change())
	k.apply()
	record := k.payload
	k.replay()
	kinds := map[Kind]bool{}
	require.NoError(t, Changes(record, func(c *Change) bool {
		kinds[c.Kind] = true
		return true
	}))
	for kind := Add; kind <= Retain; kind++ {
		require.True(t, kinds[kind], kind)
	}
	require.True(t, kinds[Fence] && kinds[SetCursor] && kinds[HoldCursor] && kinds[RemoveCursor] && kinds[Durable] && kinds[AddRun] && kinds[SetSourcePosition] && kinds[RemoveSourcePosition])
	return record
}

// What was parsed is written as it was.
func TestChangesComeBack(t *testing.T) {
	record := everyKind(t)
	again := bytes.Clone(record[:headerSize])
	require.NoError(t, Changes(record, func(c *Change) bool {
		again = AppendChange(again, c)
		return true
	}))
	assert.Equal(t, record, again)
}

// The length of a change takes as many bytes as it needs.
func TestLargeChanges(t *testing.T) {
	for _, size := range []int{10, 1 << 14, 1<<21 - 100, 1 << 21} {
		k := newCore(t)
		value := bytes.Repeat([]byte("x"), size)
		k.add("a", "1", func(o *AddOptions) { o.Fields = [][]byte{[]byte("f"), value} })
		k.add("a", "2")
		n := 0
		require.NoError(t, EachEntry(k.payload, 1, func(e *Entry) bool {
			if n++; n == 1 {
				e.Fields.Next()
				text, ok := e.Fields.Next()
				assert.True(t, ok && bytes.Equal(value, text))
			}
			return true
		}))
		assert.Equal(t, 2, n)
	}
	var b [5]byte
	putUvarint(b[:], 300)
	in := input{b: b[:]}
	assert.Equal(t, uint64(300), in.uvarint())
	assert.Empty(t, in.b)
}

func TestEachEntry(t *testing.T) {
	k := newCore(t)
	large := strings.Repeat("x", 20_000)
	k.add("a", "1")
	k.setTime(k.now + 7)
	k.add("b", "*", func(o *AddOptions) { o.Fields = [][]byte{[]byte("n"), []byte("1"), nil, []byte(large)} })
	k.add("b", "*")
	k.s.PlanTrim(k.change(), k.get("a"), &TrimOptions{Kind: TrimMaxLen})
	k.apply()
	k.add("b", "*")
	k.add("a", "2")
	list := func(payload []byte, key uint64) (all []string) {
		require.NoError(t, EachEntry(payload, key, func(e *Entry) bool {
			line := fmt.Sprintf("%d/%d #%d %v %v", e.Key, e.Ordinal, e.Sequence, e.ID, e.Time)
			for e.Fields.Len() > 0 {
				text, ok := e.Fields.Next()
				require.True(t, ok)
				line += fmt.Sprintf(" %.10s", text)
			}
			_, ok := e.Fields.Next()
			require.False(t, ok)
			all = append(all, line)
			return len(all) < 4
		}))
		return all
	}
	a1, a2 := "1/1 #101 1-0 1000000 field value 101", "1/2 #105 2-0 1000007 field value 105"
	b := []string{"2/1 #102 1000007-0 1000007 n 1  xxxxxxxxxx", "2/2 #103 1000007-1 1000007 field value 103", "2/3 #104 1000007-2 1000007 field value 104"}
	assert.Equal(t, []string{a1, a2}, list(k.payload, 1))
	assert.Equal(t, b, list(k.payload, 2))
	assert.Equal(t, append([]string{a1}, b...), list(k.payload, 0), "f ends it")
	assert.Empty(t, list(k.payload, 3))

	spans := func(payload []byte) (all []string) {
		require.NoError(t, Spans(payload, func(key, first uint64, count int) { all = append(all, fmt.Sprint(key, "/", first, "+", count)) }))
		return all
	}
	assert.Equal(t, []string{"1/1+1", "2/1+3", "1/2+1"}, spans(k.payload))
	kept := Keep(nil, k.payload, func(key, ordinal uint64) bool { return key == 2 && ordinal != 2 })
	assert.Equal(t, []string{"2/1+1", "2/3+1"}, spans(kept))
	assert.Equal(t, []string{b[0], b[2]}, list(kept, 0))
}

// A record whose changes do not fit to the state is refused.
func TestMisfits(t *testing.T) {
	k := newCore(t)
	k.add("a", "5")
	k.add("a", "6")
	k.flush()
	first := k.records[0]
	k.add("a", "7")
	k.s.PlanRemove(k.change(), k.get("a"))
	k.apply()
	k.flush()
	s := New()
	require.ErrorIs(t, s.ApplyRecord(k.records[1]), ErrCorrupt)
	require.NoError(t, s.ApplyRecord(first))
	require.ErrorIs(t, s.ApplyRecord(first), ErrCorrupt, "twice")
	require.NoError(t, s.ApplyRecord(k.records[1]))
	require.ErrorIs(t, s.ApplyRecord(k.records[1]), ErrCorrupt)
	require.ErrorIs(t, s.ApplyRecord(first[:headerSize-1]), ErrCorrupt)
	require.ErrorIs(t, s.ApplyRecord(first[:len(first)-1]), ErrCorrupt)
}

// Bytes that are no record give an error; what they announce is not allocated; a state that they were applied to still works.
func FuzzRecord(f *testing.F) {
	header := BeginRecord(nil, 1, 2)
	f.Add(everyKind(&testing.T{}))
	f.Add([]byte{})
	f.Add(header)
	lies := bytes.Repeat([]byte{0xff}, 9)
	for kind := range byte(16) {
		f.Add(append(append(bytes.Clone(header), kind, 12, 0, 1), lies...)) // lengths and counts that lie
		f.Add(append(bytes.Clone(header), kind|0xf0, 4, 0, 0, 1, 1))
		f.Add(append(append(bytes.Clone(header), further, 13, 0, further+kind, 1), lies...))
		f.Add(append(bytes.Clone(header), further|0xf0, 5, 0, 0, further+kind, 1, 1))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		s := New()
		k := &core{t: t, s: s, now: 1000}
		k.add("a", "1-1")
		if err := s.ApplyRecord(payload); err != nil {
			require.ErrorIs(t, err, ErrCorrupt)
		}
		_ = EachEntry(payload, 0, func(e *Entry) bool {
			for ok := true; ok; {
				_, ok = e.Fields.Next()
			}
			return true
		})
		_ = Spans(Keep(nil, payload, func(uint64, uint64) bool { return true }), func(uint64, uint64, int) {})
		s.ApplyDamaged(payload, 0)
		s.Digest()
		for st := range s.All() {
			all := st.Range(MinID, MaxID, 0, true)
			n := 0
			all.Each(func(uint64, ID) bool { n++; return true })
			require.Equal(t, st.Len(), n)
		}
	})
}

// Behind lost records what is whole is served: entries come with their own ordinals, and what is unknown is skipped.
func TestRecordsBehindDamage(t *testing.T) {
	k := newCore(t)
	step := func(f func()) {
		f()
		k.flush()
	}
	step(func() {
		k.add("a", "1")
		k.add("b", "1")
		k.add("c", "1")
	})
	step(func() { // lost
		k.add("a", "2")
		k.add("lost", "1")
		k.s.PlanRemove(k.change(), k.get("b"))
		k.apply()
		k.s.PlanRemove(k.change(), k.get("c"))
		k.apply()
		k.add("b", "7")
		k.s.PlanRemove(k.change(), k.get("b"))
		k.apply()
	})
	step(func() {
		k.add("a", "3")
		k.add("lost", "2")
		k.add("b", "9")
		k.s.PlanDelete(k.change(), k.get("a"), []ID{{2, 0}, {1, 0}})
		k.apply()
		k.s.PlanRemove(k.change(), k.get("lost"))
		k.apply()
		k.add("a", "4")
	})
	s := New()
	require.NoError(t, s.ApplyRecord(k.records[0]))
	var misfit *Misfit
	err := s.ApplyRecord(k.records[2])
	require.ErrorIs(t, err, ErrCorrupt)
	require.ErrorAs(t, err, &misfit)
	assert.EqualError(t, misfit, "change 1 of a record, of stream 1, does not fit to the state: entry 3 follows 1")
	assert.Equal(t, 1, s.ApplyDamaged(k.records[2], misfit.Applied), "the entry of a stream without a name")
	entries := func(s *Streams, name string) (all []modelEntry) {
		r := s.Lookup([]byte(name)).Range(MinID, MaxID, 0, false)
		r.Each(func(ordinal uint64, id ID) bool {
			all = append(all, modelEntry{ordinal, id})
			return true
		})
		return all
	}
	assert.Equal(t, entries(k.s, "a"), entries(s, "a"))
	assert.Equal(t, entries(k.s, "b"), entries(s, "b"))
	assert.Nil(t, s.Lookup([]byte("lost")))
	assert.NotNil(t, s.Lookup([]byte("c")), "its removal is lost")
	assert.Equal(t, k.get("a").EntriesAdded(), s.Lookup([]byte("a")).EntriesAdded())
	assert.Equal(t, k.get("b").Number(), s.Lookup([]byte("b")).Number())
	assert.Equal(t, 1, s.ApplyDamaged(k.records[0][:5], 0))

	again, err := Load(save(t, s, true))
	require.NoError(t, err)
	assert.Equal(t, s.Digest(), again.Digest())

	k = newCore(t)
	k.add("a", "1")
	k.add("a", "2", maxLen(0))
	k.flush()
	k.add("a", "3", maxLen(0))
	k.flush()
	k.add("a", "4")
	k.flush()
	s = New()
	require.NoError(t, s.ApplyRecord(k.records[0]))
	assert.Equal(t, 0, s.ApplyDamaged(k.records[2], 0))
	assert.Equal(t, []modelEntry{{4, ID{4, 0}}}, entries(s, "a"), "behind an empty stream")

	s = New()
	require.NoError(t, s.ApplyRecord(k.records[0]))
	before := s.Digest()
	assert.Equal(t, 0, s.ApplyDamaged(k.records[0], 2), "all of it is applied")
	assert.Equal(t, before, s.Digest())
}
