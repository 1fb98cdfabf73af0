package connect

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAQueueKeepsItsOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 5_000
		q, over := NewQueue(10_000), errors.New("over")
		go func() {
			for i := range n {
				assert.NoError(t, q.Put(t.Context(), Message{Payload: fmt.Append(nil, i)}))
			}
			q.End(over)
		}()
		got := 0
		for {
			taken, err := q.Take(t.Context())
			if err != nil {
				require.ErrorIs(t, err, over)
				break
			}
			require.LessOrEqual(t, len(taken), maxTaken)
			for _, m := range taken {
				require.Equal(t, fmt.Sprint(got), string(m.Payload))
				got++
			}
		}
		assert.Equal(t, n, got)
	})
}

func TestAFullQueueHoldsItsReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, put := NewQueue(1_000), 0
		go func() {
			for q.Put(t.Context(), Message{Payload: make([]byte, 272)}) == nil { // 400 bytes each
				put++
			}
		}()
		synctest.Wait()
		assert.Equal(t, 2, put)
		taken, err := q.Take(t.Context())
		require.NoError(t, err)
		assert.Len(t, taken, 2)
		synctest.Wait()
		assert.Equal(t, 4, put)
	})
}

func TestAMessageAboveTheBoundWaitsAlone(t *testing.T) {
	q := NewQueue(100)
	require.NoError(t, q.Put(t.Context(), Message{Payload: make([]byte, 4<<20)}))
	ended, end := context.WithCancel(t.Context())
	end()
	require.ErrorIs(t, q.Put(ended, Message{}), context.Canceled)
	taken, err := q.Take(t.Context())
	require.NoError(t, err)
	assert.Len(t, taken, 1)
}

func TestATakeThatItsContextEndsLosesNothing(t *testing.T) {
	q := NewQueue(1_000)
	ended, end := context.WithCancel(t.Context())
	end()
	_, err := q.Take(ended)
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, q.Put(t.Context(), Message{ID: "1"}))
	taken, err := q.Take(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []Message{{ID: "1"}}, taken)
}
