package stream

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// core does what the core of the broker does: it plans, applies and records.
type core struct {
	t        *testing.T
	s        *Streams
	now      int64
	sequence uint64
	payload  []byte   // of the record of the batch
	records  [][]byte // of batches before
	c        Change
}

func newCore(t *testing.T) *core {
	return &core{t: t, s: New(), now: 1_000_000, sequence: 100}
}

// change returns an empty change of the present time.
func (k *core) change() *Change {
	k.c.Reset()
	k.c.Time = k.now
	return &k.c
}

func (k *core) apply() Result {
	if k.c.Adds() {
		k.sequence++
	}
	k.c.Sequence = k.sequence
	if k.payload == nil {
		k.payload = BeginRecord(nil, k.sequence, k.now)
	}
	if k.c.Kind == AddRun {
		k.sequence += uint64(len(k.c.Messages)) - 1
	}
	k.payload = AppendChange(k.payload, &k.c)
	return k.s.Apply(&k.c)
}

// flush ends the batch.
func (k *core) flush() {
	if k.payload != nil {
		k.records = append(k.records, k.payload)
		k.payload = nil
	}
}

// run appends messages by runs, and returns how many runs they were.
func (k *core) run(name string, messages ...string) (runs int) {
	list := make([][]byte, len(messages))
	for i, m := range messages {
		list[i] = []byte(m)
	}
	for ; len(list) > 0; runs++ {
		n, err := k.s.PlanRun(k.change(), []byte(name), list)
		require.NoError(k.t, err)
		k.apply()
		list = list[n:]
	}
	return runs
}

// set is CONFIG SET of a setting that is state.
func (k *core) set(name, text string) {
	setting := FindSetting(name)
	require.NotNil(k.t, setting)
	plain, err := setting.Check(text)
	require.NoError(k.t, err)
	if setting.Plan(k.s, k.change(), plain) {
		k.apply()
	}
}

func (k *core) setTime(now int64) {
	k.now = now
	k.s.SetNow(now)
}

func (k *core) due() (keys int) {
	for {
		for k.s.PlanDue(k.change()) {
			keys += k.apply().Keys
		}
		if at, ok := k.s.NextDeadline(); !ok || at > k.now {
			return keys
		}
	}
}

// add is XADD with an id as text; it returns the id, nothing for a null, or the error.
func (k *core) add(name, id string, options ...func(*AddOptions)) string {
	var o AddOptions
	var err error
	o.ID, o.Auto, o.AutoSeq, err = ParseAddID([]byte(id))
	require.NoError(k.t, err)
	o.Fields = [][]byte{[]byte("field"), fmt.Appendf(nil, "value %d", k.sequence+1)}
	for _, option := range options {
		option(&o)
	}
	ok, err := k.s.PlanAdd(k.change(), []byte(name), &o)
	switch {
	case err != nil:
		return err.Error()
	case !ok:
		return ""
	}
	return k.apply().ID.String()
}

func (k *core) get(name string) *Stream { return k.s.Lookup([]byte(name)) }

// replay applies all records to another state, which then has the same digest.
func (k *core) replay() {
	k.flush()
	second := New()
	for _, record := range k.records {
		require.NoError(k.t, second.ApplyRecord(record))
	}
	require.Equal(k.t, k.s.Digest(), second.Digest())
}

func maxLen(n uint64) func(*AddOptions) {
	return func(o *AddOptions) { o.Trim = TrimOptions{Kind: TrimMaxLen, MaxLen: n} }
}

func noMkStream(o *AddOptions) { o.NoMkStream = true }

// fence is XFENCE; it returns whether the token changed.
func (k *core) fence(name string, token uint64) bool {
	k.t.Helper()
	changes, err := k.s.PlanFence(k.change(), []byte(name), token)
	require.NoError(k.t, err)
	if changes {
		k.apply()
	}
	return changes
}

func ifLast(text string) func(*AddOptions) {
	return func(o *AddOptions) { o.IfLast, o.Last = true, parsed(text) }
}

func fenced(token uint64) func(*AddOptions) {
	return func(o *AddOptions) { o.Fenced, o.Fence = true, token }
}

func parsed(text string) ID {
	id, err := ParseID([]byte(text), 0)
	if err != nil {
		panic(err)
	}
	return id
}

func TestAddOnlyBehindTheLastID(t *testing.T) {
	k := newCore(t)
	assert.Equal(t, "0-0 is the last id, not 1-1", k.add("a", "2-1", ifLast("1-1")))
	assert.Nil(t, k.get("a"))
	assert.Equal(t, "1-1", k.add("a", "1-1", ifLast("0")))
	assert.Equal(t, "1-1 is the last id, not 0-0", k.add("a", "2-1", ifLast("0")))
	assert.Equal(t, "2-1", k.add("a", "2-1", ifLast("1-1")))
	k.s.PlanDelete(k.change(), k.get("a"), []ID{{2, 1}})
	k.apply()
	assert.Equal(t, "2-1 is the last id, not 1-1", k.add("a", "3-1", ifLast("1-1")), "a deleted entry stays the last one")
	assert.Equal(t, string(ErrIDTooSmall), k.add("a", "2-1", ifLast("2-1")))
	assert.Equal(t, "1000000-0", k.add("a", "*", ifLast("2-1"), unique("p", "1")))
	assert.Equal(t, "1000000-0", k.add("a", "*", ifLast("2-1"), unique("p", "1")), "a repetition gets its id")
	assert.Equal(t, 2, k.get("a").Len())
	k.setTime(k.now + 1)
	k.s.PlanExpiry(k.change(), k.get("a"), k.now+1)
	k.apply()
	k.setTime(k.now + 2)
	assert.Equal(t, "5-1", k.add("a", "5-1", ifLast("0")), "the one before is over")
	k.replay()
}

func TestFences(t *testing.T) {
	k := newCore(t)
	assert.False(t, k.fence("a", 0))
	assert.Nil(t, k.get("a"))
	assert.True(t, k.fence("a", 7))
	assert.Equal(t, []any{0, uint64(7)}, []any{k.get("a").Len(), k.get("a").Fence()})
	assert.False(t, k.fence("a", 7))
	_, err := k.s.PlanFence(k.change(), []byte("a"), 6)
	assert.EqualError(t, err, "7 is the token of the stream, 6 is below it")
	assert.Equal(t, "7 is the token of the stream, 6 is below it", k.add("a", "1-1", fenced(6)))
	assert.Equal(t, "1-1", k.add("a", "1-1", fenced(7)))
	assert.Equal(t, "2-1", k.add("a", "2-1", fenced(8)))
	assert.EqualValues(t, 7, k.get("a").Fence(), "an append does not raise it")
	assert.Equal(t, "3-1", k.add("a", "3-1"))
	assert.Equal(t, "7 is the token of the stream, 6 is below it", k.add("a", "4-1", fenced(6), ifLast("1-1")))
	assert.Equal(t, "1-1", k.add("b", "1-1", fenced(6)))
	k.replay()
	k.s.PlanRemove(k.change(), k.get("a"))
	k.apply()
	assert.Equal(t, "1-1", k.add("a", "1-1", fenced(1)), "the token is gone with the stream")
	k.replay()
}

func TestAddIDs(t *testing.T) {
	k := newCore(t)
	for _, test := range [][3]string{
		{"a", "0-0", string(ErrIDZero)},
		{"a", "0", string(ErrIDZero)},
		{"a", "0-*", "0-1"},
		{"a", "0-*", "0-2"},
		{"a", "0-2", string(ErrIDTooSmall)},
		{"a", "5", "5-0"},
		{"a", "4-*", string(ErrIDTooSmall)},
		{"a", "5-*", "5-1"},
		{"a", "7-*", "7-0"},
		{"a", "*", "1000000-0"},
		{"a", "*", "1000000-1"},
		{"a", "2000000-18446744073709551615", "2000000-18446744073709551615"},
		{"a", "2000000-*", string(ErrIDTooSmall)},
		{"a", "*", "2000001-0"},
		{"a", "18446744073709551615-18446744073709551614", "18446744073709551615-18446744073709551614"},
		{"a", "*", MaxID.String()},
		{"a", "*", string(ErrExhausted)},
		{"a", "1-1", string(ErrExhausted)},
		{"b", "0-1", "0-1"},
		{"c", "18446744073709551615-18446744073709551615", MaxID.String()},
	} {
		assert.Equal(t, test[2], k.add(test[0], test[1]), "%v", test)
	}
	assert.Empty(t, k.add("d", "*", noMkStream))
	assert.Equal(t, "5-0", k.add("d", "5"))
	assert.Equal(t, "6-0", k.add("d", "6", noMkStream))
	k.replay()
}

func TestTrim(t *testing.T) {
	k := newCore(t)
	for i := range 10 {
		k.add("a", fmt.Sprint(i+1))
	}
	st := k.get("a")
	trim := func(o TrimOptions) int {
		n := k.s.PlanTrim(k.change(), st, &o)
		if n > 0 {
			assert.Equal(t, n, k.apply().Removed)
		}
		return n
	}
	assert.Equal(t, 0, trim(TrimOptions{Kind: TrimMaxLen, MaxLen: 10}))
	assert.Equal(t, 1, trim(TrimOptions{Kind: TrimMaxLen, MaxLen: 9}))
	assert.Equal(t, 2, trim(TrimOptions{Kind: TrimMaxLen, Approx: true, MaxLen: 3, Limit: 2}))
	assert.Equal(t, 0, trim(TrimOptions{Kind: TrimMinID, MinID: ID{4, 0}}))
	assert.Equal(t, 1, trim(TrimOptions{Kind: TrimMinID, MinID: ID{4, 1}}))
	first, _ := st.First()
	assert.Equal(t, ID{5, 0}, first)
	assert.Equal(t, "11-0", k.add("a", "11", maxLen(2)))
	assert.Equal(t, 2, st.Len())
	assert.Equal(t, "12-0", k.add("a", "12", maxLen(0)))
	assert.Equal(t, []any{0, ID{12, 0}, ID{}, uint64(12)}, []any{st.Len(), st.LastID(), st.MaxDeleted(), st.EntriesAdded()})
	assert.Equal(t, "13-0", k.add("a", "13", func(o *AddOptions) { o.Trim = TrimOptions{Kind: TrimMinID, MinID: ID{20, 0}} }))
	assert.Equal(t, 0, st.Len())
	assert.Equal(t, "1-0", k.add("new", "1", maxLen(0)))
	assert.Equal(t, 0, k.get("new").Len(), "the stream stays, without an entry")
	assert.Equal(t, 0, trim(TrimOptions{Kind: TrimMaxLen}))
	k.replay()
}

func TestDelete(t *testing.T) {
	k := newCore(t)
	for i := range 6 {
		k.add("a", fmt.Sprint(i+1))
	}
	st := k.get("a")
	n := k.s.PlanDelete(k.change(), st, []ID{{5, 0}, {2, 0}, {9, 0}, {5, 0}, {2, 1}, {2, 0}})
	assert.Equal(t, 2, n)
	assert.Equal(t, []bool{true, true, false, false, false, false}, k.c.Found)
	assert.Equal(t, 2, k.apply().Removed)
	assert.Equal(t, ID{5, 0}, st.MaxDeleted())
	assert.Equal(t, 0, k.s.PlanDelete(k.change(), st, []ID{{5, 0}}))
	k.s.PlanDelete(k.change(), st, []ID{{1, 0}})
	k.apply()
	first, _ := st.First()
	assert.Equal(t, ID{3, 0}, first)
	assert.Equal(t, ID{5, 0}, st.MaxDeleted())
	assert.Equal(t, 3, st.Len())
	k.replay()
}

func TestSetID(t *testing.T) {
	k := newCore(t)
	for i := range 5 {
		k.add("a", fmt.Sprint(i+1))
	}
	st := k.get("a")
	set := func(o SetIDOptions) error {
		err := k.s.PlanSetID(k.change(), st, &o)
		if err == nil {
			k.apply()
		}
		return err
	}
	k.s.PlanDelete(k.change(), st, []ID{{5, 0}})
	k.apply()
	assert.Equal(t, ErrSetIDMaxDeleted, set(SetIDOptions{ID: ID{4, 0}, EntriesAdded: -1}))
	assert.Equal(t, ErrSetIDProvided, set(SetIDOptions{ID: ID{6, 0}, EntriesAdded: -1, MaxDeleted: ID{6, 1}}))
	assert.Equal(t, ErrSetIDAdded, set(SetIDOptions{ID: ID{6, 0}, EntriesAdded: 3}))
	require.NoError(t, set(SetIDOptions{ID: ID{6, 0}, EntriesAdded: 70, MaxDeleted: ID{2, 0}}))
	assert.Equal(t, []any{ID{6, 0}, uint64(70), ID{2, 0}}, []any{st.LastID(), st.EntriesAdded(), st.MaxDeleted()})
	assert.Equal(t, ErrSetIDTopItem, set(SetIDOptions{ID: ID{3, 0}, EntriesAdded: -1}))
	require.NoError(t, set(SetIDOptions{ID: ID{4, 0}, EntriesAdded: -1}))
	assert.Equal(t, "4-7", k.add("a", "4-7"), "smaller than 5-0, which is deleted")
	assert.Equal(t, uint64(6), k.s.Apply(k.change2("a", "8")).Ordinal-1, "ordinals are not used again")
	all := st.Range(MinID, MaxID, 0, false)
	var ids []string
	all.Each(func(_ uint64, id ID) bool {
		ids = append(ids, id.String())
		return true
	})
	assert.Equal(t, []string{"1-0", "2-0", "3-0", "4-0", "4-7", "8-0"}, ids)
}

// change2 plans an entry that is not recorded.
func (k *core) change2(name, id string) *Change {
	parsed, _ := ParseID([]byte(id), 0)
	_, err := k.s.PlanAdd(k.change(), []byte(name), &AddOptions{ID: parsed})
	require.NoError(k.t, err)
	return &k.c
}

func TestExpiry(t *testing.T) {
	k := newCore(t)
	for _, name := range []string{"a", "b", "c", "d"} {
		k.add(name, "1")
	}
	expire := func(name string, at int64) Result {
		k.s.PlanExpiry(k.change(), k.get(name), at)
		return k.apply()
	}
	expire("a", k.now+10)
	expire("b", k.now+5)
	expire("c", k.now+5)
	assert.Equal(t, 3, k.s.WithExpiry())
	assert.Equal(t, 1, expire("d", k.now).Keys, "a time that has come removes the key")
	assert.Nil(t, k.get("d"))
	assert.Equal(t, k.now+10, k.get("a").Expiry())
	assert.True(t, k.s.PlanPersist(k.change(), k.get("c")))
	k.apply()
	assert.False(t, k.s.PlanPersist(k.change(), k.get("c")))
	at, ok := k.s.NextDeadline()
	assert.True(t, ok)
	assert.Equal(t, k.now+6, at)

	k.setTime(k.now + 5)
	assert.NotNil(t, k.get("b"), "its last millisecond")
	k.setTime(k.now + 1)
	assert.Nil(t, k.get("b"), "missing before it is removed")
	assert.Equal(t, 3, k.s.Len())
	assert.Equal(t, "1-0", k.add("b", "1"), "another one with its name")
	assert.Equal(t, uint64(5), k.get("b").Number())
	assert.Equal(t, 0, k.due())
	k.setTime(k.now + 100)
	assert.Equal(t, 1, k.due())
	_, ok = k.s.NextDeadline()
	assert.False(t, ok)
	assert.Equal(t, 2, k.s.Len())
	assert.Equal(t, 0, k.s.WithExpiry())
	k.replay()
}

func TestManyKeysExpireAtOnce(t *testing.T) {
	k := newCore(t)
	for i := range 3*dueAtOnce + 7 {
		name := fmt.Sprint(i)
		k.add(name, "1")
		k.s.PlanExpiry(k.change(), k.get(name), k.now+int64(i%5)+1)
		k.apply()
	}
	k.setTime(k.now + 3)
	keys := k.due()
	assert.InDelta(t, (3*dueAtOnce+7)*2/5, keys, 2)
	assert.Equal(t, 3*dueAtOnce+7-keys, k.s.Len())
	k.replay()
}

func unique(producer, message string) func(*AddOptions) {
	return func(o *AddOptions) {
		o.Idempotent, o.Producer, o.Message = true, HashID([]byte(producer)), HashID([]byte(message))
	}
}

func TestIdempotentIDs(t *testing.T) {
	k := newCore(t)
	assert.Empty(t, k.add("a", "*", unique("p", "1"), noMkStream))
	first := k.add("a", "*", unique("p", "1"))
	assert.Equal(t, first, k.add("a", "*", unique("p", "1")))
	assert.Equal(t, Duplicate, k.c.Kind)
	assert.NotEqual(t, first, k.add("a", "*", unique("q", "1")), "ids are apart by producer")
	assert.NotEqual(t, first, k.add("b", "*", unique("p", "1"))+"x", "and by stream")
	st := k.get("a")
	assert.Equal(t, Idempotency{Duration: 100, MaxSize: 100, Producers: 2, Tracked: 2, Added: 2, Duplicates: 1}, st.Idempotency())

	k.s.PlanDelete(k.change(), st, []ID{st.LastID(), {uint64(k.now), 0}})
	k.apply()
	assert.Equal(t, first, k.add("a", "*", unique("p", "1")), "the entry is deleted, the id is tracked")

	k.setTime(k.now + 99_999)
	assert.Equal(t, first, k.add("a", "*", unique("p", "1")), "a duplicate does not refresh it")
	k.setTime(k.now + 1)
	second := k.add("a", "*", unique("p", "1"))
	assert.NotEqual(t, first, second)
	k.due()
	assert.Equal(t, second, k.add("a", "*", unique("p", "1")), "the end of the first is not that of the second")
	assert.Equal(t, 1, st.Idempotency().Tracked)
	k.replay()
}

func TestWindowSize(t *testing.T) {
	k := newCore(t)
	k.add("a", "*")
	st := k.get("a")
	assert.True(t, k.s.PlanConfigure(k.change(), st, 0, 3))
	k.apply()
	ids := map[string]string{}
	for _, message := range []string{"1", "2", "3", "4"} {
		ids[message] = k.add("a", "*", unique("p", message))
	}
	assert.Equal(t, ids["2"], k.add("a", "*", unique("p", "2")))
	assert.NotEqual(t, ids["1"], k.add("a", "*", unique("p", "1")), "the oldest one went")
	assert.NotEqual(t, ids["2"], k.add("a", "*", unique("p", "2")), "then this one, though it was asked for")
	assert.Equal(t, 3, st.Idempotency().Tracked)
	assert.False(t, k.s.PlanConfigure(k.change(), st, 100, 3), "the same settings keep the ids")
	assert.True(t, k.s.PlanConfigure(k.change(), st, 50, 0), "others remove them")
	k.apply()
	assert.Equal(t, Idempotency{Duration: 50, MaxSize: 3, Added: 6, Duplicates: 1}, st.Idempotency())

	k.set("stream-idmp-duration", "7")
	k.set("stream-idmp-maxsize", "8")
	k.add("b", "*")
	assert.Equal(t, Idempotency{Duration: 7, MaxSize: 8}, k.get("b").Idempotency())
	assert.Equal(t, 50, st.Idempotency().Duration)
	k.replay()
}

// Producers that add no more do not stay in memory.
func TestWindowsArePruned(t *testing.T) {
	k := newCore(t)
	for i := range 1000 {
		k.setTime(k.now + 1000)
		k.due()
		k.add("a", "*", unique(fmt.Sprint(i), "1"))
		require.LessOrEqual(t, k.get("a").Idempotency().Producers, 201)
	}
	k.setTime(k.now + 300_000)
	k.due()
	assert.Equal(t, 0, k.get("a").Idempotency().Producers)
	assert.Equal(t, uint64(1000), k.get("a").Idempotency().Added)
	_, ok := k.s.NextDeadline()
	assert.False(t, ok)
	k.replay()
}

func TestHashFields(t *testing.T) {
	hash := func(fields ...string) Digest {
		var list [][]byte
		for _, f := range fields {
			list = append(list, []byte(f))
		}
		return HashFields(list)
	}
	assert.Equal(t, hash("a", "1", "b", "2"), hash("b", "2", "a", "1"))
	assert.Equal(t, hash("a", "2", "a", "1"), hash("a", "1", "a", "2"))
	different := []Digest{
		hash("a", "1", "b", "2"), hash("a", "2", "b", "1"), hash("a", "1"), hash("a", "1", "a", "1"), hash("b", "2", "b", "2"), hash("a1", ""), hash("", "a1"), hash("a", "1b", "2", ""), hash(),
	}
	slices.SortFunc(different, func(a, b Digest) int { return bytes.Compare(a[:], b[:]) })
	assert.Len(t, slices.Compact(different), 9)
}

func TestWatch(t *testing.T) {
	k := newCore(t)
	w := k.s.Watch([]byte("a"))
	last := w.Version()
	changed := func() bool {
		before := last
		last = w.Version()
		return before != last
	}
	k.add("b", "1")
	assert.False(t, changed())
	k.add("a", "1")
	assert.True(t, changed(), "made")
	k.s.PlanConfigure(k.change(), k.get("a"), 5, 0)
	k.apply()
	assert.True(t, changed())
	k.s.PlanExpiry(k.change(), k.get("a"), k.now+1)
	k.apply()
	assert.True(t, changed())
	k.setTime(k.now + 2)
	k.due()
	assert.True(t, changed(), "expired")
	k.s.PlanFlush(k.change())
	k.apply()
	assert.False(t, changed(), "it did not exist")
	k.add("a", "1")
	k.s.PlanFlush(k.change())
	k.apply()
	assert.True(t, changed())
	assert.Same(t, w, k.s.Watch([]byte("a")))
	k.s.Unwatch(w)
	k.s.Unwatch(w)
	assert.NotSame(t, w, k.s.Watch([]byte("a")))
	k.replay()
}

// A key that exists throughout a scan comes once, whatever else comes and goes.
func TestScan(t *testing.T) {
	r := random(t)
	k := newCore(t)
	for i := range 3000 {
		k.add(fmt.Sprint("stay", i), "1")
		k.add(fmt.Sprint("go", i), "1")
	}
	seen := map[string]int{}
	for cursor := uint64(0); ; {
		cursor = k.s.Scan(cursor, 1+r.IntN(50), func(st *Stream) { seen[st.Name()]++ })
		if cursor == 0 {
			break
		}
		for range 50 {
			if st := k.get(fmt.Sprint("go", r.IntN(3000))); st != nil {
				k.s.PlanRemove(k.change(), st)
				k.apply()
			}
			k.add(fmt.Sprint("new", r.IntN(100_000)), "*")
		}
	}
	for i := range 3000 {
		assert.Equal(t, 1, seen[fmt.Sprint("stay", i)])
	}
	assert.Len(t, slices.Collect(k.s.All()), k.s.Len())
	k.replay()
}

// Streams are found by their numbers, whichever are removed.
func TestByNumber(t *testing.T) {
	r := random(t)
	k := newCore(t)
	var left []uint64
	for i := range 5000 {
		k.add(fmt.Sprint(i), "1")
		left = append(left, uint64(i+1))
	}
	for range 4900 {
		i := r.IntN(len(left))
		i -= i % (1 + r.IntN(700)) // some regions more than others
		k.s.PlanRemove(k.change(), k.s.ByNumber(left[i]))
		k.apply()
		require.Nil(t, k.s.ByNumber(left[i]))
		left = slices.Delete(left, i, i+1)
	}
	var numbers []uint64
	for st := range k.s.All() {
		numbers = append(numbers, st.Number())
		require.Same(t, st, k.s.ByNumber(st.Number()))
	}
	assert.Equal(t, left, numbers)
	assert.Less(t, len(k.s.order.groups), 5)
	var live []string
	k.s.Live(left[3], 0, 5, func(first uint64, count int) { live = append(live, fmt.Sprint(first, "+", count)) })
	k.s.Live(9999, 0, 5, func(uint64, int) { t.Error("it is gone") })
	assert.Equal(t, []string{"1+1"}, live)
	k.replay()
	assert.Equal(t, []any{k.sequence, k.now}, []any{k.s.Sequence(), k.s.Time()})
}

// The state is that of a few naive maps, whatever is done to it; its records give the same state, and so do its checkpoints with the
// records behind them.
func TestStreamsModel(t *testing.T) {
	r := random(t)
	for range 10 {
		runStreamsModel(t, r, 3000)
	}
}

// modelStream is a stream as a list.
type modelStream struct {
	entries          []modelEntry
	last, maxDeleted ID
	added            uint64
	expiry           int64
	fence            uint64
}

type streamsModel struct {
	*core
	r       *rand.Rand
	keys    map[string]*modelStream
	saves   [][]byte // the checkpoints since the last base
	savedAt int      // records that they contain
	saving  *Checkpoint
	written *Part // of a checkpoint, the last one
	file    bytes.Buffer
	begun   int // records before the checkpoint that is being collected
	names   int
	rules   []Rule
	cursors map[[2]string]modelCursor
	sources map[[2]string]string
	lasting bool // keys are not removed, so that they have many blocks
}

func runStreamsModel(t *testing.T, r *rand.Rand, steps int) {
	m := &streamsModel{core: newCore(t), r: r, keys: map[string]*modelStream{}, cursors: map[[2]string]modelCursor{}, sources: map[[2]string]string{}, names: 1 + r.IntN(12), lasting: r.IntN(2) == 0}
	if m.lasting {
		steps *= 4
	}
	for range steps {
		m.step()
		if r.IntN(4) == 0 {
			m.flush()
			m.visit()
		}
	}
	m.check()
	m.checkCursors()
	m.checkSources()
	m.replay()
	m.checkCheckpoints()
}

func (m *streamsModel) step() {
	if m.r.IntN(3) == 0 {
		m.setTime(m.now + m.r.Int64N(20))
		m.expire()
	}
	name := fmt.Sprint("key", m.r.IntN(m.names))
	if m.saving != nil && m.r.IntN(20) == 0 { // what a checkpoint has not yet taken changes most
		m.removeOne(name)
	}
	st, model := m.get(name), m.keys[name]
	require.Equal(m.t, model == nil, st == nil, name)
	switch n := m.r.IntN(1000); {
	case n < 2:
		m.set([]string{"stream-idmp-duration", "stream-idmp-maxsize"}[n], fmt.Sprint(1+m.r.IntN(5)))
	case n < 10:
		m.addRun(name, model)
	case n < 800 || st == nil:
		m.addEntry(name, model)
	case n < 870:
		m.deleteEntries(st, model)
	case n < 930:
		m.trim(st, model)
	case n < 950:
		m.setID(st, model)
	case n < 955:
		m.raise(st, model)
	case m.lasting:
		m.addEntry(name, model)
	case n < 970:
		at := m.now + m.r.Int64N(200) - 20
		m.s.PlanExpiry(m.change(), st, at)
		m.apply()
		if model.expiry = at; at <= m.now {
			delete(m.keys, name)
		}
	case n < 985:
		m.s.PlanPersist(m.change(), st)
		m.apply()
		model.expiry = 0
	case n < 997:
		m.removeOne(name)
	default:
		m.s.PlanFlush(m.change())
		m.apply()
		clear(m.keys)
	}
	if m.r.IntN(200) == 0 {
		m.setRules()
	}
	if m.r.IntN(20) == 0 {
		m.changeCursor()
	}
	if m.r.IntN(20) == 0 {
		m.changeSource()
	}
}

// setRules sets other rules. Some of them keep all.
func (m *streamsModel) setRules() {
	m.rules = nil
	for range m.r.IntN(4) {
		r := Rule{Match: []string{"key1*", "*", "key[0-5]", "k*2"}[m.r.IntN(4)]}
		switch m.r.IntN(4) {
		case 0:
			r.Age = 1 + m.r.Int64N(2000)
		case 1:
			r.Count = 1 + m.r.Uint64N(600)
		case 2:
			r.Bytes = 1 + m.r.Uint64N(50_000)
		}
		m.rules = append(m.rules, r)
	}
	m.set("retention", FormatRules(m.rules))
	m.set("durable", []string{"", "key1*", "key2 a"}[m.r.IntN(3)])
	if m.r.IntN(2) == 0 { // else the streams get their rules later
		m.expire()
	}
}

// ruleOf is the rule of a name; one without limits if there is none.
func (m *streamsModel) ruleOf(name string) Rule {
	for _, r := range m.rules {
		match := map[string]bool{"key1*": strings.HasPrefix(name, "key1"), "*": true, "key[0-5]": len(name) == 4 && name[3] <= '5', "k*2": strings.HasSuffix(name, "2")}
		if match[r.Match] {
			return r
		}
	}
	return Rule{}
}

// retain removes from the model what a stream no longer has, and checks that its rule gave it up.
func (m *streamsModel) retain(name string) (removed int) {
	st, model, r := m.s.names[name], m.keys[name], m.ruleOf(name)
	first, ok := st.First()
	for len(model.entries) > 0 && (!ok || model.entries[0].id.Less(first)) {
		old := r.Age > 0 && int64(model.entries[0].id.Ms) < m.now-r.Age
		many := r.Count > 0 && uint64(len(model.entries)) > r.Count
		large := r.Bytes > 0 && st.Bytes() >= r.Bytes
		require.True(m.t, old || many || large, "%s: %v of %d entries is gone by %v", name, model.entries[0].id, len(model.entries), r)
		model.entries = model.entries[1:]
		removed++
	}
	return removed
}

// checkRetained checks that rules have given up what they should, once nothing is due.
func (m *streamsModel) checkRetained(st *Stream) {
	r := m.ruleOf(st.Name())
	if first, ok := st.First(); ok && r.Age > 0 && first.Ms < 1<<40 {
		require.GreaterOrEqual(m.t, int64(first.Ms), m.now-r.Age-max(r.Age/ageSlack, minSlack))
	}
	if r.Count > 0 {
		require.LessOrEqual(m.t, uint64(st.Len()), r.Count)
	}
	if r.Bytes > 0 {
		require.Less(m.t, st.Bytes(), r.Bytes+blockSize*60)
	}
}

func (m *streamsModel) raise(st *Stream, model *modelStream) {
	token := m.r.Uint64N(40)
	changes, err := m.s.PlanFence(m.change(), []byte(st.Name()), token)
	if token < model.fence {
		require.Equal(m.t, &FenceError{model.fence, token}, err)
		return
	}
	require.NoError(m.t, err)
	require.Equal(m.t, token > model.fence, changes)
	if changes {
		m.apply()
		model.fence = token
	}
}

func (m *streamsModel) removeOne(name string) {
	if st := m.get(name); st != nil && !m.lasting {
		m.s.PlanRemove(m.change(), st)
		m.apply()
		delete(m.keys, name)
	}
}

func (m *streamsModel) expire() {
	maps.DeleteFunc(m.keys, func(_ string, model *modelStream) bool { return model.expiry != 0 && m.now > model.expiry })
	m.due()
	require.Equal(m.t, len(m.keys), m.s.Len())
	for st := range m.s.All() {
		m.retain(st.Name())
		m.checkRetained(st)
	}
}

func (m *streamsModel) addEntry(name string, model *modelStream) {
	isNew := model == nil
	if isNew {
		model = &modelStream{}
		m.keys[name] = model
	}
	var o AddOptions
	want := ID{uint64(m.now), 0}
	if o.Auto = m.r.IntN(3) > 0; !o.Auto {
		o.ID = randomID(m.r, model.last)
		want = o.ID
	} else if !model.last.Less(want) {
		want, _ = model.last.Next()
	}
	value := fmt.Sprint(m.r.Uint64())
	o.Fields = [][]byte{[]byte("v"), []byte(value)}
	if m.r.IntN(10) == 0 {
		o.Trim = m.trimOptions(model)
	}
	if o.Auto && m.r.IntN(4) == 0 {
		unique(fmt.Sprint(m.r.IntN(3)), fmt.Sprint(m.r.IntN(1000)))(&o)
	}
	refusal := m.conditions(&o, model)
	ok, err := m.s.PlanAdd(m.change(), []byte(name), &o)
	if err != nil {
		require.Equal(m.t, refusal, err)
		if isNew {
			delete(m.keys, name)
		}
		return
	}
	require.True(m.t, ok)
	result := m.apply()
	if m.c.Kind == Duplicate {
		require.NotZero(m.t, result.ID)
		return
	}
	require.NoError(m.t, refusal)
	require.Equal(m.t, want, result.ID)
	model.entries = append(model.entries, modelEntry{result.Ordinal, want})
	model.last = want
	model.added++
	trimmed := model.trim(&o.Trim)
	require.Equal(m.t, trimmed+m.retain(name), result.Removed)
}

// addRun adds entries by runs.
func (m *streamsModel) addRun(name string, model *modelStream) {
	if model == nil {
		model = &modelStream{}
		m.keys[name] = model
	}
	messages := make([][]byte, 1+m.r.IntN(400))
	same := m.r.IntN(2) == 0
	for i := range messages {
		messages[i] = fmt.Append(nil, m.r.Uint64())
		if same {
			messages[i] = messages[i][:1]
		}
	}
	for len(messages) > 0 {
		id := ID{uint64(m.now), 0}
		if !model.last.Less(id) {
			id, _ = model.last.Next()
		}
		n, err := m.s.PlanRun(m.change(), []byte(name), messages)
		if model.last == MaxID {
			require.ErrorIs(m.t, err, ErrExhausted)
			return
		}
		require.NoError(m.t, err)
		require.LessOrEqual(m.t, n, min(len(messages), MaxRun))
		result := m.apply()
		require.Equal(m.t, id, result.ID)
		for i := range n {
			model.entries = append(model.entries, modelEntry{result.Ordinal + uint64(i), id})
			model.last = id
			id.Seq++ // 0 behind the last one
		}
		model.added += uint64(n)
		require.Equal(m.t, m.retain(name), result.Removed)
		messages = messages[n:]
	}
}

// conditions adds some to an append, and returns why they do not hold.
func (m *streamsModel) conditions(o *AddOptions, model *modelStream) error {
	if o.Fenced = m.r.IntN(20) == 0; o.Fenced {
		o.Fence = m.r.Uint64N(60)
	}
	if o.IfLast = m.r.IntN(10) == 0; o.IfLast {
		if o.Last = model.last; m.r.IntN(2) == 0 {
			o.Last = randomID(m.r, model.last)
		}
	}
	switch {
	case o.Fenced && o.Fence < model.fence:
		return &FenceError{model.fence, o.Fence}
	case o.IfLast && o.Last != model.last:
		return &LastIDError{model.last, o.Last}
	}
	return nil
}

func (m *streamsModel) trimOptions(model *modelStream) TrimOptions {
	if m.lasting && m.r.IntN(50) > 0 {
		return TrimOptions{Kind: TrimMaxLen, MaxLen: uint64(max(len(model.entries)-m.r.IntN(10), 0))}
	}
	o := TrimOptions{Kind: TrimKind(m.r.IntN(3)), MaxLen: m.r.Uint64N(uint64(len(model.entries) + 3)), Limit: m.r.IntN(2) * m.r.IntN(20)}
	if len(model.entries) > 0 {
		o.MinID = model.entries[m.r.IntN(len(model.entries))].id
		if m.r.IntN(3) == 0 {
			o.MinID = randomID(m.r, o.MinID)
		}
	}
	return o
}

func (model *modelStream) trim(o *TrimOptions) int {
	n := 0
	for n < len(model.entries) && (o.Limit == 0 || n < o.Limit) {
		if o.Kind == TrimNone || o.Kind == TrimMaxLen && uint64(len(model.entries)-n) <= o.MaxLen || o.Kind == TrimMinID && !model.entries[n].id.Less(o.MinID) {
			break
		}
		n++
	}
	model.entries = model.entries[n:]
	return n
}

func (m *streamsModel) trim(st *Stream, model *modelStream) {
	o := m.trimOptions(model)
	n := m.s.PlanTrim(m.change(), st, &o)
	require.Equal(m.t, model.trim(&o), n)
	if n > 0 {
		require.Equal(m.t, n, m.apply().Removed)
	}
}

func (m *streamsModel) deleteEntries(st *Stream, model *modelStream) {
	var ids []ID
	for range 1 + m.r.IntN(5) {
		id := ID{m.r.Uint64N(uint64(m.now)), 0}
		if len(model.entries) > 0 {
			id = model.entries[m.r.IntN(len(model.entries))].id
		}
		ids = append(ids, id)
	}
	n := m.s.PlanDelete(m.change(), st, ids)
	for i, id := range ids {
		at := slices.IndexFunc(model.entries, func(e modelEntry) bool { return e.id == id })
		require.Equal(m.t, at >= 0, m.c.Found[i])
		if at >= 0 {
			model.entries = slices.Delete(model.entries, at, at+1)
			if model.maxDeleted.Less(id) {
				model.maxDeleted = id
			}
			n--
		}
	}
	require.Zero(m.t, n)
	if len(m.c.Ordinals) > 0 {
		m.apply()
	}
}

func (m *streamsModel) setID(st *Stream, model *modelStream) {
	o := SetIDOptions{ID: model.maxDeleted, EntriesAdded: m.r.Int64N(100) - 50}
	if len(model.entries) > 0 {
		top := model.entries[len(model.entries)-1].id
		if o.ID.Less(top) {
			o.ID = top
		}
	}
	if m.r.IntN(2) == 0 {
		o.ID = randomID(m.r, o.ID)
	}
	if m.r.IntN(2) == 0 {
		o.MaxDeleted = ID{1, 0} // so that a later one may be smaller than what was deleted
	}
	err := m.s.PlanSetID(m.change(), st, &o)
	if o.ID.Less(o.MaxDeleted) {
		require.Equal(m.t, ErrSetIDProvided, err)
		return
	}
	if o.EntriesAdded >= 0 && len(model.entries) > int(o.EntriesAdded) {
		require.Equal(m.t, ErrSetIDAdded, err)
		return
	}
	require.NoError(m.t, err)
	m.apply()
	model.last = o.ID
	if o.EntriesAdded >= 0 {
		model.added = uint64(o.EntriesAdded)
	}
	if !o.MaxDeleted.IsZero() {
		model.maxDeleted = o.MaxDeleted
	}
}

// visit goes on with a checkpoint, or begins one.
func (m *streamsModel) visit() {
	if m.saving == nil {
		if m.r.IntN(10) > 0 {
			return
		}
		m.saving, m.begun = m.s.Freeze(m.r.IntN(5) == 0), len(m.records)
		m.file.Reset()
	}
	part, done := m.saving.Collect(m.r.IntN(3), m.written)
	_, err := part.WriteTo(&m.file)
	m.written = part
	require.NoError(m.t, err)
	if m.r.IntN(100) == 0 {
		m.saving.Drop()
		m.saving = nil
		return
	}
	if !done {
		return
	}
	m.saving.Saved()
	if m.saving.Base() {
		m.saves = nil
	}
	m.saves = append(m.saves, bytes.Clone(m.file.Bytes()))
	m.savedAt, m.saving = m.begun, nil
	if m.r.IntN(3) == 0 {
		m.checkCheckpoints()
	}
}

// check compares all keys with the model.
func (m *streamsModel) check() {
	m.expire()
	entries := 0
	for st := range m.s.All() {
		entries += st.Len()
		model := m.keys[st.Name()]
		require.NotNil(m.t, model, st.Name())
		all := st.Range(MinID, MaxID, 0, false)
		checkEach(m.t, &all, append([]modelEntry(nil), model.entries...))
		require.Equal(m.t, []any{model.last, model.maxDeleted, model.added, model.expiry, model.fence}, []any{st.LastID(), st.MaxDeleted(), st.EntriesAdded(), st.Expiry(), st.Fence()})
	}
	require.Equal(m.t, entries, m.s.Entries())
	require.Zero(m.t, noExtras, "all streams share it")
}

// checkCheckpoints opens the last base with its deltas, and applies the records behind.
func (m *streamsModel) checkCheckpoints() {
	if len(m.saves) == 0 {
		return
	}
	var files []io.Reader
	for _, file := range m.saves {
		files = append(files, bytes.NewReader(file))
	}
	s, err := Load(files...)
	require.NoError(m.t, err)
	for _, record := range m.records[m.savedAt:] {
		require.NoError(m.t, s.ApplyRecord(record))
	}
	require.Equal(m.t, m.s.Digest(), s.Digest())
	require.Equal(m.t, m.s.Entries(), s.Entries())
	require.InDelta(m.t, m.s.Memory(), s.Memory(), 2000+float64(m.s.Memory())/4)
}
