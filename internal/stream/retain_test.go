package stream

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRulesAsText(t *testing.T) {
	for _, test := range []struct {
		text  string
		rules []Rule
		plain string // "" if it is as the text
	}{
		{"", nil, ""},
		{" ;\n; ", nil, ""},
		{"logs.* age=7d count=1000000 bytes=10gb", []Rule{{"logs.*", 7 * 86_400_000, 1_000_000, 10 << 30, 0}}, ""},
		{"logs.* age=7d unread=20gb", []Rule{{Match: "logs.*", Age: 7 * 86_400_000, Unread: 20 << 30}}, ""},
		{"a age=90m; b; c count=1", []Rule{{Match: "a", Age: 90 * 60_000}, {Match: "b"}, {Match: "c", Count: 1}}, ""},
		{"a\tAGE=48h\nb bytes=2048KiB;", []Rule{{Match: "a", Age: 2 * 86_400_000}, {Match: "b", Bytes: 2 << 20}}, "a age=2d; b bytes=2mb"},
		{`"a b;=\"\x00" age=1ms`, []Rule{{Match: "a b;=\"\x00", Age: 1}}, ""},
		{`"plain" bytes=1500`, []Rule{{Match: "plain", Bytes: 1500}}, "plain bytes=1500"},
		{`"" count=2`, []Rule{{Count: 2}}, ""},
		{`h\*llo[a-z]? count=2`, []Rule{{Match: `h\*llo[a-z]?`, Count: 2}}, ""},
		{"é age=36500d", []Rule{{Match: "é", Age: maxAge}}, ""},
	} {
		rules, err := ParseRules(test.text)
		require.NoError(t, err, test.text)
		assert.Equal(t, test.rules, rules, test.text)
		plain := FormatRules(rules)
		if test.plain != "" || len(rules) == 0 {
			assert.Equal(t, test.plain, plain)
		} else {
			assert.Equal(t, test.text, plain)
		}
		again, err := ParseRules(plain)
		require.NoError(t, err)
		assert.Equal(t, rules, again)
	}
}

func TestRulesThatAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		"age=7d":                   "a rule begins with its glob, such as logs.* age=7d, and not with \"age=7d\"; put a glob with = into quotes",
		"a age":                    "rule a: expected a whole number from 1 on, such as age=7d, of ms, s, m, h or d, and a hundred years at most, not \"age\"",
		"a age=0s":                 "rule a: expected a whole number from 1 on, such as age=7d, of ms, s, m, h or d, and a hundred years at most, not \"age=0s\"",
		"a age=7":                  "rule a: expected a whole number from 1 on, such as age=7d, of ms, s, m, h or d, and a hundred years at most, not \"age=7\"",
		"a age=36501d":             "rule a: expected a whole number from 1 on, such as age=7d, of ms, s, m, h or d, and a hundred years at most, not \"age=36501d\"",
		"a count=0":                "rule a: expected a whole number from 1 on, such as count=1000, not \"count=0\"",
		"a count=1k":               "rule a: expected a whole number from 1 on, such as count=1000, not \"count=1k\"",
		"a bytes=-1":               "rule a: expected a whole number from 1 on, such as bytes=10gb, of kb, mb, gb or tb, not \"bytes=-1\"",
		"a bytes=9999999999tb":     "rule a: expected a whole number from 1 on, such as bytes=10gb, of kb, mb, gb or tb, not \"bytes=9999999999tb\"",
		"a count=1 count=1":        "rule a: count is given twice",
		"a; b size=4":              "rule b: expected age=, count=, bytes= or unread=, not \"size=4\"",
		`"a`:                       `a glob in quotes must end with one, and a blank behind it, such as "a b" age=7d`,
		`"a"b age=1d`:              `a glob in quotes must end with one, and a blank behind it, such as "a b" age=7d`,
		strings.Repeat("x;", 1001): "expected 1000 rules at most; one glob may stand for many names",
		strings.Repeat("x", 65537): "65537 bytes of rules: expected 65536 at most",
	} {
		_, err := ParseRules(text)
		require.EqualError(t, err, want, cutText(text))
	}
}

// rules sets rules, and lets all streams have theirs.
func (k *core) rules(text string) {
	k.set("retention", text)
	k.due()
}

// ids lists what a stream has.
func (k *core) ids(name string) (ids []string) {
	all := k.get(name).Range(MinID, MaxID, 0, false)
	all.Each(func(_ uint64, id ID) bool {
		ids = append(ids, id.String())
		return true
	})
	return ids
}

// same checks that records and a checkpoint give the same state, and that both do the same afterwards.
func (k *core) same() {
	k.t.Helper()
	k.flush()
	replayed := New()
	for _, record := range k.records {
		require.NoError(k.t, replayed.ApplyRecord(record))
	}
	loaded, err := Load(save(k.t, k.s, true))
	require.NoError(k.t, err)
	require.Equal(k.t, k.s.Digest(), loaded.Digest())
	for _, s := range []*Streams{replayed, loaded} {
		other := &core{t: k.t, s: s, now: k.now, sequence: k.sequence}
		for st := range k.s.All() {
			other.add(st.Name(), "*")
			if st.Number() > 20 {
				break
			}
		}
		other.setTime(k.now + 100_000)
		other.due()
	}
	require.Equal(k.t, replayed.Digest(), loaded.Digest())
}

func TestRetentionByCount(t *testing.T) {
	k := newCore(t)
	k.rules("keep.*; a* count=3; * count=1")
	for i := range 5 {
		for _, name := range []string{"keep.a", "a1", "b"} {
			k.add(name, fmt.Sprint(i+1))
		}
	}
	assert.Len(t, k.ids("keep.a"), 5, "the first rule that matches holds; without a limit it keeps all")
	assert.Equal(t, []string{"3-0", "4-0", "5-0"}, k.ids("a1"))
	assert.Equal(t, []string{"5-0"}, k.ids("b"))
	assert.Equal(t, []any{ID{5, 0}, uint64(5), ID{}}, []any{k.get("b").LastID(), k.get("b").EntriesAdded(), k.get("b").MaxDeleted()}, "as XTRIM has it")

	k.rules("a1 count=2; keep.a count=4")
	assert.Equal(t, []string{"4-0", "5-0"}, k.ids("a1"), "a new rule holds for what is there")
	assert.Len(t, k.ids("keep.a"), 4)
	k.add("b", "6")
	assert.Len(t, k.ids("b"), 2, "it has no rule any more")
	k.add("a1", "6", maxLen(1))
	assert.Equal(t, []string{"6-0"}, k.ids("a1"), "MAXLEN and a rule: the stricter one holds")
	k.add("a1", "7", maxLen(5))
	k.add("a1", "8", maxLen(5))
	assert.Equal(t, []string{"7-0", "8-0"}, k.ids("a1"))
	k.same()
}

// By bytes whole blocks go: what stays has at least so many.
func TestRetentionByBytes(t *testing.T) {
	k := newCore(t)
	k.rules("small bytes=1; a bytes=100kb; large bytes=3mb")
	const each = entryOverhead + 2 + 101 // a name of one byte, a value of 100
	fields := func(n int) func(*AddOptions) {
		return func(o *AddOptions) { o.Fields = [][]byte{[]byte("f"), bytes.Repeat([]byte("x"), n)} }
	}
	for i := range 10 * blockSize {
		k.add("a", fmt.Sprint(i+1), fields(100))
		k.add("small", fmt.Sprint(i+1), fields(100))
		have := int(k.get("a").Bytes())
		require.Zero(t, have%each)
		require.GreaterOrEqual(t, have, min((i+1)*each, 100<<10))
		require.Less(t, have, 100<<10+blockSize*each)
		require.LessOrEqual(t, k.get("small").Len(), blockSize+1)
		require.Positive(t, k.get("small").Len(), "the newest block stays")
	}
	for i := range 40 {
		k.add("large", fmt.Sprint(i+1), fields(500_000))
	}
	assert.InDelta(t, 3<<20+blockBytes, k.get("large").Bytes(), 1_000_000, "a block of large entries ends early")
	k.same()
	k.rules("a bytes=30kb")
	assert.Less(t, int(k.get("a").Bytes()), 30<<10+blockSize*each)
	k.s.PlanTrim(k.change(), k.get("a"), &TrimOptions{Kind: TrimMaxLen})
	k.apply()
	assert.Zero(t, k.get("a").Bytes())
	k.same()
}

// By age entries go as XTRIM MINID would remove them, a little later.
func TestRetentionByAge(t *testing.T) {
	k := newCore(t)
	k.rules("a age=10s")
	first := k.now
	for range 20 {
		k.add("a", "*")
		k.add("b", "*")
		k.setTime(k.now + 1000)
		k.due()
	}
	assert.Equal(t, []any{10, 20}, []any{k.get("a").Len(), k.get("b").Len()})
	at, ok := k.s.NextDeadline()
	require.True(t, ok)
	assert.Equal(t, first+10_000+10_000+minSlack, at)
	k.setTime(at)
	k.due()
	assert.Equal(t, fmt.Sprint(at-10_000, "-0"), k.ids("a")[0], "what is just so old stays")
	k.add("a", fmt.Sprint(k.now+60_000))
	k.setTime(k.now + 50_000)
	k.due()
	assert.Len(t, k.ids("a"), 1, "the id has the time")
	k.s.PlanTrim(k.change(), k.get("a"), &TrimOptions{Kind: TrimMaxLen})
	k.apply()
	k.setTime(k.now + 50_000)
	before := len(k.payload)
	k.due()
	assert.Len(t, k.payload, before, "there is nothing to give up: no change")
	_, ok = k.s.NextDeadline()
	assert.False(t, ok)
	k.add("c", "5")
	k.rules("c age=1ms")
	assert.Empty(t, k.ids("c"), "it is old")
	k.add("c", fmt.Sprint(uint64(1)<<63, "-0"))
	_, ok = k.s.NextDeadline()
	assert.False(t, ok, "it is never old")
	k.same()

	k.rules("d age=1s")
	k.add("d", fmt.Sprint(k.now+1_000_000))
	k.s.PlanTrim(k.change(), k.get("d"), &TrimOptions{Kind: TrimMaxLen})
	k.apply()
	require.NoError(t, k.s.PlanSetID(k.change(), k.get("d"), &SetIDOptions{ID: ID{1, 0}, EntriesAdded: -1}))
	k.apply()
	k.add("d", "*")
	k.setTime(k.now + 3000)
	k.due()
	assert.Empty(t, k.ids("d"), "an id that XSETID made possible is due before the one that was there")
	k.same()
}

// New rules over many streams come in pieces; what a checkpoint has in the middle of that goes on behind it.
func TestNewRulesComeInPieces(t *testing.T) {
	const streams = 1000
	k := newCore(t)
	for i := range 5 * streams {
		k.add(fmt.Sprint("s", i%streams), "*")
	}
	k.set("retention", "s1* count=4; s* count=2")
	pieces := 0
	for k.s.PlanDue(k.change()) {
		require.LessOrEqual(t, len(k.c.Numbers), retainAtOnce)
		at, ok := k.s.NextDeadline()
		require.Equal(t, []any{true, true}, []any{ok, at <= k.now}, "there is more to do")
		k.apply()
		k.add("s1", "*")
		k.add("s900", "*")
		k.add(fmt.Sprint("new", pieces), "*")
		if pieces++; pieces%4 == 0 {
			k.same()
		}
	}
	assert.Equal(t, (streams+retainAtOnce-1)/retainAtOnce, pieces)
	for i := range streams {
		assert.Contains(t, []int{2, 4}, k.get(fmt.Sprint("s", i)).Len())
	}
	k.same()
	k.set("retention", "")
	k.s.PlanFlush(k.change())
	k.apply()
	_, ok := k.s.NextDeadline()
	assert.False(t, ok)
	k.same()

	k.add("s1", "*")
	k.set("retention", "s* count=7")
	half, err := Load(save(t, k.s, true))
	require.NoError(t, err)
	k.due()
	resumed := &core{t: t, s: half, now: k.now, sequence: k.sequence}
	resumed.due()
	assert.Equal(t, k.s.Digest(), half.Digest())
}

// A stream of very many entries gives them up in pieces.
func TestALongStreamIsTrimmedInPieces(t *testing.T) {
	k := newCore(t)
	k.add("a", "1")
	st := k.get("a")
	const n = 3*maxGivenUp + 100
	for i := range uint64(n) {
		id := ID{i + 2, 0}
		st.ids.append(st.last, id, 20)
		st.last = id
	}
	k.set("retention", "a count=50")
	for _, want := range []int{maxGivenUp, maxGivenUp, maxGivenUp, 51} {
		require.True(t, k.s.PlanDue(k.change()))
		assert.Equal(t, want, k.apply().Removed)
	}
	assert.False(t, k.s.PlanDue(k.change()))
	assert.Equal(t, 50, st.Len())
}

// Streams with an age are looked at a hundred times in that age at most.
func TestAgesCostFewChanges(t *testing.T) {
	const streams = 500
	k := newCore(t)
	k.rules("* age=7d")
	changes, removed := 0, 0
	for range 14 * 24 { // hours
		for i := range streams {
			k.add(fmt.Sprint(i), "*")
		}
		k.setTime(k.now + 3_600_000)
		for k.s.PlanDue(k.change()) {
			changes++
			removed += k.apply().Removed
		}
	}
	assert.InDelta(t, 7*24*streams, removed, 3*streams)
	assert.LessOrEqual(t, changes, 100*(streams/retainAtOnce+1))
	k.payload = nil
}

// Names that are too long for globs, rules without a match, and the most rules there can be.
func TestRulesOfHostileNames(t *testing.T) {
	k := newCore(t)
	var text strings.Builder
	for i := range maxRules - 1 {
		fmt.Fprintf(&text, "*[a-c]?%d*x count=%d;", i, i+1)
	}
	k.rules(text.String() + "* count=1")
	long := strings.Repeat("a", maxRuledName+1)
	for range 3 {
		for _, name := range []string{"", long, "b-500xx", long[:1000]} {
			k.add(name, "*")
		}
	}
	assert.Equal(t, []int{1, 1, 3, 1}, []int{k.get("").Len(), k.get(long).Len(), k.get("b-500xx").Len(), k.get(long[:1000]).Len()})
	k.same()
}
