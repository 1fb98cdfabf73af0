package command

import (
	"context"
	"fmt"
	"maps"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/broker"
)

func TestSnapshotCounts(t *testing.T) {
	all := servePipes(t, 2)
	subscriber, publisher := all[0], all[1]
	subscriber.say("SUB news", "SUB orders WHERE price > 100")
	publisher.say("PUB news hello", "PUB other hello", `PUB orders {"price": 99}`)
	publisher.send("NOSUCH")
	answer, err := publisher.from.ReadString('\n')
	require.NoError(t, err)
	assert.Contains(t, answer, "ERR unknown command")

	n, ok := publisher.service.Snapshot()
	require.True(t, ok)
	assert.EqualValues(t, 3, n.Published)
	assert.EqualValues(t, 1, n.Matched)
	assert.EqualValues(t, 1, n.Filtered)
	assert.EqualValues(t, 1, n.Delivered+n.Queued(), "the subscriber's writer may not have counted it yet")
	assert.EqualValues(t, 2, n.Clients)
	assert.Equal(t, 1, n.Subscribers)
	assert.Equal(t, 1, n.Predicates)
	assert.Equal(t, map[string]int64{"ERR": 1}, maps.Collect(n.Errors()))
	commands := maps.Collect(n.Commands())
	assert.EqualValues(t, 3, commands["pub"].Calls)
	assert.Positive(t, commands["pub"].CoreTime)
	assert.NotContains(t, commands, "psubscribe", "nobody sent it")
	assert.Len(t, maps.Collect(n.Endings()), int(closeReasons)-1, "also reasons that did not occur")
}

// What clients make up makes a snapshot no larger.
func TestSnapshotOfManyTopics(t *testing.T) {
	p := servePipes(t, 1)[0]
	allocations := func() float64 { return testing.AllocsPerRun(10, func() { _, _ = p.service.Snapshot() }) }
	p.say("SUB topic")
	few := allocations()
	for i := range 1000 {
		p.say(fmt.Sprintf("SUB topic-%d", i))
	}
	n, _ := p.service.Snapshot()
	assert.Equal(t, 1001, n.Topics)
	assert.InDelta(t, few, allocations(), 5)
}

func TestSnapshotWithoutACore(t *testing.T) {
	core := broker.New(broker.Options{})
	ctx, stop := context.WithCancel(t.Context())
	ran := make(chan struct{})
	go func() { defer close(ran); core.Run(ctx) }()
	s, err := NewService(core, Options{})
	require.NoError(t, err)
	s.Stop()
	s.Wait()
	stop()
	<-ran
	_, ok := s.Snapshot()
	assert.False(t, ok)
}
