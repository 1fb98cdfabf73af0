package client

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/conchmq/conch/internal/testseed"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The queue is compared with a slice.
func TestQueue(t *testing.T) {
	seed := testseed.New()
	random := rand.New(rand.NewPCG(seed, 0))
	var (
		q        queue
		expected []*pendingCall
		calls    = make([]*pendingCall, 8)
	)
	for i := range calls {
		calls[i] = &pendingCall{}
	}
	for range 10_000 {
		c := calls[random.IntN(len(calls))]
		i := slices.Index(expected, c)
		switch {
		case random.IntN(4) == 0 && len(expected) > 0:
			require.Same(t, expected[0], q.pop(), "seed %d", seed)
			expected = expected[1:]
		case i < 0 && random.IntN(2) == 0:
			q.push(c)
			expected = append(expected, c)
		default:
			require.Equal(t, i >= 0, q.remove(c), "seed %d", seed)
			if i >= 0 {
				expected = slices.Delete(expected, i, i+1)
			}
		}
		require.Equal(t, len(expected) == 0, q.empty(), "seed %d", seed)
		require.Equal(t, len(expected) == 0, q.last == nil, "seed %d", seed)
	}
	for _, c := range expected {
		assert.Same(t, c, q.pop(), "seed %d", seed)
	}
	assert.True(t, q.empty())
}
