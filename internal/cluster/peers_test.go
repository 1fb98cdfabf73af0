package cluster_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/cluster"
)

// peer is a member as a node sees it.
func (n *node) peer(name string) (one cluster.Peer) {
	for _, p := range n.Peers() {
		if p.Name == name {
			return p
		}
	}
	return one
}

// states are those of all members, as a node sees them.
func (n *node) states() (text string) {
	for _, p := range n.Peers() {
		text += fmt.Sprintf("%s %s %d %d ", p.Name, p.State, p.LagEntries, p.LagBytes)
	}
	return text
}

func (c *nodes) seen(n *node, want string) {
	c.t.Helper()
	last := ""
	defer func() { assert.Equal(c.t, want, last, "as %s sees it", n.name) }()
	c.eventually(want, func() bool { last = n.states(); return last == want })
}

// Each node sees what the others lack, whether they answer, and how long that takes.
func TestNodesSeeEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newNodes(t, three...)
		c.exchange.delay = func() time.Duration { return 5 * time.Millisecond }
		c.options = func(n *node, o *cluster.Options) {
			if n.name == "b" {
				o.Skew(-24 * time.Hour)
			}
		}
		for _, n := range c.all {
			c.start(n, three...)
		}
		c.applied(c.leader(), "1")
		for _, n := range c.all {
			c.seen(n, "a ok 0 0 b ok 0 0 c ok 0 0 ")
			for _, other := range c.all {
				p := n.peer(other.name)
				assert.Equal(t, other.name, p.Status.Name)
				assert.True(t, p.Voter)
				if other != n {
					assert.GreaterOrEqual(t, p.Link, 10*time.Millisecond)
					apart := map[string]time.Duration{"b": -24 * time.Hour}
					assert.InDelta(t, apart[other.name]-apart[n.name], p.Ahead, float64(20*time.Millisecond), "%s of %s", other.name, n.name)
				}
			}
		}
		first := c.followers()[0]
		away := c.followers()[1]
		pause(2 * time.Second) // it sends how far it is
		c.stop(away)
		for i := range 3 {
			require.NoError(t, c.leader().ProposeAlone([]byte("12345"), 0, fmt.Sprint("more", i)))
		}
		lag := fmt.Sprint(3 * len(proposal(c.leader(), "12345")))
		want := ""
		for _, name := range three {
			if name == away.name {
				want += name + " away 3 " + lag + " "
			} else {
				want += name + " ok 0 0 "
			}
		}
		c.seen(c.leader(), want)
		c.seen(first, want)
		assert.Contains(t, c.leader().peer(away.name).Err, "unreachable")
		c.start(away, three...)
		for _, n := range c.all {
			c.seen(n, "a ok 0 0 b ok 0 0 c ok 0 0 ")
		}
		c.stopAll()
	})
}

// proposal has the length of one in the log.
func proposal(n *node, body string) []byte { return make([]byte, 2+len(n.name)+24+1+len(body)) }

// A node that answers, and applies nothing, is behind; one that serves no clients yet catches up.
func TestANodeThatIsBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, starts := newNodes(t, three...), new(atomic.Bool)
		c.options = func(_ *node, o *cluster.Options) { o.Serves = func() bool { return !starts.Load() } }
		for _, n := range c.all {
			c.start(n, three...)
		}
		c.applied(c.leader(), "1")
		slow := c.followers()[0]
		slow.machine.mu.Lock()
		slow.machine.gate = make(chan struct{})
		slow.machine.mu.Unlock()
		require.NoError(t, c.leader().Propose([]byte("2"), 0, "2"))
		for _, n := range c.all {
			c.eventually("it is behind", func() bool { return n.peer(slow.name).State == cluster.PeerBehind })
			assert.Equal(t, uint64(1), n.peer(slow.name).LagEntries, n.name)
			assert.Len(t, proposal(c.leader(), "2"), int(n.peer(slow.name).LagBytes), n.name)
		}
		close(slow.machine.gate)
		for _, n := range c.all {
			c.seen(n, "a ok 0 0 b ok 0 0 c ok 0 0 ")
		}
		starts.Store(true)
		for _, n := range c.all {
			c.seen(n, "a catching-up 0 0 b catching-up 0 0 c catching-up 0 0 ")
		}
		c.stopAll()
	})
}

// A setting that differs is reported by both nodes, once.
func TestSettingsThatDiffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newNodes(t, three...)
		c.options = func(n *node, o *cluster.Options) {
			o.Settings = [][2]string{{"max-message", "16777216"}, {"max-topic", "4096"}}
			if n.name == "b" {
				o.Settings[0][1] = "1024"
			}
		}
		for _, n := range c.all {
			c.start(n, three...)
		}
		c.applied(c.leader(), "1")
		a, b, third := c.all[0], c.all[1], c.all[2]
		c.eventually("both report it", func() bool {
			return a.reported(`the setting max-message differs: it is "16777216" on a, and "1024" on b; give all nodes the same one`) &&
				b.reported(`the setting max-message differs: it is "1024" on b, and "16777216" on a`)
		})
		pause(5 * time.Minute)
		assert.False(t, a.reported("max-topic"))
		assert.False(t, third.reported("on a"))
		for n, times := range map[*node]int{a: 1, b: 2} {
			assert.Len(t, n.reportsOf("max-message"), times, n.name)
		}
		c.stopAll()
	})
}

// Nodes that start within some seconds of each other report nothing; one that is missing then is reported.
func TestNodesThatStartOneAfterTheOtherReportNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newNodes(t, three...)
		for _, n := range c.all[:2] {
			c.start(n, three...)
			pause(2 * time.Second)
		}
		c.applied(c.leader(), "1")
		assert.Equal(t, cluster.PeerUnknown, c.all[0].peer("c").State)
		late := c.all[2]
		for _, n := range c.all[:2] {
			assert.Empty(t, n.reportsOf(""))
		}
		pause(5 * time.Second)
		assert.True(t, c.leader().reported("unreachable"))
		assert.Equal(t, cluster.PeerAway, c.all[0].peer("c").State)
		c.start(late, three...)
		c.equal()
		pause(5 * time.Second)
		assert.Empty(t, late.reportsOf(""))
		c.stopAll()
	})
}

// A node that was added before it runs is unknown at first, and away after some seconds.
func TestANodeThatIsAddedMayStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newNodes(t, "a", "b")
		a := c.all[0]
		c.start(a, "a")
		c.leader()
		pause(time.Minute)
		require.NoError(t, a.Add(cluster.Member{Name: "b", Address: "b"}))
		pause(time.Second)
		assert.Equal(t, cluster.PeerUnknown, a.peer("b").State)
		pause(5 * time.Second)
		assert.Equal(t, cluster.PeerAway, a.peer("b").State)
		c.stopAll()
	})
}
