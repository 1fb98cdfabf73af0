package broker

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What one connection holds must not keep the others waiting when it goes: clauses 2 and 3 hold for each name.
func TestVeryManyNamesAreLeftInPieces(t *testing.T) {
	const all = 2*maxDropsPerRequest + 1
	leaving := func(unfinished *Batch) int { // how many subscriptions a request has ended
		require.True(t, unfinished.Requests[0].Unfinished)
		return maxDropsPerRequest
	}
	for _, tt := range []struct {
		sentence string
		request  Request
		last     string // that the subscriber is told at the end
	}{
		{"by leaving", leave(), "left"},
		{"by a reset", Request{Op: Reset}, "answered: 1 topics, 0 patterns, 0 subscribers, 2 published, 1 delivered"},
		{"by an unsubscribe of all", unsubscribe(), "unsubscribed name-2000: 0"},
	} {
		spec(t, tt.sentence, func(t *testing.T, c *core) {
			ann, bob := c.client(subscribe(manyNames(all)...)), c.client()
			c.do(ann, tt.request)
			left := all - leaving(ann.applied[len(ann.applied)-1])
			c.do(bob, publish("name-0000", "gone"), publish("name-2000", "still there"))
			assert.Equal(t, []string{"published name-0000: 0", "published name-2000: 1"}, bob.newLines())
			assert.Equal(t, left, ann.sub.NumSubscriptions())
			for range 2 {
				c.do(ann, tt.request)
			}
			assert.False(t, ann.applied[len(ann.applied)-1].Requests[0].Unfinished)
			assert.Zero(t, ann.sub.NumSubscriptions())
			lines := ann.newLines()
			if tt.request.Op == Reset {
				tt.last = "answered: 0 topics, 0 patterns, 0 subscribers, 2 published, 1 delivered"
			}
			assert.Equal(t, tt.last, lines[len(lines)-1])
			assert.Contains(t, lines, "message 2 name-2000=still there for name-2000")
		})
	}
	spec(t, "by an eviction: nothing more takes effect at once, and the connection leaves the rest", func(t *testing.T, c *core) {
		ann, bob := c.client(subscribe(manyNames(all)...)), c.client()
		c.do(bob, answer())
		c.do(ann, evictBy("eve"))
		assert.Equal(t, all-maxDropsPerRequest, ann.sub.NumSubscriptions())
		c.do(ann, publish("name-0000", "1"), subscribe("more"))
		assert.Equal(t, []string{"evicted by eve"}, ann.newLines())
		for range 2 {
			c.do(ann, leave())
		}
		assert.Zero(t, ann.sub.NumSubscriptions())
		assert.Empty(t, ann.newLines(), "it has ended already")
	})
	spec(t, "many evictions at once share what one instant may do", func(t *testing.T, c *core) {
		var evicted []*client
		for range 5 {
			ann := c.client(subscribe(manyNames(maxDropsPerRequest - 1)...))
			ann.limit = 1
			evicted = append(evicted, ann)
		}
		c.do(c.client(), publish("name-0000", "1"))
		held := 0
		for _, ann := range evicted {
			held += ann.sub.NumSubscriptions()
			assert.Contains(t, ann.newLines(), "evicted")
		}
		assert.Equal(t, 5*(maxDropsPerRequest-1)-maxDropsPerRequest, held)
	})
}

// A round ends when enough has been done, and not when enough batches have come: what waits to be written stays small.
func TestARoundIsBoundedByItsWork(t *testing.T) {
	waiting(t, "deliveries count", func(t *testing.T, b *Broker, run func()) {
		ann, bob := newClient(), newClient()
		ann.writesFlush = true
		require.True(t, b.Submit(ann.batch(subscribe("a"))))
		for range 100 {
			require.True(t, b.Submit(bob.batch(publish("a", "1"))))
		}
		for range 4 {
			var many []Request
			for range maxWorkPerFlush / 2 {
				many = append(many, publish("a", "1"))
			}
			require.True(t, b.Submit(bob.batch(many...)))
		}
		run()
		longest, messages := 0, 0
		for _, line := range ann.newLines() {
			if messages++; line == "flushed" {
				longest, messages = max(longest, messages), 0
			}
		}
		assert.LessOrEqual(t, longest, maxWorkPerFlush)
		assert.Greater(t, longest, 64, "a round of many small batches is one")
	})
	waiting(t, "names count, those that are left too", func(t *testing.T, b *Broker, run func()) {
		ann, bob := newClient(), newClient()
		bob.writesFlush = true
		for range 20 {
			require.True(t, b.Submit(ann.batch(unsubscribe(manyNames(maxDropsPerRequest)...))))
		}
		require.True(t, b.Submit(bob.batch(answer())))
		ann.onFlush = func() { bob.record("ann is flushed after %d", len(ann.lines)) }
		run()
		assert.Equal(t, "ann is flushed after 5000", bob.newLines()[0])
	})
	spec(t, "a transaction flushes in its middle", func(t *testing.T, c *core) {
		ann := c.client(subscribe("a"))
		ann.writesFlush = true
		var kept []Request
		for range 4 * maxWorkPerFlush {
			kept = append(kept, publish("a", "1"))
		}
		c.do(c.client(), Request{Op: Exec, Tag: kept})
		longest, messages := 0, 0
		for _, line := range ann.newLines() {
			if messages++; line == "flushed" {
				longest, messages = max(longest, messages), 0
			}
		}
		assert.LessOrEqual(t, longest, maxWorkPerFlush)
	})
}
