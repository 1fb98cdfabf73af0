package stream

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
)

// group makes a group that has read all up to an id.
func (k *core) group(name, group string, last ID) *Group {
	st := k.get(name)
	k.s.PlanCreateGroup(k.change(), nil, st, []byte(group), last, -1)
	k.apply()
	return st.Group([]byte(group))
}

// deliver delivers entries to the consumer c.
func (k *core) deliver(name string, g *Group, count int) {
	st := k.get(name)
	if g.Consumer([]byte("c")) == nil {
		k.s.PlanCreateConsumer(k.change(), st, g, []byte("c"))
		k.apply()
	}
	k.s.PlanDeliver(k.change(), st, g, g.Consumer([]byte("c")), count, false)
	k.apply()
}

// What a rule takes before a group has read it is counted for that group.
func TestARuleTakesWhatIsUnread(t *testing.T) {
	k := newCore(t)
	k.rules("* count=5")
	for i := range 5 {
		k.add("s", fmt.Sprint(i+1))
	}
	none, some, all := k.group("s", "none", ID{}), k.group("s", "some", ID{}), k.group("s", "all", ID{100, 0})
	k.deliver("s", some, 2)
	missed := func() []uint64 { return []uint64{none.Missed(), some.Missed(), all.Missed()} }
	k.add("s", "6")
	assert.Equal(t, []uint64{1, 0, 0}, missed())
	k.add("s", "7")
	k.add("s", "8")
	assert.Equal(t, []uint64{3, 1, 0}, missed())
	k.add("s", "9", maxLen(2))
	assert.Equal(t, []uint64{7, 5, 0}, missed(), "MAXLEN of a client counts as well")
	k.rules("* count=1")
	assert.Equal(t, []uint64{8, 6, 0}, missed())
	k.deliver("s", none, 5)
	k.add("s", "10")
	assert.Equal(t, []uint64{8, 7, 0}, missed())
	k.same()
}

// With unread, entries stay until each group has read them, and no longer.
func TestARuleKeepsWhatIsUnread(t *testing.T) {
	k := newCore(t)
	k.rules("count count=3 unread=1mb; age age=10s unread=1mb")
	for _, name := range []string{"count", "age"} {
		k.setTime(1_000_000)
		k.add(name, "1000000")
		slow := k.group(name, "slow", ID{})
		k.group(name, "fast", ID{2_000_000, 0})
		for i := range 9 {
			k.add(name, fmt.Sprint(1_000_001+i))
		}
		k.setTime(1_100_000)
		k.due()
		assert.Len(t, k.ids(name), 10, name)
		assert.Equal(t, 0, k.due(), "nothing is due meanwhile")
		_, awaits := k.s.NextDeadline()
		assert.False(t, awaits, "a group that reads nothing wakes no timer")
		k.deliver(name, slow, 4)
		k.setTime(k.now + minSlack)
		k.due()
		assert.Len(t, k.ids(name), 6, name)
		k.same()
		k.deliver(name, slow, 100)
		k.setTime(k.now + minSlack)
		k.due()
		assert.Len(t, k.ids(name), map[string]int{"count": 3, "age": 0}[name], name)
		assert.Zero(t, slow.Missed())
		k.same()
	}
}

// The end of the group that has read least ends what is kept for it; without groups the rule alone counts.
func TestAGroupThatEndsKeepsNothing(t *testing.T) {
	k := newCore(t)
	k.rules("* count=3 unread=1mb")
	k.add("s", "1")
	g := k.group("s", "g", ID{})
	for i := range 9 {
		k.add("s", fmt.Sprint(i+2))
	}
	assert.Len(t, k.ids("s"), 10)
	k.s.PlanDestroyGroup(k.change(), k.get("s"), g)
	k.apply()
	k.setTime(k.now + minSlack)
	k.due()
	assert.Len(t, k.ids("s"), 3)
}

// A dead group keeps so many bytes and no more. What goes then is counted.
func TestADeadGroupKeepsSoManyBytes(t *testing.T) {
	k := newCore(t)
	k.rules("* count=10 unread=64kb")
	k.add("s", "1")
	g := k.group("s", "dead", ID{})
	var value [100]byte
	for i := range 5000 {
		k.add("s", fmt.Sprint(i+2), func(o *AddOptions) { o.Fields = [][]byte{[]byte("v"), value[:]} })
		assert.Less(t, k.get("s").Bytes(), uint64(64<<10+blockBytes/8))
	}
	assert.Greater(t, k.get("s").Bytes(), uint64(64<<10))
	assert.EqualValues(t, 5001, g.Missed()+uint64(k.get("s").Lag(g)), "each entry is there, or counted")
	k.same()
}
