package cluster_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/cluster"
	"github.com/conchmq/conch/internal/testseed"
)

// applied waits until a node's proposal is applied by all nodes that are up.
func (c *nodes) applied(n *node, token string) {
	c.t.Helper()
	require.NoError(c.t, n.Propose([]byte(token), 0, token))
	c.eventually(token+" is applied", func() bool {
		err, known := n.machine.fate(token)
		return known && err == nil
	})
	c.equal()
}

// startApplied starts three nodes, which have applied the entry "1". The first follower has proposed it.
func startApplied(t *testing.T) (c *nodes, leader *node, followers []*node) {
	t.Helper()
	c = startThree(t)
	leader, followers = c.leader(), c.followers()
	c.applied(followers[0], "1")
	return c, leader, followers
}

// followers are the nodes that do not lead, in order.
func (c *nodes) followers() (all []*node) {
	leader := c.leader()
	for _, n := range c.all {
		if n != leader {
			all = append(all, n)
		}
	}
	return all
}

func TestANodeThatWasRemovedIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, leader, followers := startApplied(t) // a node that has applied nothing knows of no cluster that it was a member of
		gone := followers[0]
		c.stop(gone)
		require.NoError(t, leader.Remove(gone.name))
		c.start(gone)
		c.eventually("it is told", func() bool { return gone.reported(gone.name + " is no member of this cluster: it was removed") })
		assert.True(t, gone.Removed())
		assert.Equal(t, "removed", gone.Status().Role)
		assert.Equal(t, c.leader().name, gone.Status().Leader)
		require.NoError(t, gone.Propose([]byte("x"), 0, "x"))
		c.eventually("its proposal has an end", func() bool {
			err, known := gone.machine.fate("x")
			return known && err != nil
		})
		require.NoError(t, c.leader().Propose([]byte("2"), 0, "2"))
		c.eventually("the others go on", func() bool { return len(c.leader().machine.list()) == 2 })
		assert.Len(t, gone.machine.list(), 1)
		c.stopAll()
	})
}

// A node that was removed reports that, and goes on once it is added again.
func TestANodeThatIsRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := startThree(t)
		old := c.leader()
		require.ErrorContains(t, old.Remove(old.name), "make another node lead")
		require.NoError(t, old.Transfer(""))
		require.NoError(t, c.leader().Remove(old.name))
		c.eventually("it is reported", func() bool { return old.reported(old.name + " is no member of this cluster") })
		assert.True(t, old.Removed())
		c.eventually("another one leads", func() bool { return c.leader() != old })
		require.NoError(t, c.leader().Add(cluster.Member{Name: old.name, Address: old.name}))
		c.applied(c.leader(), "1")
		c.applied(old, "2")
		c.eventually("it knows that it is a member again", func() bool { return !old.Removed() })
		assert.Equal(t, "follower", old.Status().Role)
		c.stopAll()
	})
}

func TestTwoNodesOfOneName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, followers := startApplied(t)
		name := followers[0].name
		second := newNode(name)
		c.options = func(n *node, o *cluster.Options) {
			if n == second {
				o.Address, o.Network = "elsewhere", c.exchange.open("elsewhere")
				for i := range o.Bootstrap {
					if o.Bootstrap[i].Name == name {
						o.Bootstrap[i].Address = "elsewhere"
					}
				}
			}
		}
		first := c.exchange.ports[name]
		c.start(second, three...)
		c.exchange.mu.Lock()
		c.exchange.ports[name] = first
		c.exchange.mu.Unlock()
		c.all = append(c.all, second)
		want := fmt.Sprintf("%s is a member at %s, and this one is at elsewhere: two nodes have one name", name, name)
		c.eventually("it is told", func() bool { return second.reported(want) })
		c.eventually("the leader reports it", func() bool { return c.leader().reported(want) })
		c.all = c.all[:3]
		c.applied(c.leader(), "2")
		assert.Empty(t, second.machine.list())
		require.NoError(t, second.Close())
		c.stopAll()
	})
}

func TestADirectoryOfAnotherCluster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, other := startThree(t), startThree(t)
		c.applied(c.leader(), "1")
		other.applied(other.leader(), "other")
		stray := c.followers()[0]
		c.stop(stray)
		own, machine := stray.disks, stray.machine
		var twin *node
		for _, n := range other.all {
			if n.name == stray.name {
				twin = n
			}
		}
		other.stopAll()

		stray.disks[1] = twin.disks[1]
		assert.ErrorContains(t, c.open(stray), "they are of two directories")
		stray.disks, stray.machine = twin.disks, twin.machine
		c.start(stray)
		c.eventually("it is told", func() bool {
			return stray.reported(fmt.Sprintf("is of cluster %s, and ", stray.Status().Cluster)) || c.leader().reported("is of cluster")
		})
		require.NoError(t, c.leader().Propose([]byte("2"), 0, "2"))
		c.eventually("the others go on", func() bool { return len(c.leader().machine.list()) == 2 })
		assert.Equal(t, []string{"other"}, bodies(stray.machine.list()))
		c.stop(stray)

		stray.disks, stray.machine = own, machine
		c.start(stray)
		c.equal()
		c.stopAll()
	})
}

func TestADirectoryOfAnotherNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, _ := startApplied(t)
		c.stopAll()
		c.all[0].disks = c.all[1].disks
		assert.EqualError(t, c.open(c.all[0]), "the directory is that of node b, and this one is named a: each node needs a directory of its own")
	})
}

// What does not speak the protocol, or another version, gets the reason.
func TestRefusedConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newNodes(t, "a")
		c.start(c.all[0], "a")
		c.leader()
		stranger := c.exchange.open("stranger")
		for line, want := range map[string]string{
			"conch-cluster/9 anything at all":        "it speaks version 9 of the cluster's protocol, and this node version 3: run one version of conch on all nodes",
			"PING":                                   "this port is for other nodes of the cluster",
			"conch-cluster/3 0 b b 0 a raft more":    "this port is for other nodes of the cluster",
			"conch-cluster/3 x b b 0 a raft":         "this port is for other nodes of the cluster",
			"conch-cluster/3 0 b b x a raft":         "this port is for other nodes of the cluster",
			"conch-cluster/3 0 b\x1b b 0 a raft":     "this port is for other nodes of the cluster",
			"conch-cluster/3 0 a elsewhere 0 a raft": "two nodes are named a: each needs a name of its own",
			"conch-cluster/3 0 b b 0 z raft":         "this node is a, not z",
			"conch-cluster/3 0 b b 0 a gossip":       `unknown word "gossip"`,
			"conch-cluster/3 0 b b 0 a raft":         "b is no member of this cluster: it was removed, or not added yet; add it with NODE ADD",
			"conch-cluster/3 ffffffffffffffff b b 0 a raft": fmt.Sprintf("b is of cluster ffffffffffffffff, and a of cluster %s: give the one that is to change empty directories, and add it anew",
				c.all[0].Status().Cluster),
		} {
			conn, err := stranger.Dial(context.Background(), "a")
			require.NoError(t, err)
			_, err = io.WriteString(conn, line+"\n")
			require.NoError(t, err)
			answer, err := bufio.NewReader(conn).ReadString('\n')
			require.NoError(t, err)
			assert.Equal(t, want+"\n", strings.TrimPrefix(strings.TrimPrefix(answer, "ERR "), "REMOVED "), line)
			c.eventually("the report", func() bool { return c.all[0].reported(want) })
		}
		before := len(c.all[0].reports)
		for range 20 {
			conn, err := stranger.Dial(context.Background(), "a")
			require.NoError(t, err)
			_, err = io.WriteString(conn, "PING\n")
			require.NoError(t, err)
			_, err = bufio.NewReader(conn).ReadString('\n')
			require.NoError(t, err)
		}
		assert.Len(t, c.all[0].reports, before, "what repeats itself is told once a minute")
		c.stopAll()
	})
}

func TestAnEvenNumberOfVotersIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newNodes(t, three...)
		a, b := c.all[0], c.all[1]
		c.start(a, "a")
		c.leader()
		require.ErrorIs(t, a.Transfer(""), cluster.ErrNoOther)
		c.start(b)
		require.NoError(t, a.Add(cluster.Member{Name: "b", Address: "b"}))
		require.ErrorIs(t, a.Transfer(""), cluster.ErrNoOther)
		assert.False(t, a.reported("vote"))
		require.EqualError(t, a.Add(cluster.Member{Name: "c", Address: "b"}), "b is at b: each node needs an address of its own")
		require.NoError(t, a.Promote("b"))
		assert.True(t, a.reported("2 nodes vote: the cluster goes on without 0 of them, as it would with 1 voters"))
		c.stopAll()
	})
}

func TestClocksThatAreADayApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newNodes(t, three...)
		c.options = func(n *node, o *cluster.Options) {
			if n.name == "b" {
				o.Skew(24 * time.Hour)
			}
		}
		for _, n := range c.all {
			c.start(n, three...)
		}
		for i, n := range c.all {
			c.applied(n, fmt.Sprint(i))
		}
		assert.True(t, c.all[0].reported("the clock of b is 24h0m0s ahead of that of a") || c.all[2].reported("the clock of b is 24h0m0s ahead of that of c"))
		c.stopAll()
	})
}

// A node that has lost its directories, and whose clock has gone back, proposes under an incarnation behind its last one.
func TestANodeWithNewDirectoriesAndAnOldClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, followers := startApplied(t)
		n := followers[0]
		c.stop(n)
		require.NoError(t, c.leader().Remove(n.name))
		renewed := newNode(n.name)
		n.disks, n.machine = renewed.disks, renewed.machine
		c.options = func(_ *node, o *cluster.Options) { o.Skew(-24 * time.Hour) }
		c.start(n)
		require.NoError(t, c.leader().Add(cluster.Member{Name: n.name, Address: n.name}))
		c.eventually("it has the past", func() bool { return len(n.machine.list()) == 1 })
		for i := range 3 {
			_ = n.Propose([]byte("again"), 0, fmt.Sprint(i)) // the first ones may be given up
			pause(3 * time.Second)
		}
		err, known := n.machine.fate("2")
		assert.True(t, known)
		assert.NoError(t, err)
		c.stopAll()
	})
}

// The end of the process while the state is received is no end of the node: it gets the state at its next start.
func TestACrashWhileTheStateIsReceived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		random := rand.New(rand.NewPCG(testseed.New(), 0))
		c := newNodes(t, three...)
		c.logBytes = 64 << 10
		for _, n := range c.all {
			c.start(n, three...)
		}
		leader, behind := c.leader(), c.followers()[0]
		c.stop(behind)
		for i := range 4000 {
			token := fmt.Sprint(i)
			c.eventually("room", func() bool { return leader.ProposeAlone([]byte(token), 0, token) == nil })
			if i%1000 == 999 {
				pause(2 * time.Second)
			}
		}
		behind.machine.refuse(true)
		c.start(behind)
		c.eventually("the state is sent", func() bool { return behind.machine.gotStates() > 0 })
		c.crash(behind, random)
		assert.Empty(t, behind.machine.list())
		behind.machine.refuse(false)
		c.start(behind)
		c.eventually("it has the state", func() bool { return len(behind.machine.list()) == 4000 })
		c.applied(behind, "more")
		c.stopAll()
	})
}
