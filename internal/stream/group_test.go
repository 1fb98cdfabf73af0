package stream

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sort"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// modelGroup is a group as lists.
type modelGroup struct {
	last      ID
	pending   []modelPending
	consumers []string
	releases  int64
	missed    uint64
}

type modelPending struct {
	id       ID
	at       int64 // a released one: below 0, in the order of the releases
	count    uint64
	consumer string // nothing for a released one
}

func (g *modelGroup) find(id ID) int {
	return slices.IndexFunc(g.pending, func(p modelPending) bool { return p.id == id })
}

func (g *modelGroup) drop(id ID) bool {
	i := g.find(id)
	if i >= 0 {
		g.pending = slices.Delete(g.pending, i, i+1)
	}
	return i >= 0
}

func (g *modelGroup) put(p modelPending) {
	g.drop(p.id)
	g.pending = append(g.pending, p)
}

// sorted is what is pending, by id or by time.
func (g *modelGroup) sorted(byTime bool) []modelPending {
	list := append([]modelPending{}, g.pending...)
	sort.Slice(list, func(i, j int) bool {
		if byTime && list[i].at != list[j].at {
			return list[i].at < list[j].at
		}
		return list[i].id.Less(list[j].id)
	})
	return list
}

// groupsModel runs random changes on one stream with a few groups.
type groupsModel struct {
	*core
	r       *rand.Rand
	st      *Stream
	entries []ID
	added   uint64 // entries of all times
	groups  map[string]*modelGroup
}

func TestGroupsModel(t *testing.T) {
	r := random(t)
	for range 15 {
		m := &groupsModel{core: newCore(t), r: r, groups: map[string]*modelGroup{}}
		m.add("s", "1-1")
		m.st = m.get("s")
		m.entries, m.added = []ID{{1, 1}}, 1
		for step := range 1500 {
			m.step()
			if step%50 == 0 {
				m.check()
				m.flush()
			}
		}
		m.check()
		m.replay()
		m.reload()
	}
}

func (m *groupsModel) step() {
	m.setTime(m.now + m.r.Int64N(4))
	name := fmt.Sprint("g", m.r.IntN(3))
	model := m.groups[name]
	switch n := m.r.IntN(100); {
	case n < 35:
		m.append()
	case model == nil:
		m.create(name)
	case n < 36:
		m.s.PlanDestroyGroup(m.change(), m.st, m.st.Group([]byte(name)))
		m.apply()
		delete(m.groups, name)
	case n < 38:
		model.last = m.anyID()
		m.s.PlanSetGroup(m.change(), m.st, m.st.Group([]byte(name)), model.last, -1)
		m.apply()
	case n < 42:
		m.delete(n%2 == 0)
	case n < 44:
		m.trim()
	default:
		g := m.st.Group([]byte(name))
		m.use(g, model, n)
	}
}

func (m *groupsModel) append() {
	id := m.add("s", "*")
	m.entries, m.added = append(m.entries, parsed(id)), m.added+1
}

// anyID is one that may be that of an entry.
func (m *groupsModel) anyID() ID {
	if m.r.IntN(4) > 0 && len(m.entries) > 0 {
		return m.entries[m.r.IntN(len(m.entries))]
	}
	return ID{uint64(m.now - m.r.Int64N(1000)), uint64(m.r.IntN(2))}
}

func (m *groupsModel) create(name string) {
	model := &modelGroup{last: m.anyID()}
	m.groups[name] = model
	m.s.PlanCreateGroup(m.change(), nil, m.st, []byte(name), model.last, -1)
	m.apply()
}

// exists reports whether an entry is there.
func (m *groupsModel) exists(id ID) bool { return slices.Contains(m.entries, id) }

// needed reports whether a group has yet to read an entry, or to acknowledge it.
func (m *groupsModel) needed(id ID) bool {
	for _, g := range m.groups {
		if g.last.Less(id) || g.find(id) >= 0 {
			return true
		}
	}
	return false
}

func (m *groupsModel) forget(id ID, refs RefMode) {
	m.entries = slices.DeleteFunc(m.entries, func(other ID) bool { return other == id })
	if refs == DelRef {
		for _, g := range m.groups {
			g.drop(id)
		}
	}
}

func (m *groupsModel) delete(acked bool) {
	refs := DelRef
	if acked {
		refs = Acked
	} else if m.r.IntN(2) == 0 {
		refs = KeepRef
	}
	ids := []ID{m.anyID(), m.anyID(), m.anyID()}
	if m.s.PlanDeleteReferenced(m.change(), m.st, ids, refs) {
		defer m.apply()
	}
	for i, id := range ids {
		fresh := m.exists(id) && !slices.Contains(ids[:i], id)
		require.Equal(m.t, fresh, m.c.Found[i])
		kept := fresh && refs == Acked && m.needed(id)
		if refs == Acked && len(m.groups) > 0 {
			require.Equal(m.t, kept, m.c.Kept[i])
		}
		if fresh && !kept {
			defer m.forget(id, refs) // behind the others: they are judged at one instant
		}
	}
}

func (m *groupsModel) trim() {
	o := TrimOptions{Kind: TrimMaxLen, MaxLen: uint64(len(m.entries) - m.r.IntN(min(6, len(m.entries)+1))), Refs: RefMode(m.r.IntN(3))}
	if m.r.IntN(2) == 0 {
		o = TrimOptions{Kind: TrimMinID, MinID: m.anyID(), Refs: o.Refs}
		if len(m.entries) > 5 && m.entries[5].Less(o.MinID) {
			o.MinID = m.entries[5]
		}
	}
	n := 0
	for _, id := range slices.Clone(m.entries) {
		if o.Kind == TrimMaxLen && uint64(len(m.entries)) <= o.MaxLen || o.Kind == TrimMinID && !id.Less(o.MinID) {
			break
		}
		if o.Refs != Acked || !m.needed(id) {
			m.forget(id, o.Refs)
			n++
			for _, model := range m.groups {
				if o.Refs != Acked && model.last.Less(id) {
					model.missed++
				}
			}
		}
	}
	require.Equal(m.t, n, m.s.PlanTrim(m.change(), m.st, &o))
	if n > 0 {
		require.Equal(m.t, n, m.apply().Removed)
	}
}

// consumer returns one of a group, which it makes if need be.
func (m *groupsModel) consumer(g *Group, model *modelGroup) *Consumer {
	name := fmt.Sprint("c", m.r.IntN(4))
	if !slices.Contains(model.consumers, name) {
		model.consumers = append(model.consumers, name)
		m.s.PlanCreateConsumer(m.change(), m.st, g, []byte(name))
		m.apply()
	}
	return g.Consumer([]byte(name))
}

func (m *groupsModel) use(g *Group, model *modelGroup, n int) {
	if n < 46 && len(model.consumers) > 0 {
		m.deleteConsumer(g, model)
		return
	}
	consumer := m.consumer(g, model)
	switch {
	case n < 62:
		m.deliver(g, model, consumer)
	case n < 70:
		m.acknowledge(g, model)
	case n < 78:
		m.claim(g, model, consumer)
	case n < 84:
		m.autoClaim(g, model, consumer)
	case n < 90:
		m.claimOldest(g, model, consumer)
	case n < 95:
		m.history(g, model, consumer)
	default:
		m.release(g, model)
	}
}

func (m *groupsModel) deleteConsumer(g *Group, model *modelGroup) {
	name := model.consumers[m.r.IntN(len(model.consumers))]
	m.s.PlanDeleteConsumer(m.change(), m.st, g, g.Consumer([]byte(name)))
	m.apply()
	model.pending = slices.DeleteFunc(model.pending, func(p modelPending) bool { return p.consumer == name })
	model.consumers = slices.DeleteFunc(model.consumers, func(other string) bool { return other == name })
}

func (m *groupsModel) deliver(g *Group, model *modelGroup, consumer *Consumer) {
	count, noAck := m.r.IntN(6), m.r.IntN(5) == 0
	var want []ID
	for _, id := range m.entries {
		if model.last.Less(id) && (count == 0 || len(want) < count) {
			want = append(want, id)
		}
	}
	r := m.s.PlanDeliver(m.change(), m.st, g, consumer, count, noAck)
	var got []ID
	r.Each(func(_ uint64, id ID) bool { got = append(got, id); return true })
	require.Equal(m.t, want, got)
	if len(want) == 0 {
		return
	}
	m.apply()
	for _, id := range want {
		if !noAck {
			model.put(modelPending{id, m.now, 1, consumer.Name()})
		}
		model.last = id
	}
}

func (m *groupsModel) someIDs(model *modelGroup) (ids []ID) {
	for range 1 + m.r.IntN(5) {
		id := m.anyID()
		if n := len(model.pending); n > 0 && m.r.IntN(3) > 0 {
			id = model.pending[m.r.IntN(n)].id
		}
		ids = append(ids, id)
	}
	return ids
}

func (m *groupsModel) acknowledge(g *Group, model *modelGroup) {
	ids := m.someIDs(model)
	n := m.s.PlanAcknowledge(m.change(), m.st, g, ids)
	for i, id := range ids {
		was := model.drop(id)
		require.Equal(m.t, was, m.c.Found[i])
		if was {
			n--
		}
	}
	require.Zero(m.t, n)
	m.apply()
}

func (m *groupsModel) isIdle(p modelPending, minIdle int64) bool {
	return p.consumer == "" || m.now-p.at >= minIdle
}

func counted(counting Counting, given, before uint64) uint64 {
	switch counting {
	case CountOne:
		return min(before+1, math.MaxInt64)
	case CountSet:
		return given
	case CountLess:
		if before > 0 {
			return before - 1
		}
	}
	return before
}

func (m *groupsModel) claim(g *Group, model *modelGroup, consumer *Consumer) {
	o := ClaimOptions{MinIdle: m.r.Int64N(20), Time: m.now - m.r.Int64N(2)*m.r.Int64N(30), Counting: Counting(m.r.IntN(3)), Count: 7, Force: m.r.IntN(3) == 0}
	if m.r.IntN(5) == 0 {
		o.Last = m.anyID()
	}
	ids := m.someIDs(model)
	var claimed []ID
	for _, id := range ids {
		at := model.find(id)
		switch {
		case !m.exists(id):
			model.drop(id)
		case at < 0 && o.Force:
			model.put(modelPending{id, o.Time, counted(o.Counting, o.Count, 1), consumer.Name()})
			claimed = append(claimed, id)
		case at >= 0 && m.isIdle(model.pending[at], o.MinIdle):
			model.put(modelPending{id, o.Time, counted(o.Counting, o.Count, model.pending[at].count), consumer.Name()})
			claimed = append(claimed, id)
		}
	}
	if model.last.Less(o.Last) {
		model.last = o.Last
	}
	applies := m.s.PlanClaim(m.change(), m.st, g, consumer, ids, &o)
	require.Equal(m.t, claimed, append([]ID(nil), m.c.IDs...), "%v %+v", ids, o)
	if applies {
		m.apply()
	}
}

func (m *groupsModel) autoClaim(g *Group, model *modelGroup, consumer *Consumer) {
	from, count, o := m.anyID(), 1+m.r.IntN(3), ClaimOptions{MinIdle: m.r.Int64N(30), Time: m.now, Counting: Counting(m.r.IntN(2))}
	var claimed, gone []ID
	var next ID
	looks := 10 * count
	for _, p := range model.sorted(false) {
		if p.id.Less(from) {
			continue
		}
		if looks == 0 || len(claimed)+len(gone) == count {
			next = p.id
			break
		}
		looks--
		switch {
		case !m.exists(p.id):
			gone = append(gone, p.id)
			model.drop(p.id)
		case m.isIdle(p, o.MinIdle):
			claimed = append(claimed, p.id)
			model.put(modelPending{p.id, m.now, counted(o.Counting, 0, p.count), consumer.Name()})
		}
	}
	got, more := m.s.PlanAutoClaim(m.change(), m.st, g, consumer, from, count, &o)
	require.Equal(m.t, []any{next, !next.IsZero()}, []any{got, more})
	require.Equal(m.t, [][]ID{claimed, gone}, [][]ID{append([]ID(nil), m.c.IDs...), append([]ID(nil), m.c.Gone...)})
	m.apply()
}

func (m *groupsModel) claimOldest(g *Group, model *modelGroup, consumer *Consumer) {
	count, o := 1+m.r.IntN(3), ClaimOptions{MinIdle: m.r.Int64N(30), Time: m.now}
	var want []ID
	looks := 10 * count
	for _, p := range model.sorted(true) {
		if looks--; looks < 0 || len(want) == count || !m.isIdle(p, o.MinIdle) {
			break
		}
		if !m.exists(p.id) {
			model.drop(p.id)
			continue
		}
		want = append(want, p.id)
		model.put(modelPending{p.id, m.now, counted(CountOne, 0, p.count), consumer.Name()})
	}
	before := m.s.PlanClaimOldest(m.change(), m.st, g, consumer, count, &o)
	require.Len(m.t, before, len(want))
	require.Equal(m.t, want, append([]ID(nil), m.c.IDs...))
	m.apply()
}

func (m *groupsModel) history(g *Group, model *modelGroup, consumer *Consumer) {
	from, count := m.anyID(), 1+m.r.IntN(5)
	var want []ID
	for _, p := range model.sorted(false) {
		if p.consumer != consumer.Name() || p.id.Less(from) || len(want) == count {
			continue
		}
		want = append(want, p.id)
		if m.exists(p.id) {
			model.put(modelPending{p.id, m.now, counted(CountOne, 0, p.count), p.consumer})
		}
	}
	pending := m.s.PlanHistory(m.change(), m.st, g, consumer, from, count)
	var got []ID
	for _, p := range pending {
		got = append(got, p.ID())
	}
	require.Equal(m.t, want, got)
	m.apply()
}

func (m *groupsModel) release(g *Group, model *modelGroup) {
	ids, o := m.someIDs(model), ReleaseOptions{Counting: CountKeep, Count: Fatal, Force: m.r.IntN(3) == 0}
	if m.r.IntN(2) == 0 {
		o.Counting = CountSet + Counting(m.r.IntN(2))
	}
	n := 0
	for _, id := range ids {
		was, ok := modelPending{}, false
		if i := model.find(id); i >= 0 {
			was, ok = model.pending[i], true
		}
		if !ok && (!o.Force || !m.exists(id)) {
			continue
		}
		model.put(modelPending{id, math.MinInt64 + model.releases, counted(o.Counting, o.Count, was.count), ""})
		model.releases++
		n++
	}
	require.Equal(m.t, n, m.s.PlanRelease(m.change(), m.st, g, ids, &o))
	m.apply()
}

// check compares all groups with the model.
func (m *groupsModel) check() {
	require.Equal(m.t, len(m.groups), m.st.Groups())
	m.st.EachGroup(func(g *Group) bool {
		model := m.groups[g.Name()]
		require.NotNil(m.t, model)
		require.Equal(m.t, model.last, g.Last())
		lag := 0
		for _, id := range m.entries {
			if model.last.Less(id) {
				lag++
			}
		}
		require.Equal(m.t, lag, m.st.Lag(g))
		require.Equal(m.t, model.missed, g.Missed())
		m.checkPending(g, model)
		return true
	})
	if m.st.groups == nil {
		return
	}
	bytes := m.st.groups.bytes
	m.st.EachGroup(func(g *Group) bool {
		bytes -= g.bytes()
		return true
	})
	require.Zero(m.t, bytes)
}

func (m *groupsModel) checkPending(g *Group, model *modelGroup) {
	list := func(o *order[*Pending]) []modelPending {
		all := []modelPending{}
		o.each(func(p *Pending) bool {
			all = append(all, modelPending{p.id, p.at, p.count, p.Consumer()})
			return true
		})
		return all
	}
	require.Equal(m.t, model.sorted(false), list(&g.pending))
	require.Equal(m.t, model.sorted(true), list(&g.oldest))
	unowned := 0
	for _, p := range model.pending {
		if p.consumer == "" {
			unowned++
		}
	}
	require.Equal(m.t, unowned, g.Unowned())
	slices.Sort(model.consumers)
	var names []string
	g.EachConsumer(func(c *Consumer) bool {
		names = append(names, c.Name())
		own := slices.DeleteFunc(model.sorted(false), func(p modelPending) bool { return p.consumer != c.Name() })
		require.Equal(m.t, own, list(&c.pending))
		return true
	})
	require.Equal(m.t, append([]string(nil), model.consumers...), names)
}

// reload opens a checkpoint, and goes on with the state that it has.
func (m *groupsModel) reload() {
	s, err := Load(save(m.t, m.s, true))
	require.NoError(m.t, err)
	require.Equal(m.t, m.s.Digest(), s.Digest())
	m.s, m.st = s, s.Lookup([]byte("s"))
	m.check()
}

// Entries that a group has read are counted, those before its beginning and deleted ones included.
func TestEntriesReadAndLag(t *testing.T) {
	k := newCore(t)
	for i := range 10 {
		k.add("s", fmt.Sprint(i+1))
	}
	st := k.get("s")
	create := func(name string, last ID, read int64) *Group {
		k.s.PlanCreateGroup(k.change(), nil, st, []byte(name), last, read)
		k.apply()
		g := st.Group([]byte(name))
		k.s.PlanCreateConsumer(k.change(), st, g, []byte("c"))
		k.apply()
		return g
	}
	all, half, told := create("all", ID{}, -1), create("half", ID{5, 3}, -1), create("told", ID{5, 0}, 50)
	counts := func() (list []int) {
		for _, g := range []*Group{all, half, told} {
			list = append(list, int(g.Read()), st.Lag(g))
		}
		return list
	}
	deliver := func(g *Group, count int) {
		k.s.PlanDeliver(k.change(), st, g, g.Consumer([]byte("c")), count, false)
		k.apply()
	}
	assert.Equal(t, []int{0, 10, 5, 5, 50, 5}, counts())
	deliver(all, 2)
	deliver(half, 2)
	deliver(told, 1)
	assert.Equal(t, []int{2, 8, 7, 3, 51, 4}, counts())
	k.s.PlanDelete(k.change(), st, []ID{{3, 0}, {9, 0}})
	k.apply()
	assert.Equal(t, []int{2, 6, 7, 2, 51, 3}, counts(), "what is deleted is not waited for")
	deliver(all, 1)
	assert.Equal(t, []int{4, 5, 7, 2, 51, 3}, counts())
	k.s.PlanTrim(k.change(), st, &TrimOptions{Kind: TrimMaxLen, MaxLen: 1})
	k.apply()
	assert.Equal(t, []int{4, 1, 7, 1, 51, 1}, counts())
	deliver(all, 0)
	assert.Equal(t, []int{10, 0}, counts()[:2])
	k.s.PlanSetGroup(k.change(), st, all, ID{}, -1)
	k.apply()
	assert.Equal(t, []int{9, 1}, counts()[:2])
	k.replay()
}

// XNACK, again and again: the count and the order are those of the last release.
func TestReleasedEntriesAreClaimedFirst(t *testing.T) {
	k := newCore(t)
	for i := range 4 {
		k.add("s", fmt.Sprint(i+1))
	}
	st := k.get("s")
	k.s.PlanCreateGroup(k.change(), nil, st, []byte("g"), ID{}, -1)
	k.apply()
	g := st.Group([]byte("g"))
	k.s.PlanCreateConsumer(k.change(), st, g, []byte("c"))
	k.apply()
	c := g.Consumer([]byte("c"))
	k.s.PlanDeliver(k.change(), st, g, c, 0, false)
	k.apply()
	release := func(o ReleaseOptions, ids ...ID) {
		assert.Equal(t, len(ids), k.s.PlanRelease(k.change(), st, g, ids, &o))
		k.apply()
	}
	release(ReleaseOptions{Counting: CountLess}, ID{2, 0}, ID{3, 0})
	release(ReleaseOptions{Counting: CountSet, Count: Fatal}, ID{2, 0})
	assert.Equal(t, []any{2, int64(-1), int64(-1), ""}, []any{g.Unowned(), g.lookup(ID{2, 0}).Idle(k.now), g.lookup(ID{2, 0}).Time(), g.lookup(ID{2, 0}).Consumer()})
	at, ok := g.NextIdle(1000)
	assert.Equal(t, []any{int64(0), true}, []any{at, ok})
	before := k.s.PlanClaimOldest(k.change(), st, g, c, 10, &ClaimOptions{MinIdle: 1000, Time: k.now})
	assert.Equal(t, []ID{{3, 0}, {2, 0}}, k.c.IDs)
	assert.Equal(t, []uint64{0, Fatal}, []uint64{before[0].Deliveries(), before[1].Deliveries()})
	k.apply()
	assert.Equal(t, []any{uint64(1), uint64(Fatal), 0}, []any{g.lookup(ID{3, 0}).count, g.lookup(ID{2, 0}).count, g.Unowned()})
	at, _ = g.NextIdle(1000)
	assert.Equal(t, k.now+1000, at)
	k.replay()
}

// A delta has the groups of the streams that changed, and of these all that is pending.
func TestDeltaOfGroups(t *testing.T) {
	k := newCore(t)
	for i := range 1000 {
		k.add("s", fmt.Sprint(i+1))
	}
	st := k.get("s")
	k.s.PlanCreateGroup(k.change(), nil, st, []byte("g"), ID{}, -1)
	k.apply()
	k.s.PlanCreateGroup(k.change(), []byte("made"), nil, []byte("h"), ID{7, 7}, 3)
	assert.True(t, k.apply().Created)
	assert.Equal(t, uint64(3), k.get("made").Group([]byte("h")).Read())
	g := st.Group([]byte("g"))
	k.s.PlanCreateConsumer(k.change(), st, g, []byte("c"))
	k.apply()
	k.s.PlanDeliver(k.change(), st, g, g.Consumer([]byte("c")), 600, false)
	k.apply()
	base := save(t, k.s, true)
	frozen := k.s.Freeze(false)
	part, done := frozen.Collect(10, nil)
	assert.True(t, done)
	k.s.PlanAcknowledge(k.change(), st, g, []ID{{5, 0}, {6, 0}})
	k.apply()
	var delta bytes.Buffer
	_, err := part.WriteTo(&delta)
	require.NoError(t, err)
	frozen.Saved()
	then, err := Load(bytes.NewReader(base.Bytes()), &delta)
	require.NoError(t, err)
	assert.Equal(t, 600, then.Lookup([]byte("s")).Group([]byte("g")).Pending(), "as of the instant")
	k.s.PlanDestroyGroup(k.change(), k.get("made"), k.get("made").Group([]byte("h")))
	k.apply()
	now, err := Load(bytes.NewReader(base.Bytes()), save(t, k.s, false))
	require.NoError(t, err)
	assert.Equal(t, k.s.Digest(), now.Digest())
	assert.InDelta(t, k.s.Memory(), now.Memory(), float64(k.s.Memory())/4)
	k.replay()
}

// A pending entry takes less than 100 bytes: a million fit into 100 MiB.
func TestBytesForEachPendingEntry(t *testing.T) {
	n := 100_000
	if *largeFlag {
		n = 1_000_000
	}
	k := newCore(t)
	for range n {
		k.now++
		k.c.Reset()
		k.c.Time = k.now
		_, err := k.s.PlanAdd(&k.c, []byte("s"), &AddOptions{Auto: true, Fields: [][]byte{{}, {}}})
		require.NoError(t, err)
		k.s.Apply(&k.c)
	}
	st := k.get("s")
	k.s.PlanCreateGroup(k.change(), nil, st, []byte("g"), ID{}, -1)
	k.s.Apply(&k.c)
	g := st.Group([]byte("g"))
	for i := range 4 {
		k.s.PlanCreateConsumer(k.change(), st, g, []byte{byte(i)})
		k.s.Apply(&k.c)
	}
	before := heap()
	for i := 0; i < n; i += 50 {
		k.now++
		k.s.PlanDeliver(k.change(), st, g, g.Consumer([]byte{byte(i % 4)}), 50, false)
		k.s.Apply(&k.c)
	}
	require.Equal(t, n, g.Pending())
	each := float64(heap()-before) / float64(n)
	t.Logf("%.1f bytes for each of %d pending entries; Memory counts %d", each, n, int64(pendingBytes))
	assert.Less(t, each, 100.0)
	runtime.KeepAlive(k)
}
