package cluster

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
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
