package cluster

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/log"
)

// A snapshot that comes again does not make a node get the state again.
func TestASnapshotThatIsThereAlready(t *testing.T) {
	a := newApplier(&Node{}, State{Index: 10})
	require.NoError(t, a.has(10))
	assert.False(t, a.isLacking())
}

// The log is kept while a state is sent, and as long as the node may take to start with it.
func TestTheLogIsHeldForANodeThatGetsAState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s sending
		assert.False(t, s.holds())
		s.add(1)
		<-time.After(time.Hour)
		assert.True(t, s.holds())
		s.add(-1)
		<-time.After(heldAfter - time.Second)
		assert.True(t, s.holds())
		<-time.After(time.Second)
		assert.False(t, s.holds())
	})
}

// A state has the number of the cluster before the log loses the entry with it: the node that gets both would draw another number, and all others
// would refuse it.
func TestNoSnapshotIsWithoutTheNumberOfTheCluster(t *testing.T) {
	votes, err := openVotes(files{log.NewMemory(0)})
	require.NoError(t, err)
	n := &Node{votes: votes, options: Options{Machine: noMachine{}}}
	a := newApplier(n, State{Index: 2})
	require.NoError(t, a.applyKind(&raft.Log{Index: 3, Data: encodeCluster(7)}))
	_, err = a.Snapshot()
	require.ErrorIs(t, err, raft.ErrNothingNewToSnapshot)
	require.NoError(t, a.finish(&raft.Log{Index: 4}, Entry{}))
	_, err = a.Snapshot()
	require.NoError(t, err)
}

// noMachine applies entries to nothing.
type noMachine struct{ Machine }

func (noMachine) Apply(Entry, *State) error { return nil }
