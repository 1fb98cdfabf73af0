package cluster_test

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/cluster"
	"github.com/conchmq/conch/internal/log"
	"github.com/conchmq/conch/internal/testseed"
)

// node is one of the nodes of a test, which may be closed and opened again. Its machine's state survives that, as far as it is saved.
type node struct {
	*cluster.Node
	name    string
	dir     string
	machine *machine
	up      bool
}

type nodes struct {
	t        *testing.T
	exchange *exchange
	all      []*node
	logBytes int64
}

var three = []string{"a", "b", "c"}

func newNodes(t *testing.T) *nodes {
	c := &nodes{t: t, exchange: newExchange()}
	for _, name := range three {
		c.all = append(c.all, &node{name: name, dir: t.TempDir(), machine: newMachine()})
	}
	return c
}

func (c *nodes) start(n *node, members ...string) {
	c.t.Helper()
	open := func(part string) log.Files {
		files, err := log.OpenDirectory(filepath.Join(n.dir, part))
		require.NoError(c.t, err)
		return files
	}
	state, err := cluster.DecodeState(n.machine.saved)
	require.NoError(c.t, err)
	o := cluster.Options{
		Name: n.name, Address: n.name, Network: c.exchange.open(n.name), Files: open("log"), Small: open("small"), Machine: n.machine, State: state,
		LogBytes: c.logBytes,
	}
	for _, m := range members {
		o.Bootstrap = append(o.Bootstrap, cluster.Member{Name: m, Address: m})
	}
	n.Node, err = cluster.Open(o)
	require.NoError(c.t, err)
	n.up = true
}

func (c *nodes) stop(n *node) {
	c.t.Helper()
	require.NoError(c.t, n.Close())
	n.up = false
}

func (c *nodes) stopAll() {
	c.t.Helper()
	for _, n := range c.all {
		if n.up {
			c.stop(n)
		}
	}
}

// pause passes time of the bubble, in which nothing waits for a clock outside.
func pause(d time.Duration) { <-time.After(d) }

// eventually waits, by the clock of the bubble.
func (c *nodes) eventually(what string, holds func() bool) {
	c.t.Helper()
	for range 6000 {
		if holds() {
			return
		}
		pause(10 * time.Millisecond)
	}
	require.Fail(c.t, "not within a minute: "+what)
}

func (c *nodes) leader() *node {
	c.t.Helper()
	var leader *node
	c.eventually("a leader", func() bool {
		for _, n := range c.all {
			if n.up && n.Status().Role == "leader" {
				leader = n
				return true
			}
		}
		return false
	})
	return leader
}

// equal waits until all nodes that are up have applied the same.
func (c *nodes) equal() []fact {
	c.t.Helper()
	var first []fact
	c.eventually("equal nodes", func() bool {
		first = c.all[0].machine.list()
		for _, n := range c.all[1:] {
			if n.up && !slices.Equal(first, n.machine.list()) {
				return false
			}
		}
		return true
	})
	return first
}

func TestWhatEachNodeProposesIsAppliedByAllInOneOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newNodes(t)
		for _, n := range c.all {
			c.start(n, three...)
		}
		c.leader()
		const each = 200
		for i := range each {
			for _, n := range c.all {
				token := fmt.Sprintf("%s%d", n.name, i)
				require.NoError(t, n.Propose([]byte(token), 0, token))
			}
		}
		c.eventually("all are applied", func() bool {
			return len(c.all[0].machine.list()) == 3*each && len(c.all[1].machine.list()) == 3*each && len(c.all[2].machine.list()) == 3*each
		})
		facts := c.equal()
		next := map[string]int{}
		for _, f := range facts {
			assert.Equal(t, fmt.Sprintf("%s%d", f.Origin, next[f.Origin]), f.Body, "the order of its node")
			next[f.Origin]++
		}
		c.stopAll()
	})
}

func TestWithoutAMajorityAProposalIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newNodes(t)
		for _, n := range c.all {
			c.start(n, three...)
		}
		old := c.leader()
		var others []string
		for _, n := range c.all {
			if n != old {
				others = append(others, n.name)
			}
		}
		c.exchange.part([]string{old.name}, others)
		require.NoError(t, old.Propose([]byte("lost"), 0, "lost"))
		c.eventually("its fate", func() bool {
			_, known := old.machine.fate("lost")
			return known
		})
		err, _ := old.machine.fate("lost")
		assert.ErrorIs(t, err, cluster.ErrUnknown, "it is in the log of one node")
		require.NoError(t, old.Propose([]byte("unsent"), 0, "unsent"))
		c.eventually("its fate", func() bool {
			_, known := old.machine.fate("unsent")
			return known
		})
		err, _ = old.machine.fate("unsent")
		assert.ErrorIs(t, err, cluster.ErrNoLeader)

		c.exchange.heal()
		require.NoError(t, old.Propose([]byte("later"), 0, "later"))
		c.eventually("it goes on", func() bool {
			err, known := old.machine.fate("later")
			return known && err == nil
		})
		facts := c.equal()
		assert.NotContains(t, facts, fact{old.name, "unsent"})
		c.stopAll()
	})
}

func TestANodeThatIsFarBehindGetsTheState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newNodes(t)
		c.logBytes = 64 << 10
		for _, n := range c.all {
			c.start(n, three...)
		}
		leader := c.leader()
		behind := c.all[(slices.Index(c.all, leader)+1)%3]
		c.stop(behind)
		for i := range 4000 {
			token := fmt.Sprint(i)
			c.eventually("room", func() bool { return leader.Propose([]byte(token), 0, token) == nil })
			if i%1000 == 999 {
				pause(2 * time.Second)
			}
		}
		c.start(behind)
		c.eventually("it caught up", func() bool { return len(behind.machine.list()) == 4000 })
		assert.Positive(t, behind.machine.received)
		c.equal()
		c.stopAll()
	})
}

func TestANodeOfAnotherStateStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newNodes(t)
		for _, n := range c.all {
			c.start(n, three...)
		}
		leader := c.leader()
		other := c.all[(slices.Index(c.all, leader)+1)%3]
		require.NoError(t, leader.Propose([]byte("1"), 0, "1"))
		c.eventually("it is applied", func() bool { return len(other.machine.list()) == 1 })
		other.machine.mu.Lock()
		other.machine.tampered = true
		other.machine.mu.Unlock()
		require.NoError(t, leader.Propose([]byte("2"), 0, "2"))
		c.eventually("it is noticed", func() bool {
			other.machine.mu.Lock()
			defer other.machine.mu.Unlock()
			return other.machine.differs
		})
		require.NoError(t, leader.Propose([]byte("3"), 0, "3"))
		c.eventually("the others go on", func() bool { return len(leader.machine.list()) == 3 })
		pause(time.Second)
		assert.NotContains(t, other.machine.list(), fact{leader.name, "3"})
		c.stopAll()
	})
}

func TestMembersComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newNodes(t)
		a, b := c.all[0], c.all[1]
		c.all = c.all[:2]
		c.start(a, "a") // a node that runs alone
		c.leader()
		require.NoError(t, a.Propose([]byte("1"), 0, "1"))
		c.start(b)
		require.NoError(t, a.Add(cluster.Member{Name: "b", Address: "b"}))
		c.eventually("it has all", func() bool { return len(b.machine.list()) == 1 })
		require.NoError(t, b.Propose([]byte("2"), 0, "2"))
		c.eventually("it proposes", func() bool { err, known := b.machine.fate("2"); return known && err == nil })
		require.NoError(t, a.Promote("b"))
		require.NoError(t, a.Transfer("b"))
		c.eventually("it leads", func() bool { return b.Status().Role == "leader" })
		c.eventually("the other knows", func() bool { return a.Status().Leader == "b" })
		assert.ErrorContains(t, a.Remove("b"), "send it to b at b")
		require.NoError(t, b.Remove("a"))
		require.NoError(t, b.Propose([]byte("3"), 0, "3"))
		c.eventually("it goes on alone", func() bool { err, known := b.machine.fate("3"); return known && err == nil })
		assert.ErrorContains(t, b.Promote("z"), `no node is named "z"`)
		c.stopAll()
	})
}

var (
	faultsSeed  = flag.Uint64("faults.seed", 1, "the seed of the test of faults; 0 takes a new one")
	faultsSteps = flag.Int("faults.steps", 1000, "steps of each")
	faultsRuns  = flag.Int("faults.runs", 2, "how many seeds the test of faults plays")
)

// Partitions, restarts and transfers under load: what was answered is in each node's sequence once, all sequences are equal, and what
// has an unknown fate is in all of them or in none.
func TestFaults(t *testing.T) {
	for i := range *faultsRuns {
		seed := *faultsSeed + uint64(i) //nolint:gosec // small
		if *faultsSeed == 0 {
			seed = testseed.New() //nolint:gosec // positive
		}
		t.Run(fmt.Sprintf("-faults.seed %d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { playFaults(t, rand.New(rand.NewPCG(seed, 0))) })
		})
	}
}

func playFaults(t *testing.T, random *rand.Rand) {
	c := newNodes(t)
	for _, n := range c.all {
		c.start(n, three...)
	}
	proposed := map[string]*node{}
	for step := range *faultsSteps {
		n := c.all[random.IntN(3)]
		switch fault := random.IntN(200); {
		case fault == 0:
			c.exchange.part([]string{n.name}, slices.DeleteFunc(slices.Clone(three), func(s string) bool { return s == n.name }))
		case fault == 1 && n.up:
			c.stop(n)
		case fault == 2 && n.up:
			_ = n.Transfer("")
		case fault < 6:
			c.exchange.heal()
			for _, n := range c.all {
				if !n.up {
					c.start(n)
				}
			}
		case n.up:
			token := fmt.Sprint(step)
			if err := n.Propose([]byte(token), 0, token); !errors.Is(err, cluster.ErrFull) {
				require.NoError(t, err)
				proposed[token] = n
			}
		}
		pause(time.Duration(random.IntN(20)) * time.Millisecond)
	}
	c.exchange.heal()
	for _, n := range c.all {
		if !n.up {
			c.start(n)
		}
	}
	c.eventually("all fates", func() bool {
		for token, n := range proposed {
			if _, known := n.machine.fate(token); !known {
				return false
			}
		}
		return true
	})
	times := map[string]int{}
	for _, f := range c.equal() {
		times[f.Body]++
	}
	applied, unknown, none := 0, 0, 0
	for token, n := range proposed {
		switch err, _ := n.machine.fate(token); {
		case err == nil:
			applied++
			assert.Equal(t, 1, times[token], "%s was answered", token)
		case errors.Is(err, cluster.ErrUnknown):
			unknown++
			assert.LessOrEqual(t, times[token], 1, token)
		default:
			none++
			assert.Zero(t, times[token], "%s has no effect", token)
		}
	}
	t.Logf("%d applied, %d of unknown fate, %d without effect", applied, unknown, none)
	assert.Greater(t, applied, *faultsSteps/4)
	for _, n := range c.all {
		assert.False(t, n.machine.differs)
	}
	c.stopAll()
}
