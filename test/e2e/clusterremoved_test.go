//go:build e2e

package e2e

import (
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	goclient "github.com/conchmq/conch/client"
)

// A subscription of package client at a node that is removed goes on at a member, and misses nothing of what is published meanwhile. The node is
// removed in conch cluster status.
func TestASubscriptionLeavesARemovedNode(t *testing.T) {
	c := newKilledCluster(t)
	for i := range c.flags {
		c.flags[i] = append(c.flags[i], "--cluster-clients", c.addresses[i], "--recent", "1MiB")
	}
	c.start(0, 1, 2)
	leader := slices.IndexFunc(c.nodes, func(n *conch) bool { return strings.Contains(n.cli("INFO", "cluster"), "node_role:leader") })
	require.GreaterOrEqual(t, leader, 0)
	gone := (leader + 1) % len(c.nodes)
	sub, err := c.client(gone).Subscribe(t.Context(), goclient.Topic("news"))
	require.NoError(t, err)

	pub := c.client(leader)
	name, resumed := "n"+strconv.Itoa(gone), false
	for published, next := 0, 0; next < 30 || !resumed; published++ {
		_, err := pub.Publish(t.Context(), "news", []byte(strconv.Itoa(published)))
		require.NoError(t, err)
		if published == 10 {
			require.Equal(t, "OK", strings.TrimSpace(c.nodes[leader].cli("NODE", "REMOVE", name)))
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
	out, err := exec.Command(binary, "cluster", "status", c.addresses[gone]).CombinedOutput()
	require.Error(t, err)
	assert.Contains(t, string(out), "as "+name+" sees it: this node was removed, term ")
	assert.Contains(t, string(out), "cluster status: "+name+" was removed from the cluster: stop it, or add it again by NODE ADD; n"+strconv.Itoa(leader)+" leads\n")
	out, err = exec.Command(binary, "cluster", "status", c.addresses[leader]).CombinedOutput()
	require.NoError(t, err, string(out))
	assert.NotContains(t, string(out), name+" ")
	for i := range c.nodes {
		c.nodes[i].stop()
	}
}
