//go:build cluster

package cluster

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/testseed"
)

var (
	faultsSeed = flag.Uint64("faults.seed", 0, "seed of the first plan of faults; 0: any")
	faultsRuns = flag.Int("faults.runs", 1, "how many plans are played, with seeds that follow each other")
)

// Three processes with one order, under load: what was answered is in the sequence of each node once, all sequences and states are equal, what
// has an unknown outcome is in all of them or in none, and subscribers lack nothing that was not reported to them.
func TestFaults(t *testing.T) {
	seed := cmp.Or(*faultsSeed, testseed.New())
	var total figures
	for i := range *faultsRuns {
		one := seed + uint64(i) //nolint:gosec // small
		if !t.Run(fmt.Sprint("seed ", one), func(t *testing.T) { total.add(playFaults(t, one)) }) {
			t.Fatalf("-faults.seed %d -faults.runs 1", one)
		}
	}
	t.Logf("%d plans from seed %d: %s", *faultsRuns, seed, total.String())
	assert.Positive(t, total.resumed, "no subscriber has resumed")
	assert.Positive(t, total.failovers, "the leader was always the same")
	assert.Greater(t, total.answered, 500**faultsRuns, "most of it was a stand-still")
}

// playFaults plays one plan.
func playFaults(t *testing.T, seed uint64) (f figures) {
	c := startNodes(t, seed, "",
		"--durable=d.*", "--recent=64MiB", "--segment-size=1MiB", "--stream-idmp-maxsize=1000", "--drain-timeout=2s")
	l, p := newLoad(c, seed), newPlan(c, seed)
	defer l.close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	w, err := c.startWatchers(ctx)
	defer w.close()
	require.NoError(t, err)
	require.NoError(t, l.begin())
	require.NoError(t, p.play())
	require.NoError(t, p.awaitAll())
	l.end()
	require.NoError(t, l.group.awaitEmpty(c.all[0]))
	l.group.end()
	require.NoError(t, w.finish(l))
	require.NoError(t, c.check(l, w, &f))
	require.Empty(t, c.defects())
	f.faults = p.counts
	for _, n := range c.all {
		f.replaced += n.replaced
	}
	term, err := strconv.Atoi(c.all[0].status("term"))
	require.NoError(t, err)
	f.failovers = term - 1
	t.Logf("%s", f.String())
	return f
}

// finish publishes last messages until each subscriber has got one.
func (w *watchers) finish(l *load) error {
	done := make(chan struct{})
	go func() { w.tasks.Wait(); close(done) }()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	n := 0
	return await("each subscriber has got the last message", func() bool {
		if n++; n%20 == 1 {
			for kind, book := range l.ledgers {
				if kind != 's' {
					id := fmt.Sprintf("end-%c-%d", kind, n)
					p, err := l.clients[0].Publish(ctx, string(kind)+last, []byte(id))
					book.note("end", id, p.Sequence, err)
				}
			}
		}
		select {
		case <-done:
			return true
		default:
			return false
		}
	})
}
