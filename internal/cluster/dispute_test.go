package cluster_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/cluster"
)

// tamper makes a machine's state another one from its next entry on.
func (m *machine) tamper() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tampered = true
}

func (c *nodes) differs(n *node) {
	c.t.Helper()
	c.eventually("it is noticed", n.machine.isDifferent)
}

// A leader whose state is not that of the majority stops, and another one leads. The others go on.
func TestALeaderOfAnotherStateStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, leader, others := startApplied(t)
		leader.machine.tamper()
		require.NoError(t, leader.Propose([]byte("2"), 0, "2"))
		c.differs(leader)
		c.eventually("it leads no more", func() bool { return leader.Status().Role == "closed" })
		c.applied(others[0], "3")
		c.applied(others[1], "4")
		assert.False(t, others[0].machine.isDifferent())
		assert.False(t, others[1].machine.isDifferent())
		assert.Equal(t, []string{"1", "2", "3", "4"}, bodies(others[0].machine.list()))
		assert.NotContains(t, bodies(leader.machine.list()), "3")
		c.stopAll()
	})
}

// The leader's word counts where no majority has the same.
func TestOfTwoThatDifferTheFollowerStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, leader, others := startApplied(t)
		c.stop(others[1])
		others[0].machine.tamper()
		require.NoError(t, leader.Propose([]byte("2"), 0, "2"))
		c.differs(others[0])
		assert.False(t, leader.machine.isDifferent())
		c.start(others[1])
		c.applied(leader, "3")
		c.stopAll()
	})
}

// A node without a vote has no say.
func TestANodeWithoutAVoteIsNotCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newNodes(t, "a", "b", "c")
		a := c.all[0]
		c.start(a, "a")
		c.leader()
		for _, n := range c.all[1:] {
			c.start(n)
			require.NoError(t, a.Add(cluster.Member{Name: n.name, Address: n.name}))
		}
		c.applied(a, "1")
		c.equal()
		for _, n := range c.all[1:] {
			n.machine.tamper()
		}
		c.applied(a, "2")
		c.differs(c.all[1])
		c.differs(c.all[2])
		assert.False(t, a.machine.isDifferent())
		c.applied(a, "3")
		c.stopAll()
	})
}

// What a dispute needs gets lost on the way, and comes again: also through another leader.
func TestADisputeOutlastsItsLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newNodes(t, "a", "b", "c", "d", "e")
		for _, n := range c.all {
			c.start(n, "a", "b", "c", "d", "e")
		}
		leader := c.leader()
		other := c.followers()[0]
		c.applied(other, "1")
		c.equal()
		other.machine.tamper()
		require.NoError(t, leader.Propose([]byte("2"), 0, "2"))
		pause(52 * time.Millisecond) // the mark is on its way
		c.exchange.part([]string{leader.name}, c.othersOf(leader))
		c.eventually("another leader", func() bool {
			for _, n := range c.all {
				if n != leader && n.Leads() {
					return true
				}
			}
			return false
		})
		c.exchange.heal()
		c.eventually("it goes on", func() bool { return c.followers()[3].Propose([]byte("3"), 0, "3") == nil })
		c.differs(other)
		for _, n := range c.all {
			assert.Equal(t, n == other, n.machine.isDifferent(), n.name)
		}
		c.stopAll()
	})
}
