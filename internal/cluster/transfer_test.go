package cluster_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/cluster"
)

// A node that lacks the state is in no majority: what it would confirm, the loss of the one other node would take away. As soon as it has the state,
// the two go on.
func TestANodeWithoutTheStateIsInNoMajority(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newNodes(t, three...)
		c.logBytes = 2 << 10
		c.options = func(_ *node, o *cluster.Options) { o.Trailing(16) }
		for _, n := range c.all {
			c.start(n, three...)
		}
		leader := c.leader()
		i := slices.Index(c.all, leader)
		behind, other := c.all[(i+1)%3], c.all[(i+2)%3]
		c.stop(behind)
		for i := range 100 {
			require.NoError(t, leader.Propose([]byte("x"), 0, fmt.Sprint(i)))
			pause(50 * time.Millisecond)
		}
		behind.machine.refuse(true)
		c.start(behind)
		c.eventually("the state is sent", func() bool { return behind.machine.gotStates() > 0 })
		c.stop(other)
		require.NoError(t, leader.Propose([]byte("alone"), 0, "alone"))
		_, err := c.fateWithin(leader, "alone")
		assert.ErrorIs(t, err, cluster.ErrUnknown, "one node has it")
		behind.machine.refuse(false)
		c.eventually("they go on", func() bool { return slices.Contains(bodies(behind.machine.list()), "alone") })
		c.start(other)
		c.equal()
		c.stopAll()
	})
}

// A node gets the state that it waits for from any member. Otherwise it could not vote once the leader has gone: its entries wait to be applied,
// and raft waits for them.
func TestTheStateComesFromAnyMember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, leader, followers := startApplied(t)
		unfit, other := followers[0], followers[1]
		unfit.machine.refuse(true)
		unfit.machine.mu.Lock()
		unfit.machine.unfit = true
		unfit.machine.mu.Unlock()
		for i := range 200 { // more than raft's queue has room for
			c.commit(leader, fmt.Sprint("while it waits ", i))
		}
		c.stop(leader)
		unfit.machine.refuse(false)
		c.eventually("another leads", func() bool { return other.Status().Role == "leader" || unfit.Status().Role == "leader" })
		c.commit(other, "later")
		c.eventually("it is applied", func() bool { return slices.Contains(bodies(unfit.machine.list()), "later") })
		assert.Equal(t, other.machine.list(), unfit.machine.list())
		c.stopAll()
	})
}

// A node takes no older state than it has: what it lacked then, perhaps no other node has.
func TestNoOlderStateIsTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, leader, followers := startApplied(t)
		unfit, behind := followers[0], followers[1]
		c.equal()
		c.exchange.part([]string{behind.name}, []string{leader.name})
		c.commit(leader, "2")
		c.eventually("it has it", func() bool { return len(unfit.machine.list()) == 2 })
		unfit.machine.mu.Lock()
		unfit.machine.unfit = true
		unfit.machine.mu.Unlock()
		leader.machine.keep(true)
		c.commit(leader, "3")
		c.eventually("it has tried", func() bool { return unfit.reported("the state of " + behind.name) })
		assert.Equal(t, []string{"1", "2"}, bodies(unfit.machine.list()))
		leader.machine.keep(false)
		c.exchange.heal()
		c.commit(leader, "4")
		assert.Equal(t, []string{"1", "2", "3", "4"}, bodies(c.equal()))
		c.stopAll()
	})
}

// What a node has stored and not committed makes its log long, so it takes a snapshot when nothing is applied but the number of the cluster. A node that
// comes later has the number too.
func TestANodeThatComesLaterKnowsTheCluster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newNodes(t, three...)
		c.logBytes = 2 << 10
		c.options = func(_ *node, o *cluster.Options) { o.Trailing(1) }
		for _, n := range c.all[:2] {
			c.start(n, three...)
		}
		leader := c.leader()
		c.eventually("they have a number", func() bool { return c.all[0].Status().Cluster != "" && c.all[1].Status().Cluster != "" })
		c.exchange.part([]string{leader.name}, c.othersOf(leader))
		for i := range 100 {
			require.NoError(t, leader.Propose([]byte("x"), 0, fmt.Sprint(i)))
		}
		pause(3 * time.Second)
		c.exchange.heal()
		later := c.all[2]
		c.start(later, three...)
		c.eventually("the last one has it", func() bool { return later.Status().Cluster == leader.Status().Cluster })
		c.stopAll()
	})
}

// A new node, which knows no member but the leader, gets the state if the log has lost its head.
func TestANewNodeGetsTheState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newNodes(t, "a", "b")
		a, b := c.all[0], c.all[1]
		c.logBytes = 2 << 10
		c.options = func(_ *node, o *cluster.Options) { o.Trailing(16) }
		c.start(a, "a")
		c.leader()
		for i := range 100 {
			c.commit(a, fmt.Sprint(i))
			pause(50 * time.Millisecond)
		}
		c.start(b)
		require.NoError(t, a.Add(cluster.Member{Name: "b", Address: "b"}))
		c.eventually("it has all", func() bool { return slices.Equal(a.machine.list(), b.machine.list()) })
		assert.Positive(t, b.machine.gotStates())
		c.stopAll()
	})
}

// A node that is about to stop hands the leadership over to one that is not, and does nothing if there is none.
func TestALeaderRetires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, leader, followers := startApplied(t)
		require.NoError(t, followers[0].Retire())
		require.NoError(t, leader.Retire())
		c.eventually("the one that stays leads", func() bool { return followers[1].Status().Role == "leader" })
		require.ErrorIs(t, followers[1].Retire(), cluster.ErrNoOther)
		assert.Equal(t, "leader", followers[1].Status().Role, "no attempt is made")
		c.stopAll()
	})
}

// Others that have ended just now are no reason for an error.
func TestTheLastLeaderRetires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, leader, followers := startApplied(t)
		c.stop(followers[0])
		c.stop(followers[1])
		require.Equal(t, "leader", leader.Status().Role)
		require.ErrorIs(t, leader.Retire(), cluster.ErrNoOther)
		c.stopAll()
	})
}
