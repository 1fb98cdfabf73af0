package broker

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func manyNames(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("name-%04d", i)
	}
	return names
}

func confirmed(what, name string, count int) string {
	return fmt.Sprintf("%s %s: %d", what, name, count)
}

// requireEmpty holds the core to having kept nothing of anybody: names that no one listens to must not fill the memory.
func requireEmpty(t *testing.T, b *Broker) {
	t.Helper()
	c := View{b}.Stats()
	require.Zero(t, c.Topics+c.Shards+c.Patterns+c.Subscribers+c.Predicates)
	for k := range kinds {
		require.Empty(t, b.sets[k])
	}
	requireNoPatterns(t, &b.patterns)
	require.Empty(t, b.dirty)
	require.Empty(t, b.evicting)
	require.Zero(t, b.message)
	require.Zero(t, b.grace.waiting.size)
	require.Empty(t, b.grace.changed)
	require.Empty(t, b.filtered)
	require.True(t, b.index.Empty())
	require.False(t, b.inExec)
	require.Zero(t, b.deferred)
	for _, s := range b.verdicts[:cap(b.verdicts)] {
		require.Zero(t, s, "a predicate set that has gone is kept alive")
	}
	for _, a := range b.matched[:cap(b.matched)] {
		require.Nil(t, a, "a subscriber set that has gone is kept alive")
	}
}

func requireHoldsNothing(t *testing.T, s *Subscriber) {
	t.Helper()
	require.Empty(t, s.byKey)
	require.Empty(t, s.held.items)
	require.Zero(t, s.held.size)
	require.Zero(t, s.counts)
	require.Empty(t, s.byTopic)
	require.Zero(t, s.numFiltered)
	require.Zero(t, s.filterCost)
	require.Nil(t, s.parked)
}

func TestNothingIsKeptOfWhatIsLeft(t *testing.T) {
	names := manyNames(3 * minCompact)
	all := []Request{
		subscribe(names...), psubscribe(names...), otherForm(subscribe(names...)), otherForm(psubscribe(names...)),
		where(even, subscribe(names...)), where(even, psubscribe(names...)), otherForm(where(odd, subscribe(names...))),
	}
	for i := range 3 * indexThreshold { // and one name with many
		all = append(all, where(digit(fmt.Sprint("digit ", i)), subscribe(names[0])))
	}
	ways := map[string][]Request{
		"by leaving":                  {leave()},
		"by being evicted on request": {evictBy("eve")},
		"by being over":               {publish("name-0000", "")},
		"by unsubscribing all": {
			unsubscribe(), punsubscribe(), otherForm(unsubscribe()), otherForm(punsubscribe()),
		},
		"name by name": {
			punsubscribe(names...), otherForm(unsubscribe(names...)), otherForm(punsubscribe(names...)),
			where(even, unsubscribe(names...)), where(even, punsubscribe(names...)), otherForm(where(odd, unsubscribe(names...))),
			wide(unsubscribe(names...)),
		},
		"by wide names": {
			wide(unsubscribe(names...)), wide(punsubscribe(names...)), otherForm(wide(unsubscribe(names...))),
			otherForm(wide(punsubscribe(names...))),
		},
	}
	for way, requests := range ways {
		spec(t, way, func(t *testing.T, c *core) {
			ann, bob := c.client(fresh(all)...), c.client(fresh(all)...)
			require.Equal(t, 2*len(names), len(c.sets[Topic])+len(c.sets[Pattern]))
			if way == "by being over" {
				ann.limit, bob.limit = 1, 1
			}
			c.do(ann, fresh(requests)...)
			c.do(bob, fresh(requests)...)
			requireHoldsNothing(t, ann.sub)
			requireHoldsNothing(t, bob.sub)
			requireEmpty(t, c.Broker)
		})
	}
}

// fresh copies requests, whose bytes are spoilt once they are applied.
func fresh(requests []Request) []Request {
	out := make([]Request, len(requests))
	for i, q := range requests {
		out[i] = q
		out[i].Names = nil
		for _, name := range q.Names {
			out[i].Names = append(out[i].Names, append([]byte{}, name...))
		}
		out[i].Payloads = nil
		for _, payload := range q.Payloads {
			out[i].Payloads = append(out[i].Payloads, append([]byte{}, payload...))
		}
	}
	return out
}

func TestNothingIsKeptOfALongLife(t *testing.T) {
	spec(t, "a subscriber that keeps some topics does not pay for those it left", func(t *testing.T, c *core) {
		kept := make([]string, indexThreshold+1)
		for i := range kept {
			kept[i] = fmt.Sprint("kept ", i)
		}
		ann := c.client(subscribe(kept...))
		for _, name := range manyNames(500) {
			c.do(ann, subscribe(name), psubscribe(name), unsubscribe(name), punsubscribe(name))
		}
		assert.Less(t, len(ann.sub.held.items), 2*minCompact)
		requireNoPatterns(t, &c.patterns)
		assert.Len(t, ann.sub.byKey, len(kept))
		c.do(ann, leave())
		requireEmpty(t, c.Broker)
	})
	spec(t, "a name that keeps one predicate does not pay for those that left, nor its subscriber", func(t *testing.T, c *core) {
		ann := c.client(where(even, subscribe("a")))
		for i := range 500 {
			passing := digit(fmt.Sprint("digit ", i))
			c.do(ann, where(passing, subscribe("a")), where(passing, unsubscribe("a")))
		}
		n := c.sets[Topic]["a"].filters
		assert.Less(t, len(n.sets.items), 2*minCompact)
		assert.LessOrEqual(t, len(n.byPredicate), 1)
		assert.Len(t, ann.sub.byTopic, 1)
		assert.Len(t, ann.sub.byTopic[subscriptionKey{"a", Topic, 0}], 1)
		assert.LessOrEqual(t, cap(ann.sub.byTopic[subscriptionKey{"a", Topic, 0}]), minCompact)
		c.do(ann, leave())
		requireEmpty(t, c.Broker)
	})
	spec(t, "a predicate that keeps one member does not pay for those who left", func(t *testing.T, c *core) {
		c.client(where(even, subscribe("a")))
		for range 500 {
			c.client(where(even, subscribe("a")), leave())
		}
		circles := c.sets[Topic]["a"].filters.sets
		assert.Equal(t, 1, circles.size)
		assert.Less(t, len(circles.items[0].members.items), 2*minCompact)
	})
	spec(t, "a subscriber that keeps one predicate does not pay for names it left", func(t *testing.T, c *core) {
		ann := c.client(where(even, subscribe("a")))
		for _, name := range manyNames(50) {
			c.do(ann, where(even, subscribe(name)), where(even, unsubscribe(name)))
		}
		assert.Len(t, ann.sub.byTopic, 1)
	})
	spec(t, "a topic that keeps one member does not pay for those who left", func(t *testing.T, c *core) {
		ann := c.client(subscribe("a"))
		for range 500 {
			c.client(subscribe("a"), leave())
		}
		assert.Less(t, len(c.sets[Topic]["a"].members.items), 2*minCompact)
		c.do(c.client(), publish("a", "1"))
		assert.Equal(t, []string{"message 1 a=1 for a"}, ann.newLines())
	})
}

func TestThoseWhoStayKeepTheirOrder(t *testing.T) {
	spec(t, "of the members of a topic, while most of them leave", func(t *testing.T, c *core) {
		var order, want []int
		members := make([]*client, 5*minCompact)
		for i := range members {
			members[i] = c.client(subscribe("a"))
			members[i].onFlush = func() { order = append(order, i) } // flushes come in the order of the messages
		}
		for i, m := range members {
			if i%9 == 4 {
				want = append(want, i)
				continue
			}
			c.do(m, unsubscribe("a"))
		}
		require.Less(t, len(c.sets[Topic]["a"].members.items), len(members), "the list has been squeezed")
		order = nil
		c.do(c.client(), publish("a", "1"))
		assert.Equal(t, want, order)
	})
	spec(t, "of patterns, while most of them go", func(t *testing.T, c *core) {
		var globs, want []string
		for i := range 5 * minCompact {
			globs = append(globs, strings.Repeat("*", i+1)+"a")
		}
		ann := c.client(psubscribe(globs...))
		for i, glob := range globs {
			if i%9 == 4 {
				want = append(want, "message 1 a= for pattern "+glob)
				continue
			}
			c.do(ann, punsubscribe(glob))
		}
		ann.newLines()
		c.do(c.client(), publish("a", ""))
		assert.Equal(t, want, ann.newLines())
	})
}

func TestList(t *testing.T) {
	type item struct{ name, place int }
	fill := func(n int) (*orderedSet[*item], []*item) {
		l := &orderedSet[*item]{onMove: func(i *item, place int) { i.place = place }}
		items := make([]*item, n)
		for i := range items {
			items[i] = &item{name: i}
			l.add(items[i])
		}
		return l, items
	}
	names := func(l *orderedSet[*item]) (out []int) {
		for place, i := range l.items {
			if i != nil {
				require.Equal(t, place, i.place, "an item knows its place")
				out = append(out, i.name)
			}
		}
		require.Len(t, out, l.size)
		return out
	}
	t.Run("removing keeps the order of the rest, squeezed or not", func(t *testing.T) {
		l, items := fill(10 * minCompact)
		var want []int
		for i, it := range items {
			if i%7 == 3 {
				want = append(want, i)
				continue
			}
			l.remove(it.place)
		}
		assert.Equal(t, want, names(l))
		assert.Less(t, len(l.items), len(items)/2, "holes are squeezed out")
		l.add(items[0])
		assert.Equal(t, append(want, 0), names(l), "what comes back comes last")
	})
	t.Run("holes never outnumber the items for long", func(t *testing.T) {
		l, items := fill(10 * minCompact)
		for _, it := range items {
			l.remove(it.place)
			assert.LessOrEqual(t, len(l.items), max(2*l.size+2, minCompact))
		}
		assert.Zero(t, l.size)
		assert.Empty(t, names(l))
	})
	t.Run("a list that was once long gives its memory back", func(t *testing.T) {
		l, items := fill(1000)
		for _, it := range items[:990] {
			l.remove(it.place)
		}
		assert.Less(t, cap(l.items), 100)
	})
}
