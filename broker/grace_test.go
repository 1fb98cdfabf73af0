package broker

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// exec makes a transaction.
func exec(kept ...Request) Request { return Request{Op: Exec, Tag: kept} }

// late is a batch that was judged by an index that is older by now, and has yet to be submitted.
func (c *core) late(from *client, requests ...Request) (submit func()) {
	x := c.enter()
	batch := from.batch(judge(x, requests)...)
	batch.Version = x.Version()
	return func() {
		require.True(c.t, c.Submit(batch))
		c.leave(x.Version())
		synctest.Wait()
	}
}

func TestANewPredicateHasAGracePeriod(t *testing.T) {
	spec(t, "that is over at once if nobody has an older index", func(t *testing.T, c *core) {
		ann, bob := c.client(), c.client()
		c.do(ann, where(even, subscribe("a")))
		c.do(bob, publish("a", "2"))
		assert.Equal(t, []string{"subscribed a WHERE even: 1", "message 1 a=2 for a WHERE even"}, ann.newLines())
		assert.Equal(t, []string{"published a: 1"}, bob.newLines())
	})
	spec(t, "else when the last older batch has been submitted, which takes effect before", func(t *testing.T, c *core) {
		ann, bob, cid := c.client(subscribe("b")), c.client(), c.client()
		first, second := c.late(bob, publish("a", "2"), publish("b", "1")), c.late(cid, publish("a", "4"))
		c.do(ann, where(even, subscribe("a")))
		c.do(c.client(), publish("a", "6"), publish("b", "3"))
		assert.Equal(t, []string{"message 2 b=3 for b"}, ann.newLines(), "messages to it go on")
		first()
		assert.Equal(t, []string{"published a: 0", "published b: 1"}, bob.newLines())
		assert.Equal(t, []string{"message 4 b=1 for b"}, ann.newLines())
		second()
		assert.Equal(t, []string{"published a: 0"}, cid.newLines())
		assert.Equal(t, []string{"subscribed a WHERE even: 2"}, ann.newLines())
		c.do(bob, publish("a", "8"))
		assert.Equal(t, []string{"message 6 a=8 for a WHERE even"}, ann.newLines())
		assert.Len(t, ann.applied, 2)
	})
	spec(t, "not if its name has it already, nor has a plain subscription one", func(t *testing.T, c *core) {
		c.client(where(even, subscribe("a")))
		ann, bob := c.client(), c.client()
		submit := c.late(bob, publish("a", "2"))
		c.do(ann, where(even, subscribe("a")), subscribe("a"))
		submit()
		assert.Equal(t, []string{"subscribed a WHERE even: 1", "subscribed a: 2", "message 1 a=2 for a", "message 1 a=2 for a WHERE even"}, ann.newLines())
		assert.Equal(t, []string{"published a: 3"}, bob.newLines())
	})
	spec(t, "on each name, and again once it has gone", func(t *testing.T, c *core) {
		ann := c.client(where(even, subscribe("a")))
		submit := c.late(c.client(), publish("a", "2"))
		bob := c.client(where(even, psubscribe("a")))
		c.do(ann, where(even, unsubscribe("a")), where(even, subscribe("a")))
		assert.Equal(t, []string{"unsubscribed a WHERE even: 0"}, ann.newLines())
		assert.Empty(t, bob.newLines())
		submit()
		assert.Equal(t, []string{"subscribed a WHERE even: 1"}, ann.newLines())
		assert.Equal(t, []string{"subscribed pattern a WHERE even: 1"}, bob.newLines())
	})
	spec(t, "one for all that come while another is under way", func(t *testing.T, c *core) {
		ann := c.client()
		first := c.late(c.client(), publish("a", "2"))
		c.do(ann, where(even, subscribe("a")))
		second := c.late(c.client(), publish("a", "4")) // it knows of ann's predicate
		others := make([]*client, len(someConditions))
		for i, p := range someConditions {
			others[i] = c.client()
			c.do(others[i], where(p, subscribe("a")))
		}
		assert.Empty(t, others[0].newLines(), "it waits for what ann waits for")
		before := c.versions.index.Version()
		first()
		assert.Equal(t, []string{"subscribed a WHERE even: 1"}, ann.newLines())
		assert.Equal(t, []string{"subscribed a WHERE even: 1"}, others[0].newLines())
		assert.Empty(t, others[1].newLines())
		assert.Equal(t, before+1, c.versions.index.Version())
		second()
		assert.Equal(t, before+1, c.versions.index.Version())
		assert.Equal(t, []string{"message 2 a=4 for a WHERE even"}, ann.newLines())
		for i, p := range someConditions[1:] {
			assert.Equal(t, []string{"subscribed a WHERE " + p.word + ": 1"}, others[1+i].newLines())
		}
	})
	spec(t, "what a refused command would bring is not waited for, nor listed", func(t *testing.T, c *core) {
		ann := c.client()
		submit := c.late(c.client(), publish("a", "2"))
		c.do(ann, refuse(where(even, subscribe("a"))))
		assert.Equal(t, []string{"refused"}, ann.newLines())
		assert.Empty(t, c.listed())
		submit()
		requireEmpty(t, c.Broker)
	})
	spec(t, "and may be refused when it is over", func(t *testing.T, c *core) {
		ann := c.client()
		submit := c.late(c.client(), publish("a", "2"))
		q := where(even, subscribe("a"))
		q.Tag = refusedLater
		c.do(ann, q)
		assert.Equal(t, []string{"even"}, c.listed())
		submit()
		assert.Equal(t, []string{"refused"}, ann.newLines())
		requireEmpty(t, c.Broker)
	})
	spec(t, "in which what the command needs besides stays", func(t *testing.T, c *core) {
		ann, bob := c.client(where(even, subscribe("a"))), c.client()
		submit := c.late(c.client(), publish("a", "2"))
		q := where(even, subscribe("a"))
		more := where(odd, subscribe("a"))
		q.Names, q.Filters = append(q.Names, more.Names...), append(q.Filters, more.Filters...)
		c.do(bob, q)
		c.do(ann, where(even, unsubscribe("a")))
		assert.Zero(t, View{c.Broker}.Stats().Predicates)
		late := c.late(c.client(), publish("a", "4"))
		submit()
		assert.Equal(t, []string{"subscribed a WHERE even: 1", "subscribed a WHERE odd: 2"}, bob.newLines())
		late()
		assert.Equal(t, []string{"message 2 a=4 for a WHERE even"}, bob.newLines())
	})
	spec(t, "and leaves the order of delivery to who subscribed first", func(t *testing.T, c *core) {
		var order []string
		ann, bob, cid := c.client(), c.client(), c.client()
		bob.onFlush = func() { order = append(order, "bob") }
		cid.onFlush = func() { order = append(order, "cid") }
		submit := c.late(c.client(), publish("a", "2"))
		c.do(c.client(), where(never, subscribe("a")))
		c.do(ann, where(even, subscribe("a")))
		c.do(bob, where(onA, subscribe("a")))
		c.do(cid, where(even, subscribe("a")))
		c.do(ann, leave())
		submit()
		assert.Equal(t, []string{"never", "even", "on a"}, c.listed())
		order = nil
		c.do(c.client(), publish("a", "4"))
		assert.Equal(t, []string{"bob", "cid"}, order)
	})
}

// Those that a publisher has submitted are still to come.
func TestAGracePeriodWaitsForTheInbox(t *testing.T) {
	const more = 3 * maxBatchesPerFlush
	waiting(t, "however many rounds that takes", func(t *testing.T, b *Broker, run func()) {
		ann, bob := newClient(), newClient()
		require.True(t, b.Submit(ann.batch(where(even, subscribe("a")))))
		for range more {
			require.True(t, b.Submit(bob.batch(publish("a", "2"))))
		}
		run()
		assert.Equal(t, []string{"subscribed a WHERE even: 1"}, ann.newLines())
		assert.Equal(t, slices.Repeat([]string{"published a: 0"}, more), bob.newLines())
	})
}

func TestTheEndOfASubscriberThatWaits(t *testing.T) {
	for end, request := range map[string]Request{"left": leave(), "evicted by eve": evictBy("eve")} {
		spec(t, end+", it waits no more, and nothing is kept for it", func(t *testing.T, c *core) {
			ann := c.client(subscribe("b"))
			ann.writesApplied = true
			submit := c.late(c.client(), publish("a", "2"))
			c.do(ann, where(even, subscribe("a")))
			assert.Equal(t, []string{"even"}, c.listed())
			c.do(ann, request)
			assert.Equal(t, []string{"applied", end, "applied"}, ann.newLines())
			assert.Empty(t, c.listed())
			requireHoldsNothing(t, ann.sub)
			submit()
			assert.Empty(t, ann.newLines())
			requireEmpty(t, c.Broker)
		})
	}
	spec(t, "over its limit, the same", func(t *testing.T, c *core) {
		ann := c.client(subscribe("b"))
		ann.limit = 1
		submit := c.late(c.client(), publish("a", "2"))
		c.do(ann, where(even, subscribe("a")))
		c.do(c.client(), publish("b", "1"))
		assert.Equal(t, []string{"message 1 b=1 for b", "evicted"}, ann.newLines())
		submit()
		requireEmpty(t, c.Broker)
	})
	spec(t, "does not concern others that wait for the same", func(t *testing.T, c *core) {
		ann, bob := c.client(), c.client()
		submit := c.late(c.client(), publish("a", "2"))
		c.do(ann, where(even, subscribe("a")))
		c.do(bob, where(even, subscribe("a")))
		c.do(ann, leave())
		submit()
		assert.Equal(t, []string{"subscribed a WHERE even: 1"}, bob.newLines())
	})
	spec(t, "with very many names leaves it at the first piece", func(t *testing.T, c *core) {
		ann := c.client(subscribe(manyNames(maxDropsPerRequest + 1)...))
		submit := c.late(c.client(), publish("a", "2"))
		c.do(ann, where(even, subscribe("a")))
		c.do(ann, leave())
		assert.True(t, ann.applied[len(ann.applied)-1].Requests[0].Unfinished)
		submit()
		assert.Empty(t, ann.newLines())
		c.do(ann, leave())
		assert.Equal(t, []string{"left"}, ann.newLines())
		requireEmpty(t, c.Broker)
	})
}

func TestAPredicateThatHasGoneIsNotListed(t *testing.T) {
	spec(t, "and a verdict on it does no harm", func(t *testing.T, c *core) {
		ann, bob := c.client(where(even, subscribe("a")), where(onA, subscribe("a"))), c.client()
		submit := c.late(bob, publish("a", "2"))
		c.do(ann, where(even, unsubscribe("a")))
		assert.Equal(t, []string{"on a"}, c.listed())
		ann.newLines()
		submit()
		assert.Equal(t, []string{"message 1 a=2 for a WHERE on a"}, ann.newLines())
		assert.Equal(t, []string{"published a: 1"}, bob.newLines())
	})
	spec(t, "nor is one that came again meanwhile meant by it", func(t *testing.T, c *core) {
		ann, bob := c.client(where(even, subscribe("a"))), c.client()
		old := c.versions.index
		c.do(ann, where(even, unsubscribe("a")), where(even, subscribe("a")))
		ann.newLines()
		requests := judge(old, []Request{publish("a", "2")})
		require.Len(t, requests[0].Judgements, 1)
		requests[0].Judgements = append(requests[0].Judgements, judge(c.versions.index, []Request{publish("a", "2")})[0].Judgements...)
		batch := bob.batch(requests...)
		batch.Version = c.versions.index.Version()
		require.True(t, c.Submit(batch))
		synctest.Wait()
		assert.Equal(t, []string{"message 1 a=2 for a WHERE even"}, ann.newLines())
	})
}

// Whoever publishes without a verdict is a defect that must not stay hidden.
func TestAPublishWithoutVerdictsEndsTheCore(t *testing.T) {
	for _, q := range []Request{publish("a", "2"), publish("a", "2", "4"), exec(publish("a", "2"))} {
		b := New(Options{}) // not run: the test is its goroutine
		ann, bob := newClient(), newClient()
		b.apply(ann.batch(where(even, subscribe("a"))))
		b.refresh()
		require.Equal(t, []string{"subscribed a WHERE even: 1"}, ann.newLines())
		b.apply(bob.batch(publish("b", "1")))
		require.Panics(t, func() { b.apply(bob.batch(q)) })
	}
}

func TestRunsAndTransactionsWithVerdicts(t *testing.T) {
	spec(t, "a run comes as single messages, and who is over is evicted between two", func(t *testing.T, c *core) {
		ann, bob, cid := c.client(where(even, subscribe("a"))), c.client(subscribe("a", "b")), c.client()
		ann.limit = 1
		c.do(cid, publish("b", "1", "2"), publish("a", "2", "4"))
		assert.Equal(t, []string{"message 3 a=2 for a WHERE even", "evicted"}, ann.newLines())
		assert.Equal(t, 3, bob.deliverCalls, "a run to a topic without predicates stays one")
		assert.Equal(t, []string{"published b: 1", "published b: 1", "published a: 2", "published a: 1"}, cid.newLines())
	})
	spec(t, "a transaction is one instant", func(t *testing.T, c *core) {
		ann, bob := c.client(where(even, subscribe("a")), where(odd, subscribe("b"))), c.client()
		ann.limit = 2
		c.do(bob, exec(publish("a", "2"), publish("c", "0"), subscribe("x"), publish("b", "2"), publish("a", "4")), publish("a", "6"))
		assert.Equal(t, []string{
			"begin 5", "published a: 1", "published c: 0", "subscribed x: 1", "published b: 0", "published a: 1", "commit", "published a: 0",
		}, bob.newLines())
		assert.Equal(t, []string{"message 1 a=2 for a WHERE even", "message 4 a=4 for a WHERE even", "evicted"}, ann.newLines())
	})
	spec(t, "and may leave a predicate itself", func(t *testing.T, c *core) {
		ann := c.client(where(even, subscribe("a")), subscribe("a"))
		c.do(ann, exec(publish("a", "2"), wide(unsubscribe("a")), publish("a", "4")))
		assert.Equal(t, []string{
			"begin 3", "published a: 2", "message 1 a=2 for a", "message 1 a=2 for a WHERE even",
			"unsubscribed a: 0", "published a: 0", "commit",
		}, ann.newLines())
	})
}

// A name with very many predicates gets one list in a round, however many of them come and go.
func TestAListIsMadeOnceInARound(t *testing.T) {
	spec(t, "and one index is handed out", func(t *testing.T, c *core) {
		ann := c.client()
		var coming, going []Request
		for i := range 10 * indexThreshold {
			p := digit(fmt.Sprint(i))
			coming, going = append(coming, where(p, subscribe("a"))), append(going, where(p, unsubscribe("a")))
		}
		c.do(ann, together(coming)...)
		assert.Equal(t, uint64(1), c.all)
		c.do(ann, going[1:]...)
		assert.Equal(t, uint64(2), c.all)
		assert.Equal(t, []string{"0"}, c.listed())
		assert.Equal(t, uint64(1), c.versions.index.Version())
	})
}
