//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	goclient "github.com/conchmq/conch/client"
	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/internal/testseed"
)

// killedCluster is a cluster for tests that kill its nodes, and start them again at their addresses.
type killedCluster struct {
	t         *testing.T
	addresses []string // of clients
	flags     [][]string
	nodes     []*conch
}

func newKilledCluster(t *testing.T) *killedCluster {
	c := &killedCluster{t: t}
	const nodes = 3
	var free []string
	for range 2 * nodes {
		free = append(free, harness.FreeAddress(t))
	}
	c.addresses = free[:nodes]
	var members []string
	for i, address := range free[nodes:] {
		members = append(members, fmt.Sprintf("n%d=%s", i, address))
	}
	for i, address := range free[nodes:] {
		c.flags = append(c.flags, []string{
			c.addresses[i], "--log-format", "json", "--dir", t.TempDir(), "--cluster-name", fmt.Sprint("n", i), "--cluster-listen", address,
			"--cluster-bootstrap", strings.Join(members, ","), "--cluster-timeout", "1m",
		})
	}
	c.nodes = make([]*conch, nodes)
	return c
}

// start starts nodes, and waits until they serve clients.
func (c *killedCluster) start(nodes ...int) {
	for _, i := range nodes {
		c.nodes[i] = launch(c.t, binary, c.flags[i]...)
	}
	for _, i := range nodes {
		harness.Eventually(c.t, func() bool { return c.nodes[i].pings() }, "a node has caught up")
	}
}

// kill ends a node by SIGKILL.
func (c *killedCluster) kill(i int) {
	require.NoError(c.t, c.nodes[i].cmd.Process.Kill())
	for range c.nodes[i].log { // until it has ended
	}
	_ = c.nodes[i].cmd.Wait() // it was killed
}

// client returns a client that connects to the nodes from one on.
func (c *killedCluster) client(first int) *goclient.Client {
	all := slices.Concat(c.addresses[first:], c.addresses[:first])
	x, err := goclient.Dial(c.t.Context(), goclient.Options{Addresses: all, Sequences: true, MaxBackoff: time.Second})
	require.NoError(c.t, err)
	c.t.Cleanup(func() { _ = x.Close() })
	return x
}

// groupReader has what a subscription has got.
type groupReader struct {
	mu                 sync.Mutex // guards what follows
	times              map[int]int
	again, connections int
}

// all reads events until the subscription ends.
func (r *groupReader) all(ctx context.Context, sub *goclient.Subscription) error {
	for {
		e, err := sub.Next(ctx)
		if err != nil {
			return err
		}
		r.mu.Lock()
		switch e := e.(type) {
		case *goclient.Message:
			n, _ := strconv.Atoi(string(e.Payload)) // another text is missed by the test
			if r.times[n]++; r.times[n] > 1 {
				r.again++
			}
		case *goclient.Reconnected, *goclient.Resumed:
			r.connections++
		case *goclient.Missed:
			err = fmt.Errorf("missed %+v", *e)
		}
		if r.mu.Unlock(); err != nil {
			return err
		}
	}
}

// missing returns those that have not come.
func (r *groupReader) missing(want []int) (missing []int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range want {
		if r.times[n] == 0 {
			missing = append(missing, n)
		}
	}
	return missing
}

// A subscription of package client from a group goes on at another node when a node is killed, and none of the entries that were
// answered is missing. The first node that is killed is that of the subscription.
func TestAGroupGoesOnBehindKillsOfNodes(t *testing.T) {
	seed := testseed.New()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	c := newKilledCluster(t)
	c.start(0, 1, 2)
	require.Equal(t, "OK", strings.TrimSpace(c.nodes[0].cli("CONFIG", "SET", "durable", "orders")))
	sub, err := c.client(0).Subscribe(t.Context(), goclient.Topic("orders").From("GROUP billing"))
	require.NoError(t, err)
	got, ended := &groupReader{times: map[int]int{}}, make(chan error, 1)
	go func() { ended <- got.all(context.WithoutCancel(t.Context()), sub) }()

	pub := c.client(1)
	sent := []int(nil)
	add := func(n int) {
		for range n {
			key := strconv.Itoa(len(sent))
			fields := []goclient.Field{{Name: "message", Value: key}}
			harness.Eventually(t, func() bool { // a connection may break before it is one
				_, err := pub.Append(t.Context(), "orders", fields, goclient.Idempotent("test", key))
				return err == nil
			}, "an append is answered")
			sent = append(sent, len(sent))
		}
	}
	victim := 0
	for range 4 {
		add(50 + random.IntN(200))
		c.kill(victim)
		add(50 + random.IntN(200))
		c.start(victim)
		victim = random.IntN(len(c.nodes))
	}
	harness.Eventually(t, func() bool { return len(got.missing(sent)) == 0 || len(ended) > 0 }, "entries are missing")
	require.NoError(t, sub.Close())
	require.ErrorIs(t, <-ended, goclient.ErrClosed)
	require.Empty(t, got.missing(sent))
	require.Positive(t, got.connections)
	t.Logf("%d entries, %d of them again, %d reconnects", len(sent), got.again, got.connections)
	for i := range c.nodes {
		c.nodes[i].stop()
	}
}
