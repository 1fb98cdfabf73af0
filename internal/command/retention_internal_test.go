package command

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/stream"
)

// A tick gives up what is too old, without a client; then the next one is due once more is. After a failure of the log nothing ticks.
func TestATickGivesUpOldEntries(t *testing.T) {
	store := newTestStore()
	s, pipes := newStreams(t, store, 1)
	p := pipes[0]
	assert.Equal(t, "+OK", p.do("CONFIG SET retention \"s age=10s\""))
	p.do("XADD s * a 1")
	store.ms.Store(3000)
	p.do("XADD s * a 2")
	assert.EqualValues(t, 12_000, store.deadline.Load(), "the age, and a second")
	store.ms.Store(12_000)
	s.Tick()
	assert.EqualValues(t, 14_000, store.deadline.Load())
	assert.Equal(t, 1, store.state.Entries())
	assert.Equal(t, ":1", p.do("XLEN s"))
	store.failed.Store(new(errors.New("broken disk")))
	store.ms.Store(14_000)
	store.deadline.Store(0) // it is over once it has ticked
	s.Tick()
	assert.Zero(t, store.deadline.Load())
}

// New rules for many streams take one tick after the other, each of a bounded number of streams; their records give the same state.
func TestNewRulesTakeManyTicks(t *testing.T) {
	const streams = 5000
	store := newTestStore()
	s, pipes := newStreams(t, store, 1)
	p := pipes[0]
	for i := range 2 * streams {
		p.sends(fmt.Sprintf("XADD s%d * a 1\r\n", i%streams))
		p.reply()
	}
	p.do("CONFIG SET retention \"s* count=1\"")
	ticks := 0
	for ; store.deadline.Load() == 1; ticks++ {
		before := store.state.Entries()
		store.deadline.Store(0)
		s.Tick()
		require.LessOrEqual(t, before-store.state.Entries(), 64*maxDuePerRound)
	}
	assert.InDelta(t, streams/(64*maxDuePerRound), ticks, 1)
	assert.Equal(t, streams, store.state.Entries())
	replica := stream.New()
	for _, record := range store.all() {
		require.NoError(t, replica.ApplyRecord(record))
	}
	assert.Equal(t, store.state.Digest(), replica.Digest())
}
