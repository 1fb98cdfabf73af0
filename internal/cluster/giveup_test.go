package cluster_test

import (
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/cluster"
)

// fateWithin waits for the fate of a proposal, and returns after how long it was known.
func (c *nodes) fateWithin(n *node, token string) (took time.Duration, err error) {
	c.t.Helper()
	begun := time.Now()
	c.eventually("the fate of "+token, func() bool {
		_, known := n.machine.fate(token)
		return known
	})
	err, _ = n.machine.fate(token)
	return time.Since(begun), err
}

// A leader that takes connections and does not answer keeps no proposal longer than one that is gone.
func TestASilentLeaderKeepsNoProposalLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, leader, followers := startApplied(t)
		other := followers[0]
		c.exchange.hangUp([]string{other.name}, []string{leader.name})
		c.exchange.silence([]string{other.name}, []string{leader.name}) // it hears the leader, and so elects none
		require.NoError(t, other.Propose([]byte("2"), 0, "2"))
		took, err := c.fateWithin(other, "2")
		assert.Error(t, err)
		assert.Less(t, took, 3*time.Second, "2 s, and an attempt to dial of 500 ms")
		c.exchange.heal()
		c.applied(other, "3")
		c.stopAll()
	})
}

// A node that is late in applying still sends: the leader gets a proposal behind one whose time is over.
func TestANodeThatIsLateGoesOnToSend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, leader, followers := startApplied(t)
		late := followers[0]
		gate := make(chan struct{})
		late.machine.mu.Lock()
		late.machine.gate = gate
		late.machine.mu.Unlock()
		c.commit(leader, "the entry that waits")
		require.NoError(t, late.Propose([]byte("2"), 0, "2"))
		c.eventually("the leader has it", func() bool { return slices.Contains(bodies(leader.machine.list()), "2") })
		pause(3 * time.Second) // its time is 2 s
		require.NoError(t, late.Propose([]byte("3"), 0, "3"))
		pause(time.Second)
		assert.Contains(t, bodies(leader.machine.list()), "3")
		close(gate)
		for _, token := range []string{"2", "3"} {
			_, err := c.fateWithin(late, token)
			assert.NoError(t, err)
		}
		c.stopAll()
	})
}

// A node that cannot begin another incarnation takes no proposal any more, and those that wait end with an error.
func TestWithoutAnotherIncarnationNothingWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, followers := startApplied(t)
		n := followers[0]
		c.exchange.part([]string{n.name}, c.othersOf(n))
		require.NoError(t, n.Propose([]byte("2"), 0, "2"))
		n.disks[1].PowerOff()
		_, err := c.fateWithin(n, "2")
		assert.Error(t, err)
		assert.ErrorContains(t, <-n.Failed(), "incarnation")
		assert.ErrorIs(t, n.Propose([]byte("3"), 0, "3"), cluster.ErrClosed)
		_ = n.Close() // its disk is gone
		n.up = false
		c.stopAll()
	})
}

// A leader that has ended because of its state or its disk refuses transfers, and can be closed.
func TestNoTransferWaitsForARaftThatHasEnded(t *testing.T) {
	for name, end := range map[string]func(*nodes, *node, *node){
		"the state differs": func(c *nodes, leader, _ *node) {
			leader.machine.mu.Lock()
			leader.machine.tampered = true
			leader.machine.mu.Unlock()
			c.commit(leader, "2")
			c.eventually("it stops", func() bool { return leader.Status().Role == "closed" })
		},
		"the term cannot be saved": func(c *nodes, leader, follower *node) {
			leader.disks[1].PowerOff()
			_ = leader.Transfer(follower.name)
			require.ErrorContains(c.t, <-leader.Failed(), "the term of the cluster")
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, leader, followers := startApplied(t)
				end(c, leader, followers[0])
				var done atomic.Int32
				for range 10 {
					go func() {
						assert.Error(t, leader.Transfer(""))
						done.Add(1)
					}()
				}
				c.eventually("all transfers end", func() bool { return done.Load() == 10 })
				_ = leader.Close()
				leader.up = false
				c.stopAll()
			})
		})
	}
}

func (c *nodes) othersOf(n *node) (names []string) {
	for _, o := range c.all {
		if o != n {
			names = append(names, o.name)
		}
	}
	return names
}

// A node that cannot save raft's term ends, and the process does not: the error is that of the node.
func TestATermThatCannotBeSaved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, leader, followers := startApplied(t)
		n := followers[0]
		n.disks[1].PowerOff()
		c.stop(leader) // another is elected
		require.ErrorContains(t, <-n.Failed(), "the term of the cluster")
		require.NoError(t, n.Close())
		n.up = false
		n.disks[1].Restart(rand.New(allLost{}))
		c.start(leader)
		c.start(n)
		c.applied(c.leader(), "2")
		c.stopAll()
	})
}
