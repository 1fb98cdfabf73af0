package broker

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAPredicateDecidesWhoGetsAMessage(t *testing.T) {
	spec(t, "those it says yes to, and the count is of exactly those", func(t *testing.T, c *core) {
		ann, bob, cid := c.client(where(even, subscribe("a"))), c.client(subscribe("a")), c.client()
		c.do(cid, publish("a", "1"), publish("a", "2"), publish("b", "2"))
		assert.Equal(t, []string{"message 2 a=2 for a WHERE even"}, ann.newLines())
		assert.Equal(t, []string{"message 1 a=1 for a", "message 2 a=2 for a"}, bob.newLines())
		assert.Equal(t, []string{"published a: 1", "published a: 2", "published b: 0"}, cid.newLines())
	})
	spec(t, "who lacks what it reads does not match, and is counted apart", func(t *testing.T, c *core) {
		ann, bob := c.client(where(blind, psubscribe("*"))), c.client()
		c.do(bob, publish("b", "2"), publish("a", "2"), publish("a", "1"))
		assert.Equal(t, []string{"message 2 a=2 for pattern * WHERE blind"}, ann.newLines())
		assert.Equal(t, []string{"published b: 0", "published a: 1", "published a: 0"}, bob.newLines())
		counts := View{c.Broker}.Stats()
		assert.Equal(t, []uint64{1, 2, 1}, []uint64{counts.Matched, counts.Filtered, counts.Unreadable})
	})
	spec(t, "a message that nobody wants is taken, numbered and gone", func(t *testing.T, c *core) {
		ann, bob := c.client(where(never, subscribe("a")), subscribe("b")), c.client()
		c.do(bob, publish("a", "1"), publish("b", "2"))
		assert.Equal(t, []string{"published a: 0", "published b: 1"}, bob.newLines())
		assert.Equal(t, []string{"message 2 b=2 for b"}, ann.newLines())
	})
	spec(t, "a publisher that listens gets reply, message, next reply", func(t *testing.T, c *core) {
		ann := c.client(where(even, subscribe("a")))
		c.do(ann, publish("a", "2"), publish("a", "3"), publish("a", "4"))
		assert.Equal(t, []string{
			"published a: 1", "message 1 a=2 for a WHERE even", "published a: 0",
			"published a: 1", "message 3 a=4 for a WHERE even",
		}, ann.newLines())
	})
	spec(t, "who is over gets the message, and is evicted behind it", func(t *testing.T, c *core) {
		ann, bob, cid := c.client(where(even, subscribe("a", "b"))), c.client(where(even, subscribe("a"))), c.client()
		ann.limit = 1
		c.do(cid, publish("a", "2"), publish("a", "4"))
		assert.Equal(t, []string{"message 1 a=2 for a WHERE even", "evicted"}, ann.newLines())
		assert.Equal(t, []string{"message 1 a=2 for a WHERE even", "message 2 a=4 for a WHERE even"}, bob.newLines())
		assert.Equal(t, []string{"published a: 2", "published a: 1"}, cid.newLines())
		requireHoldsNothing(t, ann.sub)
	})
	spec(t, "shards have predicates of their own", func(t *testing.T, c *core) {
		ann, bob := c.client(where(even, toShard(subscribe("a")))), c.client()
		c.do(bob, publish("a", "2"), toShard(publish("a", "2")), toShard(publish("a", "3")))
		assert.Equal(t, []string{"message 2 a=2 for shard a WHERE even"}, ann.newLines())
		assert.Equal(t, []string{"published a: 0", "published a: 1", "published a: 0"}, bob.newLines())
	})
	spec(t, "a flood joined half-way: every match from that instant on, and none before", func(t *testing.T, c *core) {
		ann, bob := c.client(), c.client(where(even, subscribe("a")))
		for i := range 10 {
			if i == 5 {
				c.do(ann, where(even, subscribe("a")))
			}
			c.do(bob, publish("a", fmt.Sprint(i)))
		}
		c.do(ann, where(even, unsubscribe("a")))
		c.do(bob, publish("a", "8"))
		assert.Equal(t, []string{
			"subscribed a WHERE even: 1", "message 7 a=6 for a WHERE even", "message 9 a=8 for a WHERE even",
			"unsubscribed a WHERE even: 0",
		}, ann.newLines())
	})
}

func TestTheOrderOfDeliveryAmongPredicates(t *testing.T) {
	spec(t, "without one, then by the age of the predicate on that name; exact names before patterns", func(t *testing.T, c *core) {
		ann := c.client(where(even, psubscribe("*")), where(onA, subscribe("a")), psubscribe("*"),
			where(even, subscribe("a")), subscribe("a"), where(onA, psubscribe("*")))
		c.do(c.client(), publish("a", "2"))
		assert.Equal(t, []string{
			"message 1 a=2 for a", "message 1 a=2 for a WHERE on a", "message 1 a=2 for a WHERE even",
			"message 1 a=2 for pattern *", "message 1 a=2 for pattern * WHERE even", "message 1 a=2 for pattern * WHERE on a",
		}, ann.newLines())
	})
	spec(t, "a pattern is as old as the first subscription to it, with a predicate or without", func(t *testing.T, c *core) {
		ann := c.client(where(even, psubscribe("a*")), psubscribe("*", "a*"))
		c.do(ann, where(even, punsubscribe("a*")))
		ann.newLines()
		c.do(c.client(), publish("a", "2"))
		assert.Equal(t, []string{"message 1 a=2 for pattern a*", "message 1 a=2 for pattern *"}, ann.newLines())
	})
	spec(t, "of one predicate those who came first", func(t *testing.T, c *core) {
		var order []string
		join := func(name string, q Request) {
			c.client(q).onFlush = func() { order = append(order, name) } // flushes come in the order of the messages
		}
		join("ann", where(odd, subscribe("a")))
		join("bob", where(even, subscribe("a")))
		join("cid", where(odd, subscribe("a")))
		join("dan", where(onA, subscribe("a")))
		join("eve", subscribe("a"))
		join("fay", where(even, subscribe("a")))
		c.do(c.client(), publish("a", "1"))
		assert.Equal(t, []string{"eve", "ann", "cid", "dan"}, order)
	})
	spec(t, "a predicate that everybody left goes to the end when it comes back", func(t *testing.T, c *core) {
		ann := c.client(where(even, subscribe("a")), where(onA, subscribe("a")), where(even, unsubscribe("a")),
			where(even, subscribe("a")))
		c.do(c.client(), publish("a", "2"))
		assert.Equal(t, []string{"message 1 a=2 for a WHERE on a", "message 1 a=2 for a WHERE even"}, ann.newLines())
	})
	spec(t, "it stays while most of many leave, and others come", func(t *testing.T, c *core) {
		many := make([]*condition, 5*minCompact)
		var join, part []Request
		var want []string
		for i := range many {
			many[i] = yesIf(fmt.Sprintf("all %d", i), func(_, _ []byte) bool { return true })
			join = append(join, where(many[i], subscribe("a")))
			if i%9 == 4 {
				want = append(want, "message 1 a=1 for a WHERE "+many[i].word)
			} else {
				part = append(part, where(many[i], unsubscribe("a")))
			}
		}
		ann := c.client(append(join, part...)...)
		require.Less(t, len(c.sets[Topic]["a"].filters.sets.items), len(many), "the list has been squeezed")
		c.do(ann, where(many[0], subscribe("a")), where(many[13], subscribe("a"))) // one is back, one was there
		ann.newLines()
		c.do(c.client(), publish("a", "1"))
		assert.Equal(t, append(want, "message 1 a=1 for a WHERE all 0"), ann.newLines())
	})
}

func TestSubscribingWithPredicates(t *testing.T) {
	spec(t, "several on one name are several subscriptions, besides the plain one", func(t *testing.T, c *core) {
		ann, bob := c.client(), c.client()
		c.do(ann, where(even, subscribe("a")), where(onA, subscribe("a")), subscribe("a"), where(odd, psubscribe("a")))
		c.do(bob, publish("a", "2"), publish("a", "1"))
		assert.Equal(t, []string{
			"subscribed a WHERE even: 1", "subscribed a WHERE on a: 2", "subscribed a: 3", "subscribed pattern a WHERE odd: 4",
			"message 1 a=2 for a", "message 1 a=2 for a WHERE even", "message 1 a=2 for a WHERE on a",
			"message 2 a=1 for a", "message 2 a=1 for a WHERE on a", "message 2 a=1 for pattern a WHERE odd",
		}, ann.newLines())
		assert.Equal(t, []string{"published a: 3", "published a: 3"}, bob.newLines())
		assert.Equal(t, []int{4, 3, len("even on a odd") - 2}, []int{ann.sub.NumSubscriptions(), ann.sub.NumFiltered(), ann.sub.FilterCost()})
	})
	spec(t, "names with a predicate and without may be asked for at once", func(t *testing.T, c *core) {
		ann := c.client()
		q := where(even, subscribe("a", "b"))
		q.Names[0], q.Filters[0] = []byte("a"), Filter{}
		c.do(ann, q)
		assert.Equal(t, []string{"subscribed a: 1", "subscribed b WHERE even: 2"}, ann.newLines())
		assert.Equal(t, 1, ann.sub.NumFiltered())
	})
	spec(t, "a repeated one is confirmed and changes nothing", func(t *testing.T, c *core) {
		ann, bob := c.client(), c.client()
		c.do(ann, where(even, subscribe("a", "a")), where(even, subscribe("a")))
		c.do(bob, publish("a", "2"))
		assert.Equal(t, []string{
			"subscribed a WHERE even: 1", "subscribed a WHERE even: 1", "subscribed a WHERE even: 1",
			"message 1 a=2 for a WHERE even",
		}, ann.newLines())
		assert.Equal(t, []int{1, 1, len("even")}, []int{ann.sub.NumSubscriptions(), ann.sub.NumFiltered(), ann.sub.FilterCost()})
	})
	spec(t, "two forms of one are two subscriptions", func(t *testing.T, c *core) {
		ann, bob := c.client(otherForm(where(even, subscribe("a"))), where(even, subscribe("a"))), c.client()
		c.do(bob, publish("a", "2"))
		assert.Equal(t, []string{"message 1 a=2 for a WHERE even in form 1", "message 1 a=2 for a WHERE even"}, ann.newLines())
		assert.Equal(t, []string{"published a: 2"}, bob.newLines())
	})
	spec(t, "everybody with the same predicate on a name shares it: one is evaluated", func(t *testing.T, c *core) {
		for range 3 {
			c.client(where(even, subscribe("a")))
		}
		assert.Equal(t, []string{"even"}, c.listed())
		assert.Equal(t, 1, View{c.Broker}.Stats().Predicates)
	})
	spec(t, "on several names it is one for each of them", func(t *testing.T, c *core) {
		ann, bob := c.client(where(even, subscribe("a", "b")), where(even, psubscribe("a"))), c.client()
		assert.Equal(t, 3, View{c.Broker}.Stats().Predicates)
		c.do(bob, publish("a", "2"), publish("b", "2"))
		assert.Equal(t, []string{
			"message 1 a=2 for a WHERE even", "message 1 a=2 for pattern a WHERE even", "message 2 b=2 for b WHERE even",
		}, ann.newLines())
		c.do(ann, where(even, unsubscribe("a")))
		c.do(bob, publish("a", "2"))
		assert.Equal(t, []string{"unsubscribed a WHERE even: 2", "message 3 a=2 for pattern a WHERE even"}, ann.newLines())
	})
	spec(t, "more than a few on one name are found as well", func(t *testing.T, c *core) {
		require.Greater(t, len(someConditions), indexThreshold)
		var all []Request
		for _, p := range someConditions {
			all = append(all, where(p, subscribe("a")))
		}
		ann, bob, cid := c.client(fresh(all)...), c.client(fresh(all)...), c.client()
		assert.Len(t, c.sets[Topic]["a"].filters.byPredicate, len(someConditions))
		assert.Equal(t, len(someConditions), View{c.Broker}.Stats().Predicates)
		c.do(cid, publish("a", "4"))
		want := []string{
			"message 1 a=4 for a WHERE even", "message 1 a=4 for a WHERE on a", "message 1 a=4 for a WHERE blind",
			"message 1 a=4 for a WHERE 4",
		}
		assert.Equal(t, want, ann.newLines())
		assert.Equal(t, want, bob.newLines())
		c.do(ann, leave())
		assert.Equal(t, len(someConditions), View{c.Broker}.Stats().Predicates)
		c.do(bob, leave())
		requireEmpty(t, c.Broker)
	})
	spec(t, "a subscription tells its name, its topic, and that it has a predicate", func(t *testing.T, c *core) {
		ann := c.client(where(even, psubscribe("a*")), subscribe("a"))
		var held []string
		for sub := range ann.sub.Subscriptions() {
			held = append(held, fmt.Sprint(sub.Name(), "|", sub.Topic(), "|", sub.Filtered(), "|", sub.Kind() == Pattern))
		}
		assert.Equal(t, []string{"a* WHERE even|a*|true|true", "a|a|false|false"}, held)
		assert.True(t, ann.sub.Holds(Pattern, 0, []byte("a* WHERE even")))
		assert.False(t, ann.sub.Holds(Pattern, 0, []byte("a*")))
		assert.False(t, ann.sub.Holds(Topic, 0, []byte("a* WHERE even")))
	})
}

func TestUnsubscribingFromPredicates(t *testing.T) {
	three := func() []Request {
		return []Request{where(even, subscribe("a")), subscribe("a"), where(onA, subscribe("a"))}
	}
	spec(t, "a wide name leaves all subscriptions to it, with one answer", func(t *testing.T, c *core) {
		ann, bob := c.client(append(three(), subscribe("b"), where(even, psubscribe("a")))...), c.client(three()...)
		c.do(ann, wide(unsubscribe("a")))
		assert.Equal(t, []string{"unsubscribed a: 2"}, ann.newLines())
		c.do(c.client(), publish("a", "2"))
		assert.Equal(t, []string{"message 1 a=2 for pattern a WHERE even"}, ann.newLines())
		assert.Len(t, bob.newLines(), 3, "what others hold stays")
	})
	spec(t, "also when there is no plain one", func(t *testing.T, c *core) {
		ann := c.client(where(even, psubscribe("a*")), where(odd, psubscribe("a*")), where(odd, psubscribe("*")))
		c.do(ann, wide(punsubscribe("a*", "x")))
		assert.Equal(t, []string{"unsubscribed pattern a*: 1", "unsubscribed pattern x: 1"}, ann.newLines())
		assert.Equal(t, 1, ann.sub.NumFiltered())
	})
	spec(t, "a wide name with its predicate leaves that one alone", func(t *testing.T, c *core) {
		ann := c.client(three()...)
		c.do(ann, wide(where(even, unsubscribe("a"))))
		assert.Equal(t, []string{"unsubscribed a WHERE even: 2"}, ann.newLines())
		c.do(c.client(), publish("a", "2"))
		assert.Equal(t, []string{"message 1 a=2 for a", "message 1 a=2 for a WHERE on a"}, ann.newLines())
	})
	spec(t, "an exact name leaves that one alone", func(t *testing.T, c *core) {
		ann := c.client(three()...)
		c.do(ann, unsubscribe("a"), unsubscribe("a"), where(onA, unsubscribe("a")), where(never, unsubscribe("a")))
		assert.Equal(t, []string{
			"unsubscribed a: 2", "unsubscribed a: 2", "unsubscribed a WHERE on a: 1", "unsubscribed a WHERE never: 1",
		}, ann.newLines())
		c.do(c.client(), publish("a", "2"))
		assert.Equal(t, []string{"message 1 a=2 for a WHERE even"}, ann.newLines())
	})
	spec(t, "a wide name means its own kind and form", func(t *testing.T, c *core) {
		ann := c.client(where(even, subscribe("a")), otherForm(where(even, subscribe("a"))), toShard(where(even, subscribe("a"))))
		c.do(ann, wide(unsubscribe("a")))
		c.do(c.client(), publish("a", "2"), toShard(publish("a", "2")))
		assert.Equal(t, []string{
			"unsubscribed a: 0", "message 1 a=2 for a WHERE even in form 1", "message 2 a=2 for shard a WHERE even",
		}, ann.newLines())
	})
	spec(t, "all of a kind go in the order in which they came, each with its answer", func(t *testing.T, c *core) {
		for _, widely := range []bool{false, true} {
			ann := c.client(append(three(), where(even, psubscribe("a")))...)
			q := unsubscribe()
			q.IncludeFiltered = widely
			c.do(ann, q)
			assert.Equal(t, []string{"unsubscribed a WHERE even: 3", "unsubscribed a: 2", "unsubscribed a WHERE on a: 1"}, ann.newLines())
			c.do(ann, leave())
		}
	})
	spec(t, "a wide name with many predicates, across squeezes of the lists", func(t *testing.T, c *core) {
		ann := c.client(subscribe("b"))
		for i := range 5 * minCompact {
			c.do(ann, where(digit(fmt.Sprint(i)), subscribe("a")))
		}
		ann.newLines()
		c.do(ann, wide(unsubscribe("a")))
		assert.Equal(t, []string{"unsubscribed a: 1"}, ann.newLines())
		assert.Equal(t, Stats{Topics: 1, Subscribers: 1}, View{c.Broker}.Stats())
	})
}

func TestCountsOfPredicates(t *testing.T) {
	spec(t, "patterns are distinct names, and a topic is one whatever is asked of it", func(t *testing.T, c *core) {
		ann := c.client(where(even, psubscribe("a*", "b*")), where(odd, psubscribe("a*")), where(even, subscribe("a")),
			where(odd, subscribe("a")))
		c.client(where(even, psubscribe("a*")), psubscribe("a*"), psubscribe("c*"), toShard(where(even, subscribe("s"))))
		assert.Equal(t, Stats{Topics: 1, Shards: 1, Patterns: 5, Subscribers: 2, Predicates: 6}, View{c.Broker}.Stats())
		c.do(ann, leave())
		assert.Equal(t, Stats{Shards: 1, Patterns: 3, Subscribers: 1, Predicates: 2}, View{c.Broker}.Stats())
	})
	spec(t, "what is filtered counts by subscriptions, as what is matched does", func(t *testing.T, c *core) {
		c.client(where(even, subscribe("b")), where(blind, subscribe("b")))
		c.client(where(even, subscribe("b")), where(blind, psubscribe("*")), subscribe("b"))
		bob := c.client()
		c.do(bob, publish("b", "1"), publish("b", "2"), publish("c", "3"))
		assert.Equal(t, []string{"published b: 1", "published b: 3", "published c: 0"}, bob.newLines())
		got := View{c.Broker}.Stats()
		assert.Equal(t, []uint64{3, 4, 7, 4}, []uint64{got.Published, got.Matched, got.Filtered, got.Unreadable})
	})
	spec(t, "members of a name are all its subscriptions, and a name is there while it has one", func(t *testing.T, c *core) {
		ann := c.client(where(even, subscribe("a", "b")), where(odd, subscribe("a")), subscribe("a"), where(even, psubscribe("a")))
		c.client(where(even, subscribe("a")))
		v := View{c.Broker} // the core is idle: nothing else reads it
		assert.Equal(t, []int{4, 1, 1, 0}, []int{
			v.NumSubscriptions(Topic, []byte("a")), v.NumSubscriptions(Topic, []byte("b")), v.NumSubscriptions(Pattern, []byte("a")),
			v.NumSubscriptions(Topic, []byte("a WHERE even")),
		})
		assert.ElementsMatch(t, []string{"a", "b"}, slices.Collect(maps.Keys(maps.Collect(v.Names(Topic)))))
		c.do(ann, leave())
		assert.Equal(t, []string{"a"}, slices.Collect(maps.Keys(maps.Collect(v.Names(Topic)))))
		assert.Equal(t, 1, v.NumSubscriptions(Topic, []byte("a")))
	})
}
