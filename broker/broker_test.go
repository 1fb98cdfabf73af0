package broker

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// Clause 1: A publish takes effect at one instant: when the core takes it. All publishes form one sequence, across all
// topics and all connections.
func TestPublishesFormOneSequence(t *testing.T) {
	spec(t, "messages are numbered across topics and connections", func(t *testing.T, c *core) {
		ann := c.client(subscribe("a", "b"))
		bob, cid := c.client(), c.client()
		c.do(bob, publish("a", "1"), publish("b", "2"))
		c.do(cid, publish("b", "3"))
		c.do(bob, publish("a", "4"))
		assert.Equal(t, []string{
			"message 1 a=1 for a", "message 2 b=2 for b", "message 3 b=3 for b", "message 4 a=4 for a",
		}, ann.newLines())
	})
	spec(t, "a message that nobody gets has its number too", func(t *testing.T, c *core) {
		bob := c.client()
		c.do(bob, publish("nobody", "1"))
		ann := c.client(subscribe("a"))
		c.do(bob, publish("a", "2"))
		assert.Equal(t, []string{"message 2 a=2 for a"}, ann.newLines())
	})
}

// Clause 2: A subscriber receives exactly the messages of its subscriptions that were published between its subscribe
// and its unsubscribe ... and it receives them in that sequence.
func TestASubscriberGetsWhatIsPublishedMeanwhile(t *testing.T) {
	spec(t, "nothing from before its subscribe and nothing from after its unsubscribe", func(t *testing.T, c *core) {
		ann, bob := c.client(), c.client()
		c.do(bob, publish("a", "early"))
		c.do(ann, subscribe("a"))
		c.do(bob, publish("a", "one"), publish("b", "other"), publish("a", "two"))
		c.do(ann, unsubscribe("a"))
		c.do(bob, publish("a", "late"))
		assert.Equal(t, []string{
			"subscribed a: 1", "message 2 a=one for a", "message 4 a=two for a", "unsubscribed a: 0",
		}, ann.newLines())
	})
	spec(t, "both are instants within one batch as well", func(t *testing.T, c *core) {
		ann := c.client()
		c.do(ann, publish("a", "1"), subscribe("a"), publish("a", "2"), unsubscribe("a"), publish("a", "3"))
		assert.Equal(t, []string{
			"published a: 0", "subscribed a: 1", "published a: 1", "message 2 a=2 for a", "unsubscribed a: 0",
			"published a: 0",
		}, ann.newLines())
	})
	spec(t, "a pattern subscription covers topics that did not exist yet", func(t *testing.T, c *core) {
		ann, bob := c.client(psubscribe("a*")), c.client()
		c.do(bob, publish("a", "1"), publish("ab", "2"), publish("ba", "3"))
		assert.Equal(t, []string{"message 1 a=1 for pattern a*", "message 2 ab=2 for pattern a*"}, ann.newLines())
	})
	spec(t, "the empty topic is a topic, and the empty payload a message", func(t *testing.T, c *core) {
		ann, bob := c.client(subscribe("")), c.client()
		c.do(bob, publish("", ""), publish("a", ""))
		assert.Equal(t, []string{"message 1 = for "}, ann.newLines())
		assert.Equal(t, []string{"published : 1", "published a: 0"}, bob.newLines())
	})
}

// Clause 2: A message that matches k of its subscriptions comes k times, exact ones first, before the next message
// comes once.
func TestAMessageComesOnceForEachSubscriptionThatItMatches(t *testing.T) {
	spec(t, "the exact one first, then patterns in order of creation", func(t *testing.T, c *core) {
		ann, bob := c.client(psubscribe("*b"), psubscribe("a*"), subscribe("ab"), psubscribe("?b")), c.client()
		c.do(bob, publish("ab", "1"), publish("ab", "2"))
		assert.Equal(t, []string{
			"message 1 ab=1 for ab", "message 1 ab=1 for pattern *b", "message 1 ab=1 for pattern a*",
			"message 1 ab=1 for pattern ?b",
			"message 2 ab=2 for ab", "message 2 ab=2 for pattern *b", "message 2 ab=2 for pattern a*",
			"message 2 ab=2 for pattern ?b",
		}, ann.newLines())
		assert.Equal(t, []string{"published ab: 4", "published ab: 4"}, bob.newLines())
	})
	spec(t, "the order of patterns is that of the first who subscribed", func(t *testing.T, c *core) {
		zoe := c.client(psubscribe("a*", "*"))
		ann, bob := c.client(psubscribe("*", "a*")), c.client()
		c.do(zoe, punsubscribe("a*")) // ann keeps it alive, and in its place
		c.do(bob, publish("a", "1"))
		assert.Equal(t, []string{"message 1 a=1 for pattern a*", "message 1 a=1 for pattern *"}, ann.newLines())
	})
	spec(t, "a pattern that everybody left goes to the end when it comes back", func(t *testing.T, c *core) {
		ann, bob := c.client(psubscribe("a*", "*"), punsubscribe("a*"), psubscribe("a*")), c.client()
		c.do(bob, publish("a", "1"))
		assert.Equal(t, []string{"message 1 a=1 for pattern *", "message 1 a=1 for pattern a*"}, ann.newLines())
	})
	spec(t, "two forms of one name are two subscriptions", func(t *testing.T, c *core) {
		ann, bob := c.client(otherForm(subscribe("a")), subscribe("a")), c.client()
		c.do(bob, publish("a", "1"))
		assert.Equal(t, []string{"message 1 a=1 for a in form 1", "message 1 a=1 for a"}, ann.newLines())
		assert.Equal(t, []string{"published a: 2"}, bob.newLines())
	})
}

// Clause 3: The commands of one connection take effect in the order in which it sent them, and its replies come back
// in that order.
func TestRepliesComeInTheOrderOfTheRequests(t *testing.T) {
	spec(t, "within a batch, whatever is asked", func(t *testing.T, c *core) {
		ann := c.client()
		c.do(ann, answer(), subscribe("a", "b"), refuse(publish("a", "1")), publish("c", "2"), unsubscribe("b"),
			punsubscribe(), answer())
		assert.Equal(t, []string{
			"answered: 0 topics, 0 patterns, 0 subscribers, 0 published, 0 delivered",
			"subscribed a: 1", "subscribed b: 2", "refused", "published c: 0", "unsubscribed b: 1",
			"unsubscribed nothing: 1",
			"answered: 1 topics, 0 patterns, 1 subscribers, 1 published, 0 delivered",
		}, ann.newLines())
	})
	spec(t, "a refused request does nothing", func(t *testing.T, c *core) {
		ann := c.client(subscribe("a"))
		c.do(ann, refuse(subscribe("b")), refuse(unsubscribe("a")), refuse(publish("a", "1")), refuse(answer()), answer())
		assert.Equal(t, []string{
			"refused", "refused", "refused", "refused",
			"answered: 1 topics, 0 patterns, 1 subscribers, 0 published, 0 delivered",
		}, ann.newLines())
	})
}

// Clause 4: The reply to a publish counts the subscriptions that the message was queued to. A publisher that is itself
// subscribed gets the reply to each publish first, then that message, then the reply to its next publish.
func TestTheReplyToAPublishCountsItsReceivers(t *testing.T) {
	spec(t, "subscriptions, not subscribers", func(t *testing.T, c *core) {
		c.client(subscribe("a"), psubscribe("a*", "?"))
		c.client(subscribe("a", "b"))
		bob := c.client()
		c.do(bob, publish("a", ""), publish("b", ""), publish("c", ""), publish("dd", ""))
		assert.Equal(t, []string{"published a: 4", "published b: 2", "published c: 1", "published dd: 0"}, bob.newLines())
	})
	spec(t, "a publisher that listens: reply, message, next reply", func(t *testing.T, c *core) {
		ann := c.client(subscribe("a"), psubscribe("a"))
		c.do(ann, publish("a", "1"), publish("a", "2"))
		assert.Equal(t, []string{
			"published a: 2", "message 1 a=1 for a", "message 1 a=1 for pattern a",
			"published a: 2", "message 2 a=2 for a", "message 2 a=2 for pattern a",
		}, ann.newLines())
	})
	spec(t, "an answer comes after everything before it has been queued", func(t *testing.T, c *core) {
		ann := c.client(subscribe("a"))
		c.do(ann, publish("a", "1"), answer())
		assert.Equal(t, []string{
			"published a: 1", "message 1 a=1 for a",
			"answered: 1 topics, 0 patterns, 1 subscribers, 1 published, 1 delivered",
		}, ann.newLines())
	})
}
