//go:build e2e

package e2e

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	goclient "github.com/conchmq/conch/client"
	"github.com/conchmq/conch/internal/harness"
)

// A subscription of package client at a node that is removed goes on at a member, and misses nothing of what is published meanwhile. The node is
// removed in conch cluster status.
func TestASubscriptionLeavesARemovedNode(t *testing.T) {
	c := newKilledCluster(t)
	for i := range c.flags {
		c.flags[i] = append(c.flags[i], "--cluster-clients", c.addresses[i], "--recent", "1MiB")
	}
	c.start(0, 1, 2)
	const gone, stays = 0, 1
	sub, err := c.client(gone).Subscribe(t.Context(), goclient.Topic("news"))
	require.NoError(t, err)

	pub := c.client(stays)
	resumed := false
	for published, next := 0, 0; next < 30 || !resumed; published++ {
		_, err := pub.Publish(t.Context(), "news", []byte(strconv.Itoa(published)))
		require.NoError(t, err)
		if published == 10 {
			c.remove(gone)
		}
		e, err := sub.Next(t.Context())
		require.NoError(t, err)
		switch e := e.(type) {
		case *goclient.Message:
			require.Equal(t, strconv.Itoa(next), string(e.Payload))
			next++
		case *goclient.Disconnected:
		case *goclient.Resumed:
			resumed = true
			assert.ErrorContains(t, e.Err, "removed: closing connection: this node was removed from the cluster")
		default:
			require.Fail(t, "unexpected", "%#v", e)
		}
	}
	status := func(node int) (string, error) { return conchDo("cluster", "status", c.addresses[node]) }
	out, err := status(gone)
	require.Error(t, err)
	assert.Contains(t, out, "as n0 sees it: this node was removed, term ")
	assert.Regexp(t, `cluster status: n0 was removed from the cluster: stop it, or add it again by NODE ADD; n[12] leads\n`, out)
	harness.Eventually(t, func() bool { out, err = status(stays); return err == nil }, "a busy member may be behind")
	assert.NotContains(t, out, "n0 ")
	for i := range c.nodes {
		c.nodes[i].stop()
	}
}

// remove removes a node by the leader, which may be another one at each attempt. One that leads itself hands the leadership over first.
func (c *killedCluster) remove(gone int) {
	name := "n" + strconv.Itoa(gone)
	harness.Eventually(c.t, func() bool {
		return slices.ContainsFunc(c.nodes, func(n *conch) bool {
			if n == c.nodes[gone] {
				return false
			}
			reply := n.cli("NODE", "REMOVE", name)
			if strings.Contains(reply, "send it to "+name+" at ") {
				c.nodes[gone].cli("NODE", "TRANSFER")
			}
			return strings.HasPrefix(reply, "OK") || strings.Contains(reply, "no node is named") // by a leader that could not reply any more
		})
	}, "a node is removed")
}
