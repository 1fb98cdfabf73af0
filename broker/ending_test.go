package broker

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// Clause 5: No connection waits for a subscriber. Each has one bounded outbox; one that overflows it is evicted.
func TestWhoeverIsOverIsEvicted(t *testing.T) {
	spec(t, "it gets the message, counted, and is evicted before the next request", func(t *testing.T, c *core) {
		ann, bob := c.client(subscribe("a")), c.client()
		ann.limit = 2
		c.do(bob, publish("a", "1"), publish("a", "2"), publish("a", "3"), answer())
		assert.Equal(t, []string{"message 1 a=1 for a", "message 2 a=2 for a", "evicted"}, ann.newLines())
		assert.Equal(t, []string{
			"published a: 1", "published a: 1", "published a: 0",
			"answered: 0 topics, 0 patterns, 0 subscribers, 3 published, 2 delivered",
		}, bob.newLines())
	})
	spec(t, "it gets the message once for each match even when the first was too much", func(t *testing.T, c *core) {
		ann, bob := c.client(psubscribe("*"), subscribe("a"), otherForm(subscribe("a"))), c.client()
		ann.limit = 1
		c.do(bob, publish("a", "1"))
		assert.Equal(t, []string{
			"message 1 a=1 for a", "message 1 a=1 for a in form 1", "message 1 a=1 for pattern *", "evicted",
		}, ann.newLines())
		assert.Equal(t, []string{"published a: 3"}, bob.newLines())
	})
	spec(t, "the others get theirs", func(t *testing.T, c *core) {
		ann, bob, cid := c.client(subscribe("a")), c.client(subscribe("a")), c.client(psubscribe("a"))
		ann.limit, bob.limit = 1, 1
		c.do(c.client(), publish("a", "1"), publish("a", "2"))
		assert.Equal(t, []string{"message 1 a=1 for a", "evicted"}, ann.newLines())
		assert.Equal(t, []string{"message 1 a=1 for a", "evicted"}, bob.newLines())
		assert.Equal(t, []string{"message 1 a=1 for pattern a", "message 2 a=2 for pattern a"}, cid.newLines())
	})
	spec(t, "its later requests never take effect", func(t *testing.T, c *core) {
		ann, bob := c.client(subscribe("a")), c.client(subscribe("b"))
		ann.limit = 1
		c.do(ann, publish("a", "1"), publish("b", "2"), subscribe("c"), leave())
		c.do(ann, publish("b", "3"), answer(), evictBy("eve"))
		assert.Equal(t, []string{"published a: 1", "message 1 a=1 for a", "evicted"}, ann.newLines())
		assert.Empty(t, bob.newLines())
		assert.Len(t, ann.applied, 3, "each batch is handed back all the same")
		assert.Equal(t, Stats{Topics: 1, Subscribers: 1, Sequence: 1, Published: 1, Matched: 1}, View{c.Broker}.Stats())
	})
}

func TestEvictRequest(t *testing.T) {
	spec(t, "takes everything away and hands back its note", func(t *testing.T, c *core) {
		ann, bob := c.client(subscribe("a"), psubscribe("*"), otherForm(subscribe("a"))), c.client()
		c.do(ann, evictBy("eve"))
		c.do(bob, publish("a", "1"))
		assert.Equal(t, []string{"evicted by eve"}, ann.newLines())
		assert.Equal(t, []string{"published a: 0"}, bob.newLines())
	})
	spec(t, "is not put to the connection for admission", func(t *testing.T, c *core) {
		ann := c.client(subscribe("a"))
		c.do(ann, refuse(evictBy("")))
		assert.Equal(t, []string{"evicted by refused"}, ann.newLines())
	})
	spec(t, "ends once: neither a second one nor a leave is told", func(t *testing.T, c *core) {
		ann := c.client()
		c.do(ann, evictBy("eve"), evictBy("eva"), leave())
		c.do(ann, evictBy("eva"))
		c.do(ann, leave())
		assert.Equal(t, []string{"evicted by eve"}, ann.newLines())
		assert.Len(t, ann.applied, 3)
	})
}

func TestLeave(t *testing.T) {
	spec(t, "drops everything it holds", func(t *testing.T, c *core) {
		ann, bob := c.client(subscribe("a", "b"), psubscribe("*"), otherForm(subscribe("a"))), c.client(subscribe("a"))
		c.do(ann, leave())
		c.do(bob, publish("a", "1"))
		assert.Equal(t, []string{"left"}, ann.newLines())
		assert.Equal(t, []string{"published a: 1", "message 1 a=1 for a"}, bob.newLines())
	})
	spec(t, "is idempotent", func(t *testing.T, c *core) {
		ann := c.client(subscribe("a"))
		c.do(ann, leave(), leave())
		c.do(ann, leave())
		assert.Equal(t, []string{"left"}, ann.newLines())
		assert.Zero(t, View{c.Broker}.Stats())
	})
	spec(t, "ends what the subscriber may ask", func(t *testing.T, c *core) {
		ann, bob := c.client(), c.client(subscribe("a"))
		c.do(ann, publish("a", "1"), leave(), publish("a", "2"), subscribe("a"))
		c.do(ann, publish("a", "3"))
		assert.Equal(t, []string{"published a: 1", "left"}, ann.newLines())
		assert.Equal(t, []string{"message 1 a=1 for a"}, bob.newLines())
	})
	spec(t, "of someone who holds nothing is told as well", func(t *testing.T, c *core) {
		ann := c.client()
		c.do(ann, leave())
		assert.Equal(t, []string{"left"}, ann.newLines())
	})
}
