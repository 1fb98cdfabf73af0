//go:build cluster

package cluster

import (
	"context"
	"flag"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/client"
)

var (
	behind     = flag.Int("behind", 20_000, "how many entries a node lacks when it comes back")
	behindTime = flag.Duration("behind.time", patience, "how long it may take until the node serves clients")
	behindDir  = flag.String("behind.dir", "", "where the directories of the nodes are, which need 300 bytes an entry; empty: with temporary files")
)

// many is the durable topic of the entries that a node lacks.
const many = "d.many"

// A node that was away while many entries were added serves no client before it has them all, in the order of the others.
func TestFarBehind(t *testing.T) {
	dir := *behindDir
	if dir == "" {
		dir = t.TempDir()
	}
	c := startNodes(t, 1, dir, "--durable=d.*", "--max-memory=8GiB")
	away := c.all[count-1]
	require.NoError(t, away.end(syscall.SIGKILL))
	started := time.Now()
	addMany(t, c, *behind)
	t.Logf("%d entries added in %s", *behind, time.Since(started).Round(time.Millisecond))
	started = time.Now()
	require.NoError(t, away.start(false))
	assert.Equal(t, *behind, firstLength(t, away), "it has served a client too early")
	t.Logf("and here in %s", time.Since(started).Round(time.Millisecond))
	want := &scan{}
	require.NoError(t, want.read(c, c.all[0]))
	assert.Len(t, want.durable.Items, *behind)
	for _, n := range c.all[1:] {
		s := &scan{}
		require.NoError(t, s.read(c, n))
		assert.Equal(t, want.digest.Sum64(), s.digest.Sum64(), "%s differs from %s", n.name, c.all[0].name)
	}
	require.Empty(t, c.defects())
}

// addMany publishes to the durable topic on the nodes that are there.
func addMany(t *testing.T, c *nodes, entries int) {
	o := client.Options{Dialer: c.dial, PingAfter: 5 * time.Second}
	for _, n := range c.all[:count-1] {
		o.Addresses = append(o.Addresses, n.address())
	}
	p, err := client.NewPublisher(t.Context(), o, client.PublisherOptions{Connections: 4})
	require.NoError(t, err)
	const batch = 500
	records := make([]client.Record, 0, batch)
	for i := range entries {
		records = append(records, client.Record{Topic: many, Payload: []byte(payload(strconv.Itoa(i), 40))})
		if len(records) == batch || i == entries-1 {
			_, err := p.PublishBatch(context.Background(), records)
			require.NoError(t, err)
			records = records[:0]
		}
	}
	require.NoError(t, p.Flush(context.Background()))
	require.NoError(t, p.Close())
}

// firstLength is how many entries a node has when it serves its first client.
func firstLength(t *testing.T, n *node) int {
	for start := time.Now(); time.Since(start) < *behindTime; {
		frame, err := n.request("XLEN", many)
		if err == nil {
			length, err := strconv.Atoi(strings.Trim(frame, ":\r\n"))
			require.NoError(t, err)
			return length
		}
		require.False(t, n.hasEnded(), "%s has ended: %v", n.name, n.err)
		wait(50 * time.Millisecond)
	}
	require.Fail(t, "it serves no client", "%s, %s", n.name, *behindTime)
	return 0
}
