package cluster

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/log"
)

// No token gets lost: proposals that came with the state of another node are passed when the next one is applied.
func TestProposalsThatAStateHasArePassed(t *testing.T) {
	p := proposals{incarnation: 1}
	for count := range uint64(4) {
		p.waiting = append(p.waiting, &proposal{count: count + 1, token: count + 1})
	}
	parts := make([]Part, 1)
	passed := p.take(&proposed{incarnation: 1, first: 3, bodies: make([][]byte, 1)}, parts)
	assert.Equal(t, uint64(3), parts[0].Token)
	if assert.Len(t, passed, 2) {
		assert.Equal(t, uint64(1), passed[0].token)
		assert.True(t, passed[0].tried, "it may have taken effect")
	}
	passed = p.take(&proposed{incarnation: 1, first: 4, bodies: make([][]byte, 1)}, parts)
	assert.Equal(t, uint64(4), parts[0].Token)
	assert.Empty(t, passed)
	assert.Empty(t, p.waiting)
}

// A node whose directory was lost begins another incarnation than before, even if its state has neither. Entries of the one do not answer
// proposals of the other.
func TestTheIncarnationsOfTwoDirectoriesDiffer(t *testing.T) {
	next := func() uint64 {
		v, err := openVotes(files{log.NewMemory(0)})
		require.NoError(t, err)
		first, err := v.nextIncarnation(5)
		require.NoError(t, err)
		second, err := v.nextIncarnation(5)
		require.NoError(t, err)
		assert.Greater(t, first, uint64(5))
		assert.Greater(t, second, first)
		return first
	}
	one, other := next(), next()
	assert.NotEqual(t, one, other)
}
