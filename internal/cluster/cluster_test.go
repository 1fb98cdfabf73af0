package cluster_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/cluster"
	"github.com/conchmq/conch/internal/faulty"
)

// node is one of the nodes of a test, which may be closed and opened again. Its machine's state survives that, as far as it is saved.
type node struct {
	*cluster.Node
	name    string
	disks   [2]*faulty.CrashDisk // of the log, and of small files
	machine *machine
	up      bool
	mu      sync.Mutex
	reports []string
}

func (n *node) report(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.reports = append(n.reports, err.Error())
}

// reported is true if a report has a text.
func (n *node) reported(text string) bool { return len(n.reportsOf(text)) > 0 }

// reportsOf are the reports that have a text.
func (n *node) reportsOf(text string) (all []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, r := range n.reports {
		if strings.Contains(r, text) {
			all = append(all, r)
		}
	}
	return all
}

type nodes struct {
	t        *testing.T
	exchange *exchange
	all      []*node
	logBytes int64
	options  func(*node, *cluster.Options) // changes those of a node
}

var three = []string{"a", "b", "c"}

func newNode(name string) *node {
	return &node{name: name, disks: [2]*faulty.CrashDisk{faulty.NewCrashDisk(), faulty.NewCrashDisk()}, machine: newMachine()}
}

func newNodes(t *testing.T, names ...string) *nodes {
	c := &nodes{t: t, exchange: newExchange()}
	t.Cleanup(func() { // a test that failed half-way
		for _, n := range c.all {
			if n.up {
				_ = n.Close() // the failure is known
			}
		}
		c.exchange.close()
	})
	for _, name := range names {
		c.all = append(c.all, newNode(name))
	}
	return c
}

// startThree starts nodes that begin a cluster.
func startThree(t *testing.T) *nodes {
	c := newNodes(t, three...)
	for _, n := range c.all {
		c.start(n, three...)
	}
	return c
}

func (c *nodes) start(n *node, members ...string) {
	c.t.Helper()
	require.NoError(c.t, c.open(n, members...))
}

func (c *nodes) open(n *node, members ...string) error {
	state, err := cluster.DecodeState(n.machine.saved())
	require.NoError(c.t, err)
	o := cluster.Options{
		Name: n.name, Address: n.name, Network: c.exchange.open(n.name), Files: n.disks[0], Small: n.disks[1], Machine: n.machine, State: state,
		LogBytes: c.logBytes, Report: n.report,
	}
	for _, m := range members {
		o.Bootstrap = append(o.Bootstrap, cluster.Member{Name: m, Address: m})
	}
	if c.options != nil {
		c.options(n, &o)
	}
	n.Node, err = cluster.Open(o)
	n.up = err == nil
	return err
}

func (c *nodes) stop(n *node) {
	c.t.Helper()
	require.NoError(c.t, n.Close())
	n.up = false
}

// crash ends a node as a loss of power does.
func (c *nodes) crash(n *node, random *rand.Rand) {
	for _, d := range n.disks {
		d.PowerOff()
	}
	_ = n.Close() // nothing can be written any more
	n.up = false
	for _, d := range n.disks {
		d.Restart(random)
	}
	n.machine.crash(random)
}

func (c *nodes) stopAll() {
	c.t.Helper()
	for _, n := range c.all {
		if n.up {
			c.stop(n)
		}
	}
	c.exchange.close()
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
	var states []string
	for _, n := range c.all {
		if n.up {
			states = append(states, fmt.Sprintf("%+v %q", n.Status(), bodies(n.machine.list())))
		}
	}
	stacks := make([]byte, 4<<20)
	c.t.Logf("%s", stacks[:runtime.Stack(stacks, true)]) // they show where a node waits
	require.Fail(c.t, "not within a minute: "+what, strings.Join(states, "\n"))
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

// equal waits until all nodes that are up have applied the same, but for those that have stopped because they differ.
func (c *nodes) equal() (facts []fact) {
	c.t.Helper()
	c.eventually("equal nodes", func() bool {
		facts = nil
		for i, n := range c.all {
			switch own := n.machine.list(); {
			case i > 0 && !n.up, n.machine.isDifferent():
			case facts == nil:
				facts = own
			case !slices.Equal(facts, own):
				return false
			}
		}
		return true
	})
	return facts
}

func bodies(facts []fact) (all []string) {
	for _, f := range facts {
		all = append(all, f.Body)
	}
	return all
}

func TestWhatEachNodeProposesIsAppliedByAllInOneOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := startThree(t)
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
		c := startThree(t)
		old := c.leader()
		c.exchange.part([]string{old.name}, c.othersOf(old))
		require.NoError(t, old.Propose([]byte("lost"), 0, "lost"))
		_, err := c.fateWithin(old, "lost")
		assert.ErrorIs(t, err, cluster.ErrUnknown, "it is in the log of one node")
		require.NoError(t, old.Propose([]byte("unsent"), 0, "unsent"))
		_, err = c.fateWithin(old, "unsent")
		assert.ErrorIs(t, err, cluster.ErrNoLeader)

		c.exchange.heal()
		require.NoError(t, old.Propose([]byte("later"), 0, "later"))
		c.eventually("it goes on", func() bool {
			err, known := old.machine.fate("later")
			return known && err == nil
		})
		facts := c.equal()
		assert.NotContains(t, bodies(facts), "unsent")
		c.stopAll()
	})
}

func TestANodeThatIsFarBehindGetsTheState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newNodes(t, three...)
		c.logBytes = 64 << 10
		for _, n := range c.all {
			c.start(n, three...)
		}
		leader := c.leader()
		behind := c.all[(slices.Index(c.all, leader)+1)%3]
		c.stop(behind)
		for i := range 4000 {
			token := fmt.Sprint(i)
			c.eventually("room", func() bool { return leader.ProposeAlone([]byte(token), 0, token) == nil })
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
		c, leader, followers := startApplied(t)
		other := followers[0]
		other.machine.mu.Lock()
		other.machine.tampered = true
		other.machine.mu.Unlock()
		require.NoError(t, leader.Propose([]byte("2"), 0, "2"))
		c.eventually("it is noticed", func() bool {
			return other.machine.isDifferent()
		})
		require.NoError(t, leader.Propose([]byte("3"), 0, "3"))
		c.eventually("the others go on", func() bool { return len(leader.machine.list()) == 3 })
		pause(time.Second)
		assert.NotContains(t, bodies(other.machine.list()), "3")
		c.stopAll()
	})
}

// A majority that is slower than an election's time gets each proposal few times.
func TestSlowDisksAreNotSentEverythingAgainAndAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newNodes(t, three...)
		var sent atomic.Int64
		c.options = func(_ *node, o *cluster.Options) { o.Sent(func(any) { sent.Add(1) }) }
		for _, n := range c.all {
			c.start(n, three...)
		}
		leader := c.leader()
		c.applied(leader, "fast")
		for _, n := range c.all {
			n.disks[0].Slow(func() time.Duration { return 800 * time.Millisecond })
		}
		sent.Store(0)
		for i := range 10 {
			require.NoError(t, leader.Propose([]byte("slow"), 0, fmt.Sprint(i)))
		}
		pause(4 * time.Second)
		t.Logf("sent %d times", sent.Load())
		assert.Less(t, sent.Load(), int64(10*5), "10 proposals")
		c.stopAll()
	})
}

// Transfers to a node that is not there, again and again, do not keep proposals waiting.
func TestTransfersToANodeThatIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, leader, followers := startApplied(t)
		gone := followers[0]
		c.exchange.silence([]string{leader.name}, []string{gone.name})
		require.NoError(t, leader.Propose([]byte("2"), 0, "2")) // it lacks this one
		for range 3 {
			assert.Error(t, leader.Transfer(gone.name))
		}
		c.stop(gone)
		for i := range 5 {
			token := fmt.Sprint("while it is gone ", i)
			require.NoError(t, leader.Propose([]byte(token), 0, token))
			_, err := c.fateWithin(leader, token)
			assert.NoError(t, err)
			assert.Error(t, leader.Transfer(gone.name))
		}
		c.exchange.heal()
		c.start(gone)
		c.equal()
		assert.ErrorContains(t, leader.Transfer(leader.name), "leads already")
		c.stopAll()
	})
}

// A machine that cannot apply an entry gets the state of the leader, and nothing is missing or there twice.
func TestAMachineThatNeedsTheState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, followers := startApplied(t)
		unfit := followers[0]
		unfit.machine.mu.Lock()
		unfit.machine.unfit = true
		unfit.machine.mu.Unlock()
		c.applied(c.leader(), "2")
		c.applied(unfit, "3")
		assert.Equal(t, []string{"1", "2", "3"}, bodies(c.equal()))
		assert.Positive(t, unfit.machine.received)
		c.stopAll()
	})
}

func TestMembersComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newNodes(t, "a", "b")
		a, b := c.all[0], c.all[1]
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
