package broker

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func payloads(b *Batch) (out []string) {
	for _, q := range b.Requests {
		for _, payload := range q.Payloads {
			out = append(out, string(payload))
		}
	}
	return out
}

// resubmit hands a batch in as it is.
func (c *core) resubmit(batch *Batch) {
	c.t.Helper()
	require.True(c.t, c.Submit(batch))
	synctest.Wait()
}

func TestAPublishWithoutVerdictsComesBack(t *testing.T) {
	spec(t, "with what to ask, in the order of delivery, and takes effect when it comes again", func(t *testing.T, c *core) {
		ann := c.client(where(even, psubscribe("*")), where(onA, subscribe("a")), where(even, subscribe("a")))
		bob := c.client()
		c.do(bob, publish("a", "2"))
		assert.Empty(t, ann.newLines())
		assert.Empty(t, bob.newLines())
		assert.Empty(t, bob.applied)
		require.Len(t, bob.returned, 1)
		assert.Equal(t, []string{"on a", "even", "even"}, asked(bob.returned[0].Requests[0]))
		c.again(bob)
		assert.Len(t, ann.newLines(), 3)
		assert.Equal(t, []string{"published a: 3"}, bob.newLines())
		assert.Len(t, bob.applied, 1)
		assert.Empty(t, bob.returned)
	})
	spec(t, "all of the batch is asked for at once: it comes back once", func(t *testing.T, c *core) {
		ann, bob := c.client(where(even, subscribe("a")), where(odd, psubscribe("b*")), subscribe("c")), c.client()
		c.do(bob, publish("a", "2"), publish("c", "0"), subscribe("x"), publish("b", "1"), publish("a", "3"))
		require.Len(t, bob.returned, 1)
		var questions [][]string
		for _, q := range bob.returned[0].Requests {
			questions = append(questions, asked(q))
		}
		assert.Equal(t, [][]string{{"even"}, nil, nil, {"odd"}, {"even"}}, questions)
		assert.Equal(t, 1, c.settle(bob))
		assert.Equal(t, []string{
			"published a: 1", "published c: 1", "subscribed x: 1", "published b: 1", "published a: 0",
		}, bob.newLines())
		assert.Len(t, ann.newLines(), 3)
	})
	spec(t, "what came before it has been applied, is answered and flushed, and is not applied again", func(t *testing.T, c *core) {
		ann, bob := c.client(where(even, subscribe("a")), subscribe("b")), c.client()
		c.do(bob, publish("b", "1"), subscribe("x"), publish("a", "2"), publish("b", "3"))
		assert.Equal(t, []string{"published b: 1", "subscribed x: 1"}, bob.newLines())
		assert.False(t, bob.owed)
		assert.Equal(t, []string{"message 1 b=1 for b"}, ann.newLines())
		assert.Equal(t, []string{"2", "3"}, payloads(bob.returned[0]))
		c.settle(bob)
		assert.Equal(t, []string{"published a: 1", "published b: 1"}, bob.newLines())
		assert.Equal(t, []string{"message 2 a=2 for a WHERE even", "message 3 b=3 for b"}, ann.newLines())
	})
	spec(t, "not if all verdicts are there, in order, with others of predicates that have gone", func(t *testing.T, c *core) {
		ann, bob := c.client(where(even, subscribe("a")), where(onA, psubscribe("*"))), c.client()
		c.do(bob, judged(publish("a", "2"), odd, even, never, onA, blind))
		assert.Equal(t, []string{"published a: 2"}, bob.newLines())
		assert.Len(t, ann.newLines(), 2)
		c.do(bob, judged(publish("a", "2"), onA, even))
		assert.Equal(t, []string{"even", "on a"}, asked(c.back(bob).Requests[0]), "in another order they do not count")
	})
	spec(t, "if one verdict is missing, with all of them to ask", func(t *testing.T, c *core) {
		c.client(where(even, subscribe("a")), where(odd, subscribe("a")), where(onA, subscribe("a")))
		bob := c.client()
		c.do(bob, judged(publish("a", "2"), even, onA))
		batch := c.back(bob)
		assert.Equal(t, []string{"even", "odd", "on a"}, asked(batch.Requests[0]))
		assert.Empty(t, batch.Requests[0].Verdicts)
	})
	spec(t, "not if it would be refused: it is, with all of a run", func(t *testing.T, c *core) {
		ann, bob := c.client(where(even, subscribe("a"))), c.client()
		c.do(bob, refuse(publish("a", "2")), refuse(publish("a", "2", "4")), answer())
		assert.Equal(t, []string{"refused", "refused"}, bob.newLines()[:2])
		assert.Empty(t, bob.returned)
		assert.Empty(t, ann.newLines())
	})
	spec(t, "a predicate of the same batch is asked like any other", func(t *testing.T, c *core) {
		ann := c.client()
		c.do(ann, publish("a", "0"), where(even, subscribe("a")), publish("a", "2"))
		assert.Equal(t, []string{"published a: 0", "subscribed a WHERE even: 1"}, ann.newLines())
		assert.Equal(t, 1, c.settle(ann))
		assert.Equal(t, []string{"published a: 1", "message 2 a=2 for a WHERE even"}, ann.newLines())
	})
	spec(t, "questions in advance are bounded; the rest is asked when its turn comes", func(t *testing.T, c *core) {
		const questions = 1024
		ann, bob := c.client(), c.client()
		for i := range questions {
			c.do(ann, where(digit(string(rune('a'+i))), subscribe("a")))
		}
		batch := make([]Request, 2*maxAsked/questions)
		for i := range batch {
			batch[i] = publish("a", "a")
		}
		c.do(bob, batch...)
		ahead := 0
		for _, q := range bob.returned[0].Requests {
			ahead += len(q.Asked)
		}
		assert.LessOrEqual(t, ahead, maxAsked+questions)
		assert.Equal(t, 2, c.settle(bob))
		assert.Len(t, bob.newLines(), len(batch))
	})
}

func TestWhoAskedInVainIsTold(t *testing.T) {
	for _, tt := range []struct {
		sentence string
		publish  Request
		stale    int
	}{
		{"not if nothing is asked", publish("c", "2"), 0},
		{"nor of a run", publish("c", "2", "4"), 0},
		{"nor if just that was asked which had to be", judged(publish("a", "2"), onA, even), 0},
		{"but if the first is superfluous", judged(publish("a", "2"), odd, onA, even), 1},
		{"or one between others", judged(publish("a", "2"), onA, odd, even), 1},
		{"or the last", judged(publish("a", "2"), onA, even, odd), 1},
		{"or all", judged(publish("c", "2"), odd), 1},
		{"also in a transaction", exec(judged(publish("a", "2"), onA, even), judged(publish("c", "2"), odd), judged(publish("a", "2"), onA, odd, even)), 2},
	} {
		spec(t, tt.sentence, func(t *testing.T, c *core) {
			c.client(where(onA, subscribe("a")), where(even, psubscribe("[ab]")))
			bob := c.client()
			c.do(bob, tt.publish)
			assert.Empty(t, bob.returned)
			assert.Equal(t, tt.stale, bob.stale)
		})
	}
	spec(t, "also where nobody has predicates", func(t *testing.T, c *core) {
		bob := c.client()
		c.do(bob, publish("a", "1"), publish("a", "2", "4"), judged(publish("a", "2"), even))
		assert.Equal(t, 1, bob.stale)
	})
	spec(t, "once, since what comes back is asked anew", func(t *testing.T, c *core) {
		ann, bob := c.client(where(onA, subscribe("a")), where(even, subscribe("a"))), c.client()
		c.do(bob, judged(publish("a", "2"), onA, odd, even), judged(publish("a", "4"), onA, odd))
		assert.Equal(t, 1, bob.stale)
		c.again(bob)
		assert.Equal(t, 1, bob.stale)
		assert.Len(t, ann.newLines(), 4)
	})
}

func TestARunComesBackToComeAgainMessageByMessage(t *testing.T) {
	spec(t, "always, where there is a predicate", func(t *testing.T, c *core) {
		ann, bob := c.client(where(even, subscribe("a")), subscribe("a", "b")), c.client()
		c.do(bob, publish("b", "1", "2"), publish("a", "2", "3", "4"), publish("a", "5", "6"), publish("b", "7", "8"))
		assert.Len(t, bob.newLines(), 2, "a run to a topic without goes through")
		assert.Equal(t, 1, c.settle(bob))
		assert.Equal(t, []string{
			"published a: 2", "published a: 1", "published a: 2", "published a: 1", "published a: 2", "published b: 1", "published b: 1",
		}, bob.newLines())
		assert.Equal(t, []string{
			"message 1 b=1 for b", "message 2 b=2 for b",
			"message 3 a=2 for a", "message 3 a=2 for a WHERE even", "message 4 a=3 for a",
			"message 5 a=4 for a", "message 5 a=4 for a WHERE even", "message 6 a=5 for a",
			"message 7 a=6 for a", "message 7 a=6 for a WHERE even", "message 8 b=7 for b", "message 9 b=8 for b",
		}, ann.newLines())
	})
	spec(t, "who is over is evicted between two of its messages", func(t *testing.T, c *core) {
		ann, bob := c.client(where(even, subscribe("a"))), c.client()
		ann.limit = 1
		c.say(bob, publish("a", "2", "4"))
		assert.Equal(t, []string{"message 1 a=2 for a WHERE even", "evicted"}, ann.newLines())
		assert.Equal(t, []string{"published a: 1", "published a: 0"}, bob.newLines())
	})
	spec(t, "a run that its connection wants message by message does so as well", func(t *testing.T, c *core) {
		ann, bob := c.client(where(even, subscribe("a"))), c.client()
		c.do(bob, messageByMessage(publish("a", "1", "2")))
		assert.Equal(t, 1, c.settle(bob))
		assert.Equal(t, []string{"published a: 0", "published a: 1"}, bob.newLines())
		assert.Equal(t, []string{"message 2 a=2 for a WHERE even"}, ann.newLines())
	})
}

func TestWhileABatchIsAway(t *testing.T) {
	spec(t, "later batches of the same subscriber wait, in order, and all others go on", func(t *testing.T, c *core) {
		ann, bob, cid := c.client(where(even, subscribe("a")), subscribe("b")), c.client(), c.client()
		c.do(bob, publish("a", "2"))
		c.do(bob, publish("b", "3"))
		c.do(bob, refuse(answer()), publish("b", "4"))
		c.do(bob, unsubscribe())
		c.do(cid, publish("b", "1"), judged(publish("a", "0"), even))
		assert.Empty(t, bob.newLines())
		assert.Equal(t, []string{"message 1 b=1 for b", "message 2 a=0 for a WHERE even"}, ann.newLines())
		c.again(bob)
		assert.Equal(t, []string{
			"message 3 a=2 for a WHERE even", "message 4 b=3 for b", "message 5 b=4 for b",
		}, ann.newLines())
		assert.Equal(t, []string{
			"published a: 1", "published b: 1", "refused", "published b: 1", "unsubscribed nothing: 0",
		}, bob.newLines())
		assert.Len(t, bob.applied, 4)
	})
	spec(t, "what waits may come back in its turn, and what is behind it waits on", func(t *testing.T, c *core) {
		ann, bob := c.client(where(even, subscribe("a"))), c.client()
		for _, payload := range []string{"0", "2", "4"} {
			c.do(bob, publish("a", payload))
		}
		for range 3 {
			c.again(bob)
		}
		assert.Equal(t, []string{
			"message 1 a=0 for a WHERE even", "message 2 a=2 for a WHERE even", "message 3 a=4 for a WHERE even",
		}, ann.newLines())
		assert.Len(t, bob.applied, 3)
	})
	spec(t, "it gets messages, and what it subscribed to before counts", func(t *testing.T, c *core) {
		ann, bob := c.client(where(even, subscribe("a")), subscribe("b")), c.client()
		c.do(ann, publish("a", "2"))
		c.do(bob, publish("b", "1"))
		assert.Equal(t, []string{"message 1 b=1 for b"}, ann.newLines())
		c.again(ann)
		assert.Equal(t, []string{"published a: 1", "message 2 a=2 for a WHERE even"}, ann.newLines())
	})
	spec(t, "a leave waits", func(t *testing.T, c *core) {
		ann, bob := c.client(where(even, subscribe("a"))), c.client(subscribe("b"))
		c.do(bob, publish("a", "2"))
		c.do(bob, leave())
		assert.Empty(t, bob.newLines())
		assert.Equal(t, 1, View{c.Broker}.NumSubscriptions(Topic, []byte("b")))
		c.again(bob)
		assert.Equal(t, []string{"published a: 1", "left"}, bob.newLines())
		assert.Len(t, ann.newLines(), 1)
		assert.Len(t, bob.applied, 3)
		requireHoldsNothing(t, bob.sub)
	})
	spec(t, "an eviction does not: it ends at once, and the batch gives only what is handed back", func(t *testing.T, c *core) {
		ann, bob := c.client(where(even, subscribe("a")), subscribe("b")), c.client(subscribe("b"))
		c.do(bob, publish("a", "2"), publish("b", "3"))
		c.do(bob, publish("b", "4"))
		c.do(bob, evictBy("eve"))
		assert.Equal(t, []string{"evicted by eve"}, bob.newLines())
		assert.Len(t, bob.applied, 2, "its subscribe, and the eviction's own batch")
		assert.Equal(t, 1, View{c.Broker}.NumSubscriptions(Topic, []byte("b")))
		c.again(bob)
		assert.Empty(t, bob.newLines())
		assert.Empty(t, ann.newLines())
		assert.Len(t, bob.applied, 4)
		assert.Zero(t, View{c.Broker}.Stats().Published)
		requireHoldsNothing(t, bob.sub)
		c.do(bob, publish("b", "5"))
		assert.Len(t, bob.applied, 5)
		assert.Empty(t, bob.newLines())
	})
	spec(t, "so with who is over meanwhile", func(t *testing.T, c *core) {
		ann := c.client(where(even, subscribe("a")), subscribe("b"))
		ann.limit = 1
		c.do(ann, publish("a", "2"))
		c.do(c.client(), publish("b", "1"))
		assert.Equal(t, []string{"message 1 b=1 for b", "evicted"}, ann.newLines())
		c.again(ann)
		assert.Empty(t, ann.newLines())
		requireEmpty(t, c.Broker)
		requireHoldsNothing(t, ann.sub)
	})
	spec(t, "an eviction behind other requests of its batch waits with them", func(t *testing.T, c *core) {
		c.client(where(even, subscribe("a")))
		bob := c.client()
		c.do(bob, publish("a", "2"))
		c.do(bob, subscribe("b"), evictBy("eve"))
		assert.Empty(t, bob.newLines())
		c.again(bob)
		assert.Equal(t, []string{"published a: 1", "subscribed b: 1", "evicted by eve"}, bob.newLines())
	})
	spec(t, "its connection may give up, by a leave: nothing that waits takes effect without it", func(t *testing.T, c *core) {
		ann, bob := c.client(where(even, subscribe("a")), subscribe("b")), c.client(subscribe("b"))
		c.do(bob, publish("b", "1"), publish("a", "2"), publish("b", "3"))
		c.do(bob, publish("b", "4"))
		c.do(bob, leave())
		batch := c.back(bob)
		batch.Requests = []Request{leave()}
		c.resubmit(batch)
		assert.Equal(t, []string{"message 1 b=1 for b"}, ann.newLines())
		assert.Equal(t, []string{"published b: 2", "message 1 b=1 for b", "left"}, bob.newLines())
		assert.Len(t, bob.applied, 4)
		requireHoldsNothing(t, bob.sub)
	})
	spec(t, "several may be away, and come again in any order", func(t *testing.T, c *core) {
		ann, bob, cid := c.client(where(even, subscribe("a"))), c.client(), c.client()
		c.do(bob, publish("a", "2"))
		c.do(cid, publish("a", "4"))
		c.again(cid)
		c.again(bob)
		assert.Equal(t, []string{"message 1 a=4 for a WHERE even", "message 2 a=2 for a WHERE even"}, ann.newLines())
	})
}

func TestPredicatesThatComeAndGoWhileABatchIsAway(t *testing.T) {
	spec(t, "one that came sends it back again", func(t *testing.T, c *core) {
		ann, bob, cid := c.client(where(even, subscribe("a"))), c.client(), c.client()
		c.do(bob, publish("a", "2"))
		c.do(cid, where(onA, psubscribe("*")))
		c.again(bob)
		assert.Empty(t, ann.newLines())
		require.Len(t, bob.returned, 1)
		assert.Equal(t, []string{"even", "on a"}, asked(bob.returned[0].Requests[0]))
		c.again(bob)
		assert.Equal(t, []string{"published a: 2"}, bob.newLines())
		assert.Len(t, ann.newLines(), 1)
		assert.Len(t, cid.newLines(), 2)
	})
	spec(t, "one that is known by its name already does not: whoever joins it is counted", func(t *testing.T, c *core) {
		c.client(where(even, subscribe("a")))
		bob, cid := c.client(), c.client()
		c.do(bob, publish("a", "2"))
		c.do(cid, where(even, subscribe("a")))
		assert.Equal(t, 1, c.settle(bob))
		assert.Equal(t, []string{"published a: 2"}, bob.newLines())
	})
	spec(t, "one that has gone does not", func(t *testing.T, c *core) {
		ann, bob := c.client(where(even, subscribe("a")), where(onA, subscribe("a")), where(odd, psubscribe("*"))), c.client()
		c.do(bob, publish("a", "2"))
		c.do(ann, where(even, unsubscribe("a")), wide(punsubscribe("*")))
		assert.Equal(t, 1, c.settle(bob))
		assert.Equal(t, []string{"published a: 1"}, bob.newLines())
	})
	spec(t, "nor is it asked any more", func(t *testing.T, c *core) {
		ann, bob, cid := c.client(where(even, subscribe("a")), where(onA, subscribe("a"))), c.client(), c.client()
		c.do(bob, publish("a", "2"))
		c.do(ann, where(even, unsubscribe("a")))
		c.do(cid, publish("a", "2"))
		assert.Equal(t, []string{"even", "on a"}, asked(bob.returned[0].Requests[0]), "nobody changes what is being asked")
		assert.Equal(t, []string{"on a"}, asked(cid.returned[0].Requests[0]))
	})
	spec(t, "when all have gone nothing is asked, whatever the batch brings", func(t *testing.T, c *core) {
		ann, bob := c.client(where(even, subscribe("a")), subscribe("a")), c.client()
		c.do(bob, publish("a", "2"))
		c.do(ann, where(even, unsubscribe("a")))
		c.resubmit(c.back(bob))
		assert.Equal(t, []string{"published a: 1"}, bob.newLines())
	})
	spec(t, "who comes back without verdicts is sent back", func(t *testing.T, c *core) {
		c.client(where(even, subscribe("a")))
		bob := c.client()
		c.do(bob, publish("a", "2"))
		for range 3 * patience {
			c.resubmit(c.back(bob))
		}
		assert.Equal(t, 1, c.settle(bob))
		assert.Equal(t, []string{"published a: 1"}, bob.newLines())
		assert.Zero(t, c.urgent)
	})
}

// impatient is a client whose publish to a has come back so often that new predicates must wait for it.
func impatient(t *testing.T, c *core, behind ...Request) (bob *client) {
	t.Helper()
	bob = c.client()
	c.do(bob, append([]Request{publish("a", "2")}, behind...)...)
	for i := range patience - 1 {
		require.Zero(t, c.urgent)
		c.client(where(digit(string(rune('a'+i))), subscribe("a")))
		c.again(bob)
	}
	require.Equal(t, 1, c.urgent)
	return bob
}

func TestPatienceHasAnEnd(t *testing.T) {
	spec(t, "then a new predicate waits, and what is behind it, until the publish has taken effect", func(t *testing.T, c *core) {
		ann := c.client(where(even, subscribe("a")))
		bob, cid := impatient(t, c), c.client()
		c.do(cid, subscribe("b"), where(onA, subscribe("a")), publish("b", "1"))
		c.do(cid, subscribe("c"))
		assert.Equal(t, []string{"subscribed b: 1"}, cid.newLines())
		assert.Empty(t, cid.returned, "there is nothing to ask")
		c.again(bob)
		assert.Equal(t, []string{"published a: 1"}, bob.newLines())
		assert.Equal(t, []string{"message 1 a=2 for a WHERE even"}, ann.newLines())
		assert.Equal(t, []string{
			"subscribed a WHERE on a: 2", "published b: 1", "message 2 b=1 for b", "subscribed c: 3",
		}, cid.newLines())
		assert.Len(t, cid.applied, 2)
	})
	spec(t, "one that its name has does not wait, nor a plain subscription", func(t *testing.T, c *core) {
		c.client(where(even, subscribe("a")))
		bob, cid, dan := impatient(t, c), c.client(), c.client()
		c.do(cid, where(even, subscribe("a")), subscribe("a"), psubscribe("*"))
		c.do(dan, where(even, psubscribe("a")))
		assert.Len(t, cid.newLines(), 3)
		assert.Empty(t, dan.newLines(), "the same on another name is new")
		assert.Equal(t, 1, c.settle(bob))
		assert.Equal(t, []string{"published a: 4"}, bob.newLines())
		assert.Len(t, dan.newLines(), 1)
	})
	spec(t, "a predicate that went and comes again is new", func(t *testing.T, c *core) {
		ann := c.client(where(even, subscribe("a")), subscribe("b"))
		bob := impatient(t, c)
		c.do(ann, where(even, unsubscribe("a")), where(even, subscribe("a")))
		assert.Equal(t, []string{"unsubscribed a WHERE even: 1"}, ann.newLines())
		assert.Equal(t, 1, c.settle(bob))
		assert.Equal(t, []string{"published a: 0"}, bob.newLines())
		assert.Equal(t, []string{"subscribed a WHERE even: 2"}, ann.newLines())
	})
	spec(t, "a request that would be refused waits too, and is", func(t *testing.T, c *core) {
		c.client(where(even, subscribe("a")))
		bob, cid := impatient(t, c), c.client()
		c.do(cid, refuse(where(onA, subscribe("a"))))
		c.settle(bob)
		assert.Equal(t, []string{"refused"}, cid.newLines())
	})
	spec(t, "those who wait go on in the order in which they came", func(t *testing.T, c *core) {
		c.client(where(even, subscribe("a")))
		bob := impatient(t, c)
		cid, dan := c.client(where(onA, subscribe("x"))), c.client(where(odd, subscribe("x")))
		c.settle(bob)
		c.do(c.client(), judged(publish("x", "1"), onA, odd))
		assert.Equal(t, []string{"subscribed x WHERE on a: 1"}, cid.newLines())
		assert.Equal(t, []string{"subscribed x WHERE odd: 1", "message 2 x=1 for x WHERE odd"}, dan.newLines())
	})
	spec(t, "while several publishes are out of patience, until the last has taken effect", func(t *testing.T, c *core) {
		c.client(where(even, subscribe("a")))
		bob, dan, cid := c.client(), c.client(), c.client()
		c.do(bob, publish("a", "2"))
		c.do(dan, publish("a", "2"))
		c.client(where(onA, subscribe("a")))
		c.again(bob)
		c.again(dan)
		require.Equal(t, 2, c.urgent)
		c.do(cid, where(odd, subscribe("a")))
		c.again(bob)
		assert.Empty(t, cid.newLines())
		c.again(dan)
		assert.Equal(t, []string{"subscribed a WHERE odd: 1"}, cid.newLines())
		assert.Equal(t, []string{"published a: 2"}, dan.newLines())
	})
	spec(t, "until it would be refused, or is evicted: others go on when its batch comes again", func(t *testing.T, c *core) {
		for _, end := range []func(bob *client, batch *Batch){
			func(_ *client, batch *Batch) { batch.Requests[0].Tag = refused },
			func(bob *client, _ *Batch) { c.do(bob, evictBy("eve")) },
		} {
			ann := c.client(where(even, subscribe("a")))
			bob, cid := impatient(t, c), c.client()
			c.do(cid, where(onA, subscribe("a")))
			batch := c.back(bob)
			end(bob, batch)
			assert.Empty(t, cid.newLines())
			c.resubmit(batch)
			assert.Equal(t, []string{"subscribed a WHERE on a: 1"}, cid.newLines())
			assert.Zero(t, c.urgent)
			assert.Empty(t, ann.newLines())
			c.do(ann, leave())
			c.do(cid, leave())
		}
	})
	spec(t, "a publisher's own new predicate behind its publish waits for nothing else", func(t *testing.T, c *core) {
		c.client(where(even, subscribe("a")))
		bob := impatient(t, c, where(onA, subscribe("a")), publish("a", "4"))
		c.again(bob)
		assert.Equal(t, []string{"published a: 1", "subscribed a WHERE on a: 1"}, bob.newLines())
		assert.Equal(t, 1, c.settle(bob))
		assert.Equal(t, []string{"published a: 2", "message 2 a=4 for a WHERE on a"}, bob.newLines())
	})
	spec(t, "nor in a batch of its own behind it", func(t *testing.T, c *core) {
		c.client(where(even, subscribe("a")))
		bob := impatient(t, c)
		c.do(bob, where(onA, subscribe("a")))
		c.again(bob)
		assert.Equal(t, []string{"published a: 1", "subscribed a WHERE on a: 1"}, bob.newLines())
	})
	spec(t, "but for another publisher that is out of patience: and both get through", func(t *testing.T, c *core) {
		c.client(where(even, subscribe("a")))
		bob, dan := c.client(), c.client()
		c.do(bob, publish("a", "2"), where(odd, subscribe("a")), publish("a", "3"))
		c.do(dan, publish("a", "4"), where(blind, subscribe("a")), publish("a", "5"))
		c.client(where(onA, subscribe("a")))
		c.again(bob)
		c.again(dan)
		require.Equal(t, 2, c.urgent)
		c.again(bob)
		assert.Equal(t, []string{"published a: 2"}, bob.newLines(), "it waits for dan")
		c.again(dan)
		for len(bob.returned)+len(dan.returned) > 0 {
			c.settle(bob)
			c.settle(dan)
		}
		assert.Len(t, bob.applied, 1)
		assert.Len(t, dan.applied, 1)
		assert.Zero(t, c.urgent)
		assert.Empty(t, c.waiting)
	})
	spec(t, "who waits and is evicted is handed back its batch in the end", func(t *testing.T, c *core) {
		c.client(where(even, subscribe("a")))
		bob, cid := impatient(t, c), c.client(subscribe("b"))
		c.do(cid, where(onA, subscribe("a")))
		c.do(cid, publish("b", "1"))
		c.do(cid, evictBy("eve"))
		assert.Equal(t, []string{"evicted by eve"}, cid.newLines())
		c.settle(bob)
		assert.Empty(t, cid.newLines())
		assert.Len(t, cid.applied, 4)
		requireHoldsNothing(t, cid.sub)
		assert.Empty(t, c.waiting)
	})
	spec(t, "patience starts anew with each publish of a batch", func(t *testing.T, c *core) {
		ann, bob := c.client(where(even, subscribe("a", "b"))), c.client()
		c.do(bob, publish("a", "2"), publish("b", "2"))
		c.do(ann, where(onA, subscribe("b")))
		c.again(bob)
		assert.Equal(t, []string{"published a: 1"}, bob.newLines())
		assert.Zero(t, c.urgent)
		c.again(bob)
		assert.Equal(t, []string{"published b: 1"}, bob.newLines())
	})
}

// exec makes a transaction.
func exec(kept ...Request) Request { return Request{Op: Exec, Tag: kept} }

func TestATransactionComesBackAsAWhole(t *testing.T) {
	spec(t, "once for all that it keeps, and is one instant", func(t *testing.T, c *core) {
		ann, bob := c.client(where(even, subscribe("a")), where(odd, subscribe("b"))), c.client()
		c.do(bob, exec(publish("a", "2"), publish("c", "0"), subscribe("x"), publish("b", "2"), publish("a", "4")))
		assert.Empty(t, bob.newLines())
		assert.Empty(t, ann.newLines())
		assert.Equal(t, 1, c.settle(bob))
		assert.Equal(t, []string{
			"begin 5", "published a: 1", "published c: 0", "subscribed x: 1", "published b: 0", "published a: 1", "commit",
		}, bob.newLines())
		assert.Equal(t, []string{"message 1 a=2 for a WHERE even", "message 4 a=4 for a WHERE even"}, ann.newLines())
	})
	spec(t, "not if all verdicts are there", func(t *testing.T, c *core) {
		c.client(where(even, subscribe("a")))
		bob := c.client()
		c.do(bob, exec(judged(publish("a", "2"), even), publish("b", "2")))
		assert.Equal(t, []string{"begin 2", "published a: 1", "published b: 0", "commit"}, bob.newLines())
	})
	spec(t, "nor an empty one, nor one without a publish that anything is asked of", func(t *testing.T, c *core) {
		c.client(where(even, subscribe("a")))
		bob := c.client()
		c.do(bob, exec(), exec(subscribe("a"), unsubscribe("a"), publish("b", "1")))
		assert.Len(t, bob.newLines(), 6)
		assert.Empty(t, bob.returned)
	})
	spec(t, "a predicate that it leaves itself is not asked any more", func(t *testing.T, c *core) {
		ann := c.client(where(even, subscribe("a")), subscribe("a"))
		c.say(ann, exec(publish("a", "2"), wide(unsubscribe("a")), publish("a", "4")))
		assert.Equal(t, []string{
			"begin 3", "published a: 2", "message 1 a=2 for a", "message 1 a=2 for a WHERE even",
			"unsubscribed a: 0", "published a: 0", "commit",
		}, ann.newLines())
	})
	spec(t, "a predicate that came meanwhile sends it back, and patience has its end", func(t *testing.T, c *core) {
		c.client(where(even, subscribe("a")))
		bob, cid := c.client(), c.client()
		c.do(bob, exec(publish("b", "2"), publish("a", "2")))
		c.client(where(even, subscribe("b")))
		c.again(bob)
		require.Equal(t, 1, c.urgent)
		c.do(cid, where(onA, subscribe("a")))
		assert.Empty(t, cid.newLines())
		c.again(bob)
		assert.Equal(t, []string{"begin 2", "published b: 1", "published a: 1", "commit"}, bob.newLines())
		assert.Len(t, cid.newLines(), 1)
	})
	spec(t, "who is over during it is evicted behind it", func(t *testing.T, c *core) {
		ann, bob := c.client(where(even, subscribe("a"))), c.client()
		ann.limit = 1
		c.say(bob, exec(publish("a", "2"), publish("a", "4")), publish("a", "6"))
		assert.Equal(t, []string{"message 1 a=2 for a WHERE even", "message 2 a=4 for a WHERE even", "evicted"}, ann.newLines())
		assert.Equal(t, []string{"begin 2", "published a: 1", "published a: 1", "commit", "published a: 0"}, bob.newLines())
	})
	spec(t, "with so many questions, and a few, that its connection knows that they are too many", func(t *testing.T, c *core) {
		const predicates = 1024 // on two names
		ann, bob := c.client(), c.client()
		for i := range predicates / 2 {
			c.do(ann, where(digit(string(rune('a'+i))), subscribe("a")), where(digit(string(rune('a'+i))), psubscribe("a*")))
		}
		kept := make([]Request, MaxVerdicts/predicates+1000)
		for i := range kept {
			kept[i] = publish("a", "2")
		}
		c.do(bob, exec(kept...))
		c.back(bob)
		asked, first := 0, kept[0].Asked
		for i := range kept {
			if asked += len(kept[i].Asked); len(kept[i].Asked) > 0 {
				require.Same(t, &first[0], &kept[i].Asked[0], "those to one topic share a list")
			}
		}
		assert.Equal(t, MaxVerdicts+predicates, asked)
	})
	spec(t, "to many topics with few lists: those that follow each other and are asked the same share one", func(t *testing.T, c *core) {
		c.client(where(even, psubscribe("*")), where(odd, subscribe("a", "b")), where(onA, psubscribe("c")))
		bob := c.client()
		kept := []Request{publish("a", "2"), publish("b", "2"), publish("c", "2"), publish("d", "2")}
		c.do(bob, exec(kept...))
		c.back(bob)
		var questions [][]string
		for _, q := range kept {
			questions = append(questions, asked(q))
		}
		assert.Equal(t, [][]string{{"odd", "even"}, {"odd", "even"}, {"even", "on a"}, {"even"}}, questions)
		assert.Same(t, &kept[0].Asked[0], &kept[1].Asked[0])
	})
	spec(t, "an eviction while it is away leaves nothing of it", func(t *testing.T, c *core) {
		ann, bob := c.client(where(even, subscribe("a"))), c.client()
		c.do(bob, exec(publish("c", "1"), publish("a", "2")))
		c.do(bob, evictBy("eve"))
		c.again(bob)
		assert.Equal(t, []string{"evicted by eve"}, bob.newLines())
		assert.Empty(t, ann.newLines())
		assert.Zero(t, View{c.Broker}.Stats().Published)
	})
}

// A connection that gives up puts a Leave in the place of a batch. However much there is to leave, what came behind that batch
// must not take effect without it: clause 3.
func TestNothingTakesEffectBehindALeave(t *testing.T) {
	spec(t, "that is not finished", func(t *testing.T, c *core) {
		ann := c.client(where(even, subscribe("a")), subscribe("b"))
		bob := c.client(subscribe(manyNames(maxDropsPerRequest + 1)...))
		c.do(bob, publish("a", "2"))
		c.do(bob, publish("b", "behind"), subscribe("more"))
		given := c.back(bob)
		given.Requests = []Request{leave()}
		c.resubmit(given)
		assert.True(t, given.Requests[0].Unfinished)
		assert.Empty(t, bob.newLines())
		c.do(bob, publish("b", "still"))
		assert.Empty(t, ann.newLines())
		c.do(bob, leave())
		assert.Equal(t, []string{"left"}, bob.newLines())
		assert.Zero(t, bob.sub.NumSubscriptions())
	})
}
