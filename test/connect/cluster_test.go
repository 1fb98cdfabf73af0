//go:build connect

package connect

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// cluster is three conchs with the same connectors, the nodes of one cluster.
type cluster struct {
	t     *testing.T
	nodes []*conch
}

func startCluster(t *testing.T, connectors string) *cluster {
	t.Helper()
	c := &cluster{t: t}
	var members []string
	addresses := map[string]string{}
	for _, name := range []string{"a", "b", "c"} {
		addresses[name], _ = freeAddress(t)
		members = append(members, name+"="+addresses[name])
	}
	for _, name := range []string{"a", "b", "c"} {
		n := newConch(t, fmt.Sprintf("cluster-name = %q\ncluster-election = \"1s\"\ncluster-listen = %q\ncluster-bootstrap = %q\n%s", name, addresses[name], strings.Join(members, ","), connectors))
		n.name = "node " + name
		n.restart()
		c.nodes = append(c.nodes, n)
	}
	return c
}

// holder waits until a connector runs on a node that answers, and returns that.
func (c *cluster) holder(connector string, besides *conch) (holder *conch) {
	c.t.Helper()
	eventually(c.t, func() bool {
		for _, n := range c.nodes {
			if n == besides || n.cmd == nil {
				continue
			}
			if a, err := n.lookAt(connector); err == nil && a.State == "running" {
				holder = n
				return true
			}
		}
		return false
	}, connector+" runs on a node")
	return holder
}

// taken is how many messages the nodes have taken in; those that have started again count from their start.
func (c *cluster) taken() (n int) {
	for _, each := range c.nodes {
		if a, err := each.lookAt("in"); err == nil {
			n += a.Taken
		}
	}
	return n
}

// TestClusterCrashes kills, stops or freezes the node of a cluster that runs the connectors, or kills the other side, at random moments while a
// source fills a durable topic and a sink empties it. In the end the topic is on all nodes what the other side has.
func TestClusterCrashes(t *testing.T) {
	eachWithPositions(t, func(t *testing.T, s *system, seed uint64) { newClusterRun(t, s, seed).play() })
}

// clusterRun is one system on its way through its crashes and those of nodes.
type clusterRun struct {
	otherSide
	cluster *cluster
}

func newClusterRun(t *testing.T, s *system, seed uint64) *clusterRun {
	r := &clusterRun{otherSide: newOtherSide(t, s, rand.New(rand.NewPCG(seed, 1)))}
	r.cluster = startCluster(t, sourceTable("in", r.in.source, "d.crash", "batch = 64")+sinkTable("out", "d.crash", r.out.sink, "batch = 64"))
	return r
}

func (r *clusterRun) play() {
	for range *crashes {
		before := r.cluster.taken()
		r.put(500 + r.random.IntN(2500))
		eventually(r.t, func() bool { return r.cluster.taken() > before }, "the source takes some")
		holder := r.cluster.holder("in", nil)
		<-time.After(time.Duration(r.random.IntN(60_000)) * time.Microsecond)
		switch r.random.IntN(4) {
		case 0:
			holder.kill()
			r.moveFrom(holder)
			holder.restart()
		case 1:
			holder.stop()
			r.moveFrom(holder)
			holder.restart()
		case 2: // it goes on where it was, and another one leads meanwhile
			require.NoError(r.t, syscall.Kill(-holder.cmd.Process.Pid, syscall.SIGSTOP))
			r.moveFrom(holder)
			require.NoError(r.t, syscall.Kill(-holder.cmd.Process.Pid, syscall.SIGCONT))
		default:
			r.server.kill()
			r.server.restart(r.t)
		}
	}
	r.put(1) // what comes twice after the last crash comes before it
	want := r.in.take(r.t, len(r.sent))
	for _, n := range r.cluster.nodes {
		eventually(r.t, func() bool { _, err := n.lookAt("in"); return err == nil }, n.name+" has caught up")
		got := n.awaitEntries("d.crash", len(r.sent))
		assertAll(r.t, true, r.sent, got)
		assert.Equal(r.t, digest(want), digest(got), "the topic is what the other side has, in its order")
	}
	assertAll(r.t, false, r.sent, r.out.take(r.t, len(r.sent)))
	for _, n := range r.cluster.nodes { // each has the account of what it has carried
		n.awaitBalance("in")
		n.awaitBalance("out")
	}
}

// moveFrom waits until another node runs the connectors than one that does not answer.
func (r *clusterRun) moveFrom(holder *conch) {
	if r.in.forget != nil {
		r.in.forget(r.t)
	}
	r.put(200)
	r.cluster.holder("in", holder)
}
