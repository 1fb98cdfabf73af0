//go:build !race

package cluster_test

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/cluster"
)

// A member is moved to an address at which it runs. Not under the race detector: raft v1.8.0 logs a member without its lock when a pipeline to it
// fails, in pipelineSend, while startStopReplication gives it the new address.
func TestAMemberIsMoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, leader, followers := startApplied(t)
		moved := followers[0]
		move := func(address string) error { return leader.Add(cluster.Member{Name: moved.name, Address: address}) }
		c.stop(moved)
		c.move(moved, "elsewhere")
		c.exchange.alias("nickname", "elsewhere")
		require.EqualError(t, move("nickname"), fmt.Sprintf("not added: %s at nickname expects to be dialed at elsewhere: give that address, or start it with --cluster-listen nickname", moved.name))
		assert.Contains(t, leader.Members(), cluster.Member{Name: moved.name, Address: moved.name, Voter: true})
		require.NoError(t, move("elsewhere"))
		assert.Contains(t, leader.Members(), cluster.Member{Name: moved.name, Address: "elsewhere", Voter: true})
		c.applied(moved, "2")
		require.NoError(t, move("elsewhere"), "nothing changes")
		c.stopAll()
	})
}
