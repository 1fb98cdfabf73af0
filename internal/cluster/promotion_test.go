package cluster_test

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/cluster"
	"github.com/conchmq/conch/internal/testseed"
)

// A node that does not answer, lags, or serves no clients yet gets no vote. The error has how far it is behind.
func TestANodeIsPromotedOnceItHasCaughtUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, serves := newNodes(t, "a", "b"), new(atomic.Bool)
		c.options = func(n *node, o *cluster.Options) { o.Serves = func() bool { return n.name == "a" || serves.Load() } }
		a, b := c.all[0], c.all[1]
		expectRefused := func(why string) {
			t.Helper()
			assert.EqualError(t, a.Promote("b"), `b gets no vote`+why+`; try again once it is ok in NODE LIST`)
			assert.Contains(t, a.Members(), cluster.Member{Name: "b", Address: "b"})
		}
		c.start(a, "a")
		c.leader()
		c.commit(a, "1")
		require.NoError(t, a.Add(cluster.Member{Name: "b", Address: "b"}))
		expectRefused(`: no node answers at b: dial memory: unreachable`)

		gate := make(chan struct{})
		b.machine.gate = gate
		c.start(b)
		c.commit(a, "2")
		expectRefused(fmt.Sprintf(` yet: it lacks 2 entries of %d bytes, and serves no clients yet`, 2*len(proposal(a, "1"))))
		close(gate)
		c.equal()
		expectRefused(` yet: it serves no clients yet`)
		serves.Store(true)

		b.disks[0].Slow(func() time.Duration { return 10 * time.Second })
		require.NoError(t, a.Add(cluster.Member{Name: "c", Address: "c"})) // an entry of the log alone
		expectRefused(` yet: it lacks the last 1 entries of the log`)
		b.disks[0].Slow(nil)
		c.eventually("it is promoted", func() bool { return a.Promote("b") == nil })
		assert.Contains(t, a.Members(), cluster.Member{Name: "b", Address: "b", Voter: true})
		serves.Store(false)
		require.NoError(t, a.Promote("b"), "it has a vote already")
		c.stopAll()
	})
}

// The loss of the leader right behind a promotion leaves two voters that elect one of them, however long the promoted node took to catch up. With the
// state alone it knows no other voter, and refuses its vote.
func TestTheVotersBehindAPromotionElectALeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newFounders(t)
		c.begin()
		b, slow := c.all[1], c.all[2]
		c.start(b)
		require.NoError(t, c.a.Add(cluster.Member{Name: "b", Address: "b"}))
		c.eventually("b is promoted", func() bool { return c.a.Promote("b") == nil })
		c.commit(c.a, "with two")

		slow.disks[0].Slow(func() time.Duration { return 5 * time.Second })
		c.start(slow)
		require.NoError(t, c.a.Add(cluster.Member{Name: "c", Address: "c"}))
		c.eventually("it has the state, and a snapshot", func() bool { return !slow.lacksBase() && slow.Status().Snapshot > 0 })
		require.ErrorContains(t, c.a.Promote("c"), "c gets no vote yet: it lacks the last ")
		c.eventually("it is promoted", func() bool { return c.a.Promote("c") == nil })
		c.commit(c.a, "with three")
		all := bodies(c.a.machine.list())

		c.stop(c.a) // for good
		c.all = c.all[1:]
		c.crash(slow, rand.New(rand.NewPCG(testseed.New(), 0))) // what it was still writing is lost
		slow.disks[0].Slow(nil)
		c.start(slow)
		c.commit(c.leader(), "without the first")
		assert.Equal(t, append(all, "without the first"), bodies(c.equal()))
		c.stopAll()
	})
}
