package broker

import (
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestSubscribing(t *testing.T) {
	spec(t, "each name is confirmed with the count of topics and patterns together", func(t *testing.T, c *core) {
		ann := c.client()
		c.do(ann, subscribe("a", "b"), psubscribe("a", "*"))
		assert.Equal(t, []string{
			"subscribed a: 1", "subscribed b: 2", "subscribed pattern a: 3", "subscribed pattern *: 4",
		}, ann.newLines())
		assert.Equal(t, 2, ann.sub.CountKind(0, Topic))
		assert.Equal(t, 2, ann.sub.CountKind(0, Pattern))
		assert.Equal(t, 4, ann.sub.Count(0, Topic))
	})
	spec(t, "a repeated subscribe is confirmed and changes nothing", func(t *testing.T, c *core) {
		ann, bob := c.client(), c.client()
		c.do(ann, subscribe("a", "a"), psubscribe("a*"), psubscribe("a*"), subscribe("a"))
		c.do(bob, publish("a", "1"))
		assert.Equal(t, []string{
			"subscribed a: 1", "subscribed a: 1", "subscribed pattern a*: 2", "subscribed pattern a*: 2", "subscribed a: 2",
			"message 1 a=1 for a", "message 1 a=1 for pattern a*",
		}, ann.newLines())
	})
	spec(t, "members are reached in the order in which they subscribed", func(t *testing.T, c *core) {
		var order []string
		join := func(name string) *client {
			n := c.client(subscribe("a"))
			n.onFlush = func() { order = append(order, name) } // flushes come in the order of the messages
			return n
		}
		ann, _, _ := join("ann"), join("bob"), join("cid")
		c.do(ann, unsubscribe("a"), subscribe("a"))
		order = nil
		c.do(c.client(), publish("a", "1"))
		assert.Equal(t, []string{"bob", "cid", "ann"}, order)
	})
}

func TestHeld(t *testing.T) {
	spec(t, "what is held comes in the order in which it was subscribed", func(t *testing.T, c *core) {
		ann := c.client(subscribe("b", "a"), psubscribe("p*"), unsubscribe("b"), subscribe("b"))
		var held []string
		for sub := range ann.sub.Subscriptions() {
			held = append(held, sub.Name())
		}
		assert.Equal(t, []string{"a", "p*", "b"}, held)
		for range ann.sub.Subscriptions() {
			break // whoever has seen enough may stop
		}
	})
}

func TestUnsubscribing(t *testing.T) {
	spec(t, "names not held are confirmed as if they had been", func(t *testing.T, c *core) {
		ann := c.client(subscribe("a"), psubscribe("p"))
		c.do(ann, unsubscribe("x", "a", "a", "p"), punsubscribe("a"))
		assert.Equal(t, []string{
			"unsubscribed x: 2", "unsubscribed a: 1", "unsubscribed a: 1", "unsubscribed p: 1",
			"unsubscribed pattern a: 1",
		}, ann.newLines())
	})
	spec(t, "all of a kind go in the order in which they came", func(t *testing.T, c *core) {
		ann := c.client(subscribe("c"), psubscribe("p"), subscribe("a", "b"))
		c.do(ann, unsubscribe(), answer())
		assert.Equal(t, []string{
			"unsubscribed c: 3", "unsubscribed a: 2", "unsubscribed b: 1",
			"answered: 0 topics, 1 patterns, 1 subscribers, 0 published, 0 delivered",
		}, ann.newLines())
		c.do(ann, punsubscribe())
		assert.Equal(t, []string{"unsubscribed pattern p: 0"}, ann.newLines())
	})
	spec(t, "all, when none is held, is confirmed once without a name", func(t *testing.T, c *core) {
		ann := c.client()
		c.do(ann, unsubscribe(), punsubscribe(), subscribe("a"), punsubscribe())
		assert.Equal(t, []string{
			"unsubscribed nothing: 0", "unsubscribed nothing: 0", "subscribed a: 1", "unsubscribed nothing: 1",
		}, ann.newLines())
	})
	spec(t, "the empty topic is a name and not the absence of one", func(t *testing.T, c *core) {
		ann := c.client(subscribe(""))
		c.do(ann, unsubscribe())
		assert.Equal(t, []string{"unsubscribed : 0"}, ann.newLines())
	})
	spec(t, "all of many go in order, across squeezes of the list", func(t *testing.T, c *core) {
		names := manyNames(5 * minCompact)
		ann := c.client(subscribe(names...))
		c.do(ann, unsubscribe())
		var want []string
		for i, name := range names {
			want = append(want, confirmed("unsubscribed", name, len(names)-i-1))
		}
		assert.Equal(t, want, ann.newLines())
	})
}

func TestFormsAreSeparate(t *testing.T) {
	spec(t, "each form has a count of its own", func(t *testing.T, c *core) {
		ann := c.client()
		c.do(ann, subscribe("a"), otherForm(subscribe("a", "b")), otherForm(psubscribe("p")), subscribe("b"))
		assert.Equal(t, []string{
			"subscribed a: 1", "subscribed a in form 1: 1", "subscribed b in form 1: 2", "subscribed pattern p in form 1: 3",
			"subscribed b: 2",
		}, ann.newLines())
		assert.Equal(t, 2, ann.sub.Count(0, Topic))
		assert.Equal(t, 3, ann.sub.Count(1, Topic))
	})
	spec(t, "leaving in one form leaves the other", func(t *testing.T, c *core) {
		ann, bob := c.client(subscribe("a"), otherForm(subscribe("a"))), c.client()
		c.do(ann, unsubscribe("a"))
		c.do(bob, publish("a", "1"))
		assert.Equal(t, []string{"unsubscribed a: 0", "message 1 a=1 for a in form 1"}, ann.newLines())
	})
	spec(t, "leaving all in one form leaves the other", func(t *testing.T, c *core) {
		ann := c.client(otherForm(subscribe("a", "b")), subscribe("a", "b"))
		c.do(ann, otherForm(unsubscribe()), otherForm(unsubscribe()), unsubscribe())
		assert.Equal(t, []string{
			"unsubscribed a in form 1: 1", "unsubscribed b in form 1: 0", "unsubscribed nothing: 0",
			"unsubscribed a: 1", "unsubscribed b: 0",
		}, ann.newLines())
	})
}

// A Reply request is lent a View of its instant.
func TestView(t *testing.T) {
	spec(t, "topics are those with an exact subscription, members their subscriptions", func(t *testing.T, c *core) {
		c.client(subscribe("a", "b"), otherForm(subscribe("a")), psubscribe("c"))
		c.client(subscribe("a"), psubscribe("a"))
		v := View{c.Broker} // the core is idle: nothing else reads it
		assert.ElementsMatch(t, []string{"a", "b"}, slices.Collect(maps.Keys(maps.Collect(v.Names(Topic)))))
		assert.Equal(t, 3, v.NumSubscriptions(Topic, []byte("a")))
		assert.Equal(t, 1, v.NumSubscriptions(Topic, []byte("b")))
		assert.Zero(t, v.NumSubscriptions(Topic, []byte("c")))
		for range v.Names(Topic) {
			break // a walk may end early
		}
	})
	spec(t, "counts are those of the instant", func(t *testing.T, c *core) {
		ann := c.client(subscribe("a", "b"), psubscribe("*"), publish("a", ""), publish("c", ""))
		c.client(psubscribe("*"))
		c.client() // holds nothing: no subscriber
		assert.Equal(t, Stats{Topics: 2, Patterns: 1, Subscribers: 2, Sequence: 2, Published: 2, Matched: 3}, View{c.Broker}.Stats())
		c.do(ann, unsubscribe(), punsubscribe())
		assert.Equal(t, Stats{Patterns: 1, Subscribers: 1, Sequence: 2, Published: 2, Matched: 3}, View{c.Broker}.Stats())
	})
	spec(t, "an append takes a number of the one sequence, and is no publish", func(t *testing.T, c *core) {
		ann, numbers := c.client(subscribe("a")), []uint64(nil)
		takes := run(func(v View) { numbers = append(numbers, v.Append(), v.Append()) })
		c.do(ann, publish("a", "1"), takes, publish("a", "2"), takes)
		assert.Equal(t, []uint64{2, 3, 5, 6}, numbers)
		assert.Contains(t, ann.newLines(), "message 4 a=2 for a")
		assert.Equal(t, Stats{Topics: 1, Subscribers: 1, Sequence: 6, Published: 2, Matched: 2}, View{c.Broker}.Stats())
	})
	spec(t, "the round ends with a flush for each subscriber that a reply is given to", func(t *testing.T, c *core) {
		ann, bob, flushed := c.client(), c.client(), 0
		bob.onFlush = func() { flushed++ }
		c.do(ann, run(func(v View) { v.FlushLater(bob.sub); v.FlushLater(bob.sub) }))
		assert.Equal(t, 1, flushed)
	})
}
