package cluster_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// All nodes apply an entry as soon as it is committed: not with the next one, and not with a mark, which comes later.
func TestFollowersApplyAtOnceWhatIsCommitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := startThree(t)
		c.applied(c.leader(), "1")
		for i, n := range []*node{c.leader(), c.followers()[0]} {
			pause(time.Second) // marks of what came before
			require.NoError(t, n.Propose([]byte{'2' + byte(i)}, 0, nil))
			pause(10 * time.Millisecond)
			for _, n := range c.all {
				require.Len(t, n.machine.list(), 2+i, n.name)
			}
		}
		c.stopAll()
	})
}
