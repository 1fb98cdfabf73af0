package cluster_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// backWithin is how soon a node that was away has all, by the clock of the bubble.
func (c *nodes) backWithin(away, leader *node) time.Duration {
	c.t.Helper()
	begun := time.Now()
	c.start(away)
	c.eventually("it has all", func() bool { return slices.Equal(away.machine.list(), leader.machine.list()) })
	return time.Since(begun)
}

// commit proposes an entry, and waits until it is applied there.
func (c *nodes) commit(n *node, token string) {
	c.t.Helper()
	require.NoError(c.t, n.Propose([]byte(token), 0, token))
	_, err := c.fateWithin(n, token)
	require.NoError(c.t, err)
}

// A node gets what it lacks as soon as it is back, however long it was away.
func TestANodeThatIsBackCatchesUpAtOnce(t *testing.T) {
	for _, form := range []string{"entries", "a state"} {
		t.Run(form, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newNodes(t, three...)
				c.logBytes = 1 << 20
				for _, n := range c.all {
					c.start(n, three...)
				}
				leader := c.leader()
				c.applied(leader, "0")
				away := c.all[(slices.Index(c.all, leader)+1)%3]
				c.stop(away)
				if form != "entries" {
					for i := range 3000 {
						token := fmt.Sprintf("%01000d", i)
						c.eventually("room", func() bool { return leader.ProposeAlone([]byte(token), 0, token) == nil })
					}
				}
				pause(5 * time.Minute)
				c.commit(leader, "1")
				assert.Less(t, c.backWithin(away, leader), 1500*time.Millisecond)
				assert.Equal(t, form != "entries", away.machine.received > 0, "it has received a state")
				c.stopAll()
			})
		})
	}
}

// Entries and heartbeats to a node that is away end with the leadership, and with the membership.
func TestANodeThatIsAwayIsDialedByTheLeaderAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, leader, followers := startApplied(t)
		away, other := followers[0], followers[1]
		c.stop(away)
		pause(time.Minute)
		require.NoError(t, leader.Transfer(other.name))
		c.eventually("the other leads", func() bool { return other.Status().Role == "leader" })
		c.commit(other, "2")
		require.NoError(t, other.Remove(away.name))
		pause(5 * time.Second)
		before := c.exchange.dials(away.name)
		assert.Positive(t, before)
		pause(time.Minute)
		assert.Equal(t, before, c.exchange.dials(away.name))
		c.stopAll()
	})
}
