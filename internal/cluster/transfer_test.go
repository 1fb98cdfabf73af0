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
