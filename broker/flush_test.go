package broker

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// waiting runs a sentence against a core that is not started before run is called: what was submitted until then is
// all there when the first round begins.
func waiting(t *testing.T, sentence string, f func(t *testing.T, b *Broker, run func())) {
	t.Helper()
	t.Run(sentence, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			b := New(Options{Inbox: 4 * maxBatchesPerFlush})
			f(t, b, func() {
				go b.Run(ctx)
				synctest.Wait()
			})
		})
	})
}

func TestEveryBatchIsHandedBackOnceAndEveryRoundFlushedOnce(t *testing.T) {
	waiting(t, "each batch is handed back at its end, and the flush comes after all of them",
		func(t *testing.T, b *Broker, run func()) {
			ann := newClient()
			ann.writesApplied, ann.writesFlush = true, true
			require.True(t, b.Submit(ann.batch(subscribe("a"), publish("a", "1"))))
			require.True(t, b.Submit(ann.batch()))
			require.True(t, b.Submit(ann.batch(publish("a", "2"))))
			run()
			assert.Equal(t, []string{
				"subscribed a: 1", "published a: 1", "message 1 a=1 for a", "applied",
				"applied",
				"published a: 1", "message 2 a=2 for a", "applied",
				"flushed",
			}, ann.newLines())
		})
	waiting(t, "a subscriber is flushed once for a round of many messages", func(t *testing.T, b *Broker, run func()) {
		ann, bob, cid := newClient(), newClient(), newClient()
		require.True(t, b.Submit(ann.batch(subscribe("a"))))
		for range maxBatchesPerFlush - 1 {
			require.True(t, b.Submit(bob.batch(publish("a", "1"))))
		}
		run()
		assert.Equal(t, []int{1, 1, 0}, []int{ann.flushes, bob.flushes, cid.flushes})
		assert.Equal(t, maxBatchesPerFlush-1, ann.messages)
	})
	waiting(t, "a round is bounded, so that its first batch does not wait for long",
		func(t *testing.T, b *Broker, run func()) {
			ann := newClient()
			for range 3*maxBatchesPerFlush + 1 {
				require.True(t, b.Submit(ann.batch(answer())))
			}
			run()
			assert.Len(t, ann.applied, 3*maxBatchesPerFlush+1)
			assert.Equal(t, 4, ann.flushes)
		})
	waiting(t, "batches come back as they were, in order, also after the end", func(t *testing.T, b *Broker, run func()) {
		ann := newClient()
		var sent []*Batch
		for i, q := range []Request{answer(), subscribe("a"), leave(), answer(), evictBy("eve")} {
			sent = append(sent, &Batch{From: ann.sub, Requests: []Request{q}, Tag: i})
			require.True(t, b.Submit(sent[i]))
		}
		run()
		require.Len(t, ann.applied, len(sent))
		for i := range sent {
			assert.Same(t, sent[i], ann.applied[i])
			assert.Equal(t, i, ann.applied[i].Tag)
		}
	})
}

func TestFlush(t *testing.T) {
	spec(t, "only those who were spoken to are flushed", func(t *testing.T, c *core) {
		ann, bob, cid := c.client(subscribe("a")), c.client(subscribe("b")), c.client()
		before := []int{ann.flushes, bob.flushes}
		c.do(cid, publish("a", "1"))
		assert.Equal(t, before[0]+1, ann.flushes)
		assert.Equal(t, before[1], bob.flushes)
		assert.Equal(t, 1, cid.flushes)
	})
	spec(t, "whoever is evicted in a round is flushed at its end: Ended may be answered with a farewell",
		func(t *testing.T, c *core) {
			ann := c.client(subscribe("a"))
			ann.limit, ann.writesFlush = 1, true
			c.do(c.client(), publish("a", "1"))
			assert.Equal(t, []string{"message 1 a=1 for a", "evicted", "flushed"}, ann.newLines())
		})
}

func TestSubmit(t *testing.T) {
	waiting(t, "an inbox as long as asked for, or a default", func(t *testing.T, b *Broker, _ func()) {
		assert.Equal(t, 4*maxBatchesPerFlush, cap(b.inbox))
		assert.Equal(t, 128, cap(New(Options{}).inbox))
		assert.Equal(t, 128, cap(New(Options{Inbox: -1}).inbox))
	})
	waiting(t, "what waits in the inbox is counted", func(t *testing.T, b *Broker, _ func()) {
		require.True(t, b.Submit(newClient().batch()))
		assert.Equal(t, Stats{InboxLen: 1}, View{b}.Stats())
	})
	t.Run("a submitter that waits on a full inbox is let go with false when the core ends", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b, ann := New(Options{Inbox: 1}), newClient()
			require.True(t, b.Submit(ann.batch()))
			result := make(chan bool)
			go func() { result <- b.Submit(ann.batch()) }()
			synctest.Wait() // it waits now
			close(b.done)   // as Run does; Run itself might still have taken the first batch
			assert.False(t, <-result)
		})
	})
	t.Run("once the core has ended, submitting is false at once", func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		stop()
		b, ann := New(Options{}), newClient()
		b.Run(ctx)
		<-b.Stopped()
		for range 100 {
			require.False(t, b.Submit(ann.batch()))
		}
		assert.Empty(t, ann.applied)
	})
	// The one test that runs on real time: the core takes batches of many submitters at once, each one's in its order.
	t.Run("batches of one submitter are applied in the order submitted, however many submit", testManySubmitters)
}

func testManySubmitters(t *testing.T) {
	const submitters, batches = 8, 200
	ctx, stop := context.WithCancel(t.Context())
	b := New(Options{Inbox: 2})
	go b.Run(ctx)
	defer func() { stop(); <-b.done }()
	clients, sent := make([]*client, submitters), make([][]*Batch, submitters)
	quiet := make(chan int, submitters)
	for i := range clients {
		clients[i] = newClient()
		for range batches {
			sent[i] = append(sent[i], clients[i].batch(subscribe("a"), publish("b", ""), unsubscribe("a")))
		}
		go func() {
			for _, batch := range sent[i] {
				b.Submit(batch)
			}
			quiet <- i
		}()
	}
	for range clients {
		<-quiet
	}
	fence(b)
	for i, c := range clients {
		require.Len(t, c.applied, batches)
		assert.Equal(t, sent[i], c.applied)
		assert.Len(t, c.lines, 3*batches)
	}
}

// fence returns when all that was submitted before it is applied and flushed: its own subscriber is the last to be
// spoken to in its round, so the last to be flushed.
func fence(b *Broker) {
	passed := make(chan struct{})
	f := newClient()
	f.onFlush = func() { close(passed) }
	b.Submit(f.batch(answer()))
	<-passed
}
