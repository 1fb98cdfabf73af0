package broker

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// Clauses 2, 4 and 8: what a subscription is that starts in the past.
func TestASubscriptionThatStartsInThePast(t *testing.T) {
	spec(t, "is confirmed, is no receiver until it has joined, and then is one like any other", func(t *testing.T, c *core) {
		ann, bob := c.client(), c.client()
		c.do(bob, publish("a", "1"))
		c.do(ann, later(subscribe("a"), false))
		assert.Equal(t, []string{"deferred a: after 1", "subscribed a: 1"}, ann.newLines())
		c.do(bob, publish("a", "2"))
		assert.Equal(t, []string{"published a: 0", "published a: 0"}, bob.newLines())
		c.do(ann, joins())
		assert.Equal(t, []string{"joined a: after 2, 2 before"}, ann.newLines())
		c.do(bob, publish("a", "3"))
		assert.Equal(t, []string{"published a: 1"}, bob.newLines())
		assert.Equal(t, []string{"message 3 a=3 for a"}, ann.newLines())
	})
	spec(t, "learns at its join of the last message that it would have got since it was made", func(t *testing.T, c *core) {
		ann, bob := c.client(where(odd, psubscribe("*"))), c.client()
		c.do(bob, publish("a", "1"))
		c.do(ann, later(psubscribe("*"), true), later(where(even, psubscribe("*")), true), later(where(odd, psubscribe("*")), false))
		ann.newLines()
		c.do(ann, joins())
		assert.Equal(t, []string{"joined pattern * LATER: after 1, 0 before"}, ann.newLines(), "message 1 is older")
		c.do(bob, publish("a", "2"), publish("a", "3"), publish("a", "5"))
		assert.Equal(t, "message 2 a=2 for pattern * LATER", ann.newLines()[0])
		c.do(ann, joins(), joins())
		assert.Equal(t, []string{"joined pattern * LATER WHERE even: after 4, 2 before", "nothing joins"}, ann.newLines(),
			"a name that is held is not deferred")
		c.do(bob, publish("a", "6"))
		assert.Equal(t, []string{"message 5 a=6 for pattern * LATER", "message 5 a=6 for pattern * LATER WHERE even"}, ann.newLines())
	})
	spec(t, "joins at once if its connection has nothing for it", func(t *testing.T, c *core) {
		ann, bob := c.client(), c.client()
		q := later(subscribe("a"), true)
		q.Filters[0].Start = atOnce
		c.do(ann, q)
		c.do(bob, publish("a", "1"))
		assert.Equal(t, []string{"subscribed a LATER: 1", "message 1 a=1 for a LATER"}, ann.newLines())
	})
	spec(t, "has a name of its own, which repeating does not change", func(t *testing.T, c *core) {
		ann, bob := c.client(), c.client()
		c.do(ann, psubscribe("a"), later(psubscribe("a"), true), later(psubscribe("a"), true))
		assert.Equal(t, []string{"subscribed pattern a: 1", "deferred pattern a LATER: after 0", "subscribed pattern a LATER: 2",
			"subscribed pattern a LATER: 2"}, ann.newLines())
		c.do(ann, joins(), punsubscribe("a"))
		ann.newLines()
		c.do(bob, publish("a", "1"))
		assert.Equal(t, []string{"message 1 a=1 for pattern a LATER"}, ann.newLines())
	})
	spec(t, "ends before its join with its name, with all names, with a reset, and with its subscriber", func(t *testing.T, c *core) {
		for _, q := range []Request{unsubscribe("a"), unsubscribe(), {Op: Reset}, evictBy("eve"), leave()} {
			ann := c.client(later(subscribe("a"), false), later(where(even, subscribe("a")), false))
			if q.Op == Unsubscribe && len(q.Names) > 0 {
				q.IncludeFiltered = true
			}
			c.do(ann, q)
			lines := ann.newLines()
			assert.Subset(t, lines, []string{"dropped a", "dropped a WHERE even"})
			assert.Empty(t, ann.deferred)
			c.do(c.client(), publish("a", "2"))
			assert.Empty(t, ann.newLines())
		}
		c.do(c.client(), answer())
		requireEmpty(t, c.Broker)
	})
	spec(t, "does not join once its subscriber is to be evicted", func(t *testing.T, c *core) {
		ann := c.client(subscribe("b"), later(subscribe("a"), false))
		ann.limit = 1
		c.do(ann, exec(publish("b", "1"), joins()))
		assert.Equal(t, []string{"begin 2", "published b: 1", "message 1 b=1 for b", "not joined a", "commit", "dropped a", "evicted"}, ann.newLines())
	})
	spec(t, "is seen where subscriptions are counted and listed", func(t *testing.T, c *core) {
		ann := c.client(subscribe("a"), later(subscribe("a"), true), later(where(even, psubscribe("?")), true))
		v := View{c.Broker}
		assert.Equal(t, 2, v.NumSubscriptions(Topic, []byte("a")))
		var names []string
		for s := range v.Matching(Topic, []byte("a")) {
			names = append(names, s.Name())
			assert.Equal(t, s.Name() == "a", s.Joined())
			assert.Zero(t, s.Stats())
		}
		assert.Equal(t, []string{"a", "a LATER", "? LATER WHERE even"}, names)
		assert.Equal(t, 3, ann.sub.NumSubscriptions())
		assert.Equal(t, 1, ann.sub.NumFiltered())
	})
}
