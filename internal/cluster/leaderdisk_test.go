package cluster_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func aSecond() time.Duration { return time.Second }

// The others may have an entry before the leader's disk does. Until that has it too, no node applies it: a crash of the leader and another
// one could lose it.
func TestNothingIsAppliedBeforeTheLeadersDiskHasIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, leader, _ := startApplied(t)
		pause(time.Second) // what follows an entry is on the disk
		leader.disks[0].Slow(aSecond)
		begun := time.Now()
		require.NoError(t, leader.Propose([]byte("2"), 0, "2"))
		for time.Since(begun) < 990*time.Millisecond {
			for _, n := range c.all {
				require.Len(t, n.machine.list(), 1, "%s after %v", n.name, time.Since(begun))
			}
			pause(10 * time.Millisecond)
		}
		leader.disks[0].Slow(nil)
		c.eventually("2 is applied", func() bool { return len(c.equal()) == 2 })
		c.stopAll()
	})
}

// The leader's disk and those of the others work at the same time.
func TestTheDisksOfAllNodesWorkBesideEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, leader, _ := startApplied(t)
		pause(time.Second)
		for _, n := range c.all {
			n.disks[0].Slow(aSecond)
		}
		require.NoError(t, leader.Propose([]byte("2"), 0, "2"))
		took, err := c.fateWithin(leader, "2")
		require.NoError(t, err)
		assert.Less(t, took, 1500*time.Millisecond)
		for _, n := range c.all {
			n.disks[0].Slow(nil)
		}
		c.eventually("2 is applied", func() bool { return len(c.equal()) == 2 })
		c.stopAll()
	})
}
