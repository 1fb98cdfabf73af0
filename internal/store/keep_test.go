package store

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/log"
	"github.com/conchmq/conch/internal/stream"
	"github.com/conchmq/conch/internal/testseed"
)

// Of a record with entries of several streams in turn, keep keeps those of one stream that are alive, all of them: the ordinals of the
// others, which may be larger, do not count.
func TestKeepOfARecordOfSeveralStreams(t *testing.T) {
	seed := testseed.New()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 5))
	for range 200 {
		state := stream.New()
		payload := stream.BeginRecord(nil, 1, 1)
		alive := map[uint64][]log.Span{}
		for i := range 1 + r.IntN(60) {
			c := &stream.Change{Time: 1, Sequence: uint64(i + 1)} //nolint:gosec // an index
			_, err := state.PlanAdd(c, fmt.Appendf(nil, "s%d", r.IntN(4)), &stream.AddOptions{Auto: true, Fields: [][]byte{{'n'}, {'1'}}})
			require.NoError(t, err)
			state.Apply(c)
			payload = stream.AppendChange(payload, c)
			if r.IntN(3) > 0 {
				alive[c.Number] = append(alive[c.Number], log.Span{Key: c.Number, First: c.Ordinal, Count: 1})
			}
		}
		for number, live := range alive {
			var kept []log.Span
			require.NoError(t, stream.EachEntry(keep(nil, kindChanges, payload, live), 0, func(e *stream.Entry) bool {
				kept = append(kept, log.Span{Key: e.Key, First: e.Ordinal, Count: 1})
				return true
			}))
			require.Equal(t, live, kept, "stream %d", number)
		}
	}
}
