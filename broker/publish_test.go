package broker

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
)

// A run is several messages in one request. Nobody can tell it from as many requests, but by how fast it is.
func TestARunIsAsManyMessages(t *testing.T) {
	three := func() Request { return publish("ab", "1", "2", "3") }
	spec(t, "each has its place in the one order, and its reply", func(t *testing.T, c *core) {
		ann, bob := c.client(subscribe("ab", "b")), c.client()
		c.do(bob, publish("b", "0"), three(), publish("b", "4"))
		assert.Equal(t, []string{
			"message 1 b=0 for b", "message 2 ab=1 for ab", "message 3 ab=2 for ab", "message 4 ab=3 for ab", "message 5 b=4 for b",
		}, ann.newLines())
		assert.Equal(t, []string{"published b: 1", "published ab: 1", "published ab: 1", "published ab: 1", "published b: 1"}, bob.newLines())
		assert.Equal(t, Stats{Topics: 2, Subscribers: 1, Sequence: 5, Published: 5, Matched: 5}, View{c.Broker}.Stats())
	})
	spec(t, "it is dispatched in one piece to whoever it reaches once", func(t *testing.T, c *core) {
		ann, bob, cid := c.client(subscribe("ab")), c.client(subscribe("ab"), psubscribe("a*")), c.client()
		c.do(cid, three())
		assert.Equal(t, 1, ann.deliverCalls)
		assert.Equal(t, 6, bob.deliverCalls)
	})
	spec(t, "who has several subscriptions gets all copies of a message before the next message", func(t *testing.T, c *core) {
		ann, bob, cid := c.client(subscribe("ab"), psubscribe("a*")), c.client(subscribe("ab")), c.client()
		c.do(cid, publish("ab", "1", "2"))
		assert.Equal(t, []string{
			"message 1 ab=1 for ab", "message 1 ab=1 for pattern a*", "message 2 ab=2 for ab", "message 2 ab=2 for pattern a*",
		}, ann.newLines())
		assert.Equal(t, []string{"message 1 ab=1 for ab", "message 2 ab=2 for ab"}, bob.newLines())
		assert.Equal(t, []string{"published ab: 3", "published ab: 3"}, cid.newLines())
	})
	spec(t, "a publisher that listens gets reply, message, next reply", func(t *testing.T, c *core) {
		ann, bob := c.client(subscribe("ab")), c.client(psubscribe("*"))
		c.do(ann, publish("ab", "1", "2"))
		assert.Equal(t, []string{
			"published ab: 2", "message 1 ab=1 for ab", "published ab: 2", "message 2 ab=2 for ab",
		}, ann.newLines())
		assert.Equal(t, []string{"message 1 ab=1 for pattern *", "message 2 ab=2 for pattern *"}, bob.newLines())
	})
	spec(t, "a connection may want it message by message", func(t *testing.T, c *core) {
		ann, bob := c.client(subscribe("ab")), c.client()
		c.do(bob, messageByMessage(three()))
		assert.Equal(t, 3, ann.deliverCalls)
		assert.Equal(t, []string{"message 1 ab=1 for ab", "message 2 ab=2 for ab", "message 3 ab=3 for ab"}, ann.newLines())
	})
	spec(t, "who is over during it still gets all of it, and is evicted behind it", func(t *testing.T, c *core) {
		ann, bob := c.client(subscribe("ab")), c.client()
		ann.limit = 1
		c.do(bob, three(), publish("ab", "4"))
		assert.Equal(t, []string{"message 1 ab=1 for ab", "message 2 ab=2 for ab", "message 3 ab=3 for ab", "evicted"}, ann.newLines())
		assert.Equal(t, "published ab: 0", bob.lines[3])
	})
	spec(t, "a publisher that is evicted half-way through a run taken message by message publishes no more", func(t *testing.T, c *core) {
		ann := c.client(subscribe("ab"))
		ann.limit = 2
		c.do(ann, messageByMessage(three()))
		assert.Equal(t, []string{
			"published ab: 1", "message 1 ab=1 for ab", "published ab: 1", "message 2 ab=2 for ab", "evicted",
		}, ann.newLines())
	})
}

func TestOnPublish(t *testing.T) {
	spec(t, "each publish to a topic is handed out before its reply, whatever it reaches", func(t *testing.T, c *core) {
		ann := c.client(subscribe("a"), where(even, subscribe("b")))
		bob := c.client(subscribe("a"))
		var kept []string
		c.OnPublish(func(v View, m *Message) {
			assert.Equal(t, m.Sequence-1, v.Stats().Sequence, "it is the next one")
			for i, payload := range m.Payloads {
				kept = append(kept, fmt.Sprintf("%d %s=%s", m.Sequence+uint64(i), m.Topic, payload)) //nolint:gosec // an index
			}
			bob.record("kept %d", m.Sequence)
		})
		c.do(bob, publish("a", "1", "2"), refuse(publish("a", "no")), publish("b", "3"), publish("b", "4"), publish("nobody", "5"))
		shard := publish("a", "6")
		shard.Kind = Shard
		c.do(bob, shard, messageByMessage(publish("a", "7", "8")))
		assert.Equal(t, []string{"1 a=1", "2 a=2", "3 b=3", "4 b=4", "5 nobody=5", "7 a=7", "8 a=8"}, kept)
		assert.Equal(t, []string{"kept 1", "published a: 2", "message 1 a=1 for a", "published a: 2"}, bob.newLines()[:4])
		assert.Len(t, ann.newLines(), 5)
	})
}
