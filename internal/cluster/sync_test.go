package cluster_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/cluster"
)

// allLost makes a disk lose all that was not synced.
type allLost struct{}

func (allLost) Uint64() uint64 { return 1 }

// What was answered survives a loss of power of all nodes, because a majority has synced it. Without syncs it is gone.
func TestWhatWasAnsweredIsSynced(t *testing.T) {
	for _, syncs := range []bool{true, false} {
		t.Run(fmt.Sprint(syncs), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, _, _ := startApplied(t)
				for _, n := range c.all {
					c.stop(n)
				}
				c.options = func(_ *node, o *cluster.Options) {
					if !syncs {
						o.Without("sync")
					}
				}
				for _, n := range c.all {
					c.start(n)
				}
				c.applied(c.leader(), "2")
				for _, n := range c.all {
					n.disks[0].PowerOff()
					n.disks[1].PowerOff()
				}
				for _, n := range c.all {
					_ = n.Close() // nothing can be written any more
					n.disks[0].Restart(rand.New(allLost{}))
					n.disks[1].Restart(rand.New(allLost{}))
					n.machine = newMachine() // the log has all
				}
				for _, n := range c.all {
					c.start(n)
				}
				c.applied(c.leader(), "3")
				want := []string{"1", "2", "3"}
				if !syncs {
					want = []string{"1", "3"}
				}
				assert.Equal(t, want, bodies(c.equal()))
				c.stopAll()
			})
		})
	}
}

// What is committed in time is applied, however long the machine takes for what is before it.
func TestASlowMachineMakesNoProposalLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, followers := startApplied(t)
		n := followers[0]
		gate := make(chan struct{})
		n.machine.mu.Lock()
		n.machine.gate = gate
		n.machine.mu.Unlock()
		for _, token := range []string{"2", "3"} {
			require.NoError(t, n.Propose([]byte(token), 0, token))
		}
		c.eventually("the others have them", func() bool { return len(c.leader().machine.list()) == 3 })
		pause(6 * time.Second)
		_, known := n.machine.fate("3")
		assert.False(t, known, "it is committed, so it is not given up")
		n.machine.mu.Lock()
		n.machine.gate = nil
		n.machine.mu.Unlock()
		close(gate)
		for _, token := range []string{"2", "3"} {
			_, err := c.fateWithin(n, token)
			assert.NoError(t, err, token)
		}
		c.applied(n, "4")
		c.stopAll()
	})
}
