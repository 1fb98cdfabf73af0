//go:build cluster

package cluster

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/client"
	"github.com/conchmq/conch/internal/history"
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

// check compares all that was seen. The load has ended, and all nodes run.
func (c *nodes) check(l *load, w *watchers, f *figures) error {
	views := map[byte][]history.View{}
	entries := map[client.EntryID]string{}
	epochs := map[string]bool{}
	err := await("all nodes have the same state", func() bool {
		clear(views)
		clear(entries)
		return c.readAll(views, entries, epochs) == nil && sameDigests(views['s'])
	})
	if err != nil {
		err = errors.Join(err, c.readAll(views, entries, epochs))
	}
	f.entries = len(views['s'][0].Items) + len(views['d'][0].Items)
	f.delivered = l.group.delivered
	for kind, all := range w.all {
		for _, one := range all {
			err = errors.Join(err, one.err)
			if kind == 'd' && one.missed+one.reconnected > 0 {
				err = errors.Join(err, fmt.Errorf("%s: the log has all, and %d losses were reported", one.view.Name, one.missed+one.reconnected))
			}
			views[kind] = append(views[kind], one.view)
			for epoch := range one.epochs {
				epochs[epoch] = true
			}
			f.resumed += one.resumed
			f.reconnected += one.reconnected
			f.missed += one.missed
		}
	}
	if len(epochs) != 1 {
		err = errors.Join(err, fmt.Errorf("one order has the epochs %v", epochs))
	}
	for kind, book := range l.ledgers {
		err = errors.Join(err, history.Check(book.history(views[kind])))
		f.answered += book.counts[history.Answered]
		f.unknown += book.counts[history.Unknown]
		f.refused += book.counts[history.Refused]
	}
	return errors.Join(err, l.group.check(entries))
}

// readAll reads the entries of all streams on each node, with a digest of all that they are and that their groups are.
func (c *nodes) readAll(views map[byte][]history.View, entries map[client.EntryID]string, epochs map[string]bool) error {
	for _, n := range c.all {
		durable := history.View{Name: n.name, Kind: history.Whole}
		streams := durable
		digest := fnv.New64a()
		reader := c.connect(n)
		seen := map[string]bool{}
		for e, err := range reader.Entries(context.Background(), client.Query{Streams: []string{"*"}}) {
			if err != nil {
				_ = reader.Close() // always nil
				return fmt.Errorf("%s: %w", n.name, err)
			}
			_, _ = fmt.Fprintf(digest, "%q", *e) // a hash never fails
			seen[e.Stream] = true
			epoch, number, _ := strings.Cut(e.Position, "-")
			epochs[epoch] = true
			place, err := strconv.ParseUint(number, 10, 64)
			if err != nil {
				return err
			}
			item := history.Item{Place: place, ID: idOf(e.Get("message"))}
			if e.Stream[0] == 'd' {
				durable.Items = append(durable.Items, item)
				continue
			}
			streams.Items = append(streams.Items, item)
			if e.Stream == jobs {
				entries[e.ID] = item.ID
			}
		}
		_ = reader.Close() // always nil
		for _, name := range slices.Sorted(maps.Keys(seen)) {
			frame, err := n.request("XINFO", "STREAM", name, "FULL", "COUNT", "0")
			if err != nil {
				return fmt.Errorf("%s: %w", n.name, err)
			}
			_, _ = fmt.Fprint(digest, frame) // a hash never fails
		}
		streams.Digest = digest.Sum64()
		durable.Digest = streams.Digest
		views['d'] = append(views['d'], durable)
		views['s'] = append(views['s'], streams)
	}
	return nil
}

// sameDigests reports whether all nodes have the same.
func sameDigests(views []history.View) bool {
	return len(views) == count && !slices.ContainsFunc(views, func(v history.View) bool { return v.Digest != views[0].Digest })
}
