package cluster_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/cluster"
	"github.com/conchmq/conch/internal/faulty"
	"github.com/conchmq/conch/internal/invariant"
)

// founding is the first entry of a cluster that begins with a state. A machine without it cannot apply that.
const founding = "founding"

// founders are nodes of which the first ran alone before, and has a state. The others are empty.
type founders struct {
	*nodes
	a        *node
	answered []string
}

func newFounders(t *testing.T) *founders {
	c := &founders{nodes: newNodes(t, three...), answered: []string{"base"}}
	c.a = c.all[0]
	c.a.machine.facts, c.a.machine.points = []fact{{"a", "base", 0}}, []point{{facts: 1}}
	return c
}

// begin starts the first node, as one that serves clients once the log has lost its beginning.
func (c *founders) begin() {
	c.start(c.a, "a")
	c.eventually("it leads", c.a.Leads)
	if !slices.Contains(bodies(c.a.machine.list()), founding) {
		c.commit(c.a, founding)
	}
	c.serve()
}

func (c *founders) serve() {
	c.eventually("the log has lost its beginning", func() bool {
		c.commit(c.a, fmt.Sprint("started ", time.Now().UnixNano()))
		return c.a.DropBeginning() == nil
	})
}

// lacksBase reports whether the machine has no base.
func (n *node) lacksBase() bool { return !slices.Contains(bodies(n.machine.list()), "base") }

// promoteEarly makes the first node promote others before they have caught up.
func (c *founders) promoteEarly() {
	c.options = func(_ *node, o *cluster.Options) { o.Without("caught-up") }
}

// A node that is added to a cluster which began with streams confirms nothing before it has these.
func TestANodeWithoutTheBaseIsInNoMajority(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newFounders(t)
		c.promoteEarly()
		c.begin()
		b, later := c.all[1], c.all[2]
		for _, n := range []*node{b, later} {
			n.machine.refuse(true)
			c.start(n)
			require.NoError(t, c.a.Add(cluster.Member{Name: n.name, Address: n.name}))
			c.eventually("the state is sent", func() bool { return n.machine.gotStates() > 0 })
		}
		require.NoError(t, c.a.Promote("b"), "the votes before that decide")
		require.NoError(t, c.a.Propose([]byte("alone"), 0, "alone"))
		_, err := c.fateWithin(c.a, "alone")
		require.Error(t, err, "one of two nodes has it")

		b.machine.refuse(false)
		c.eventually("they go on", func() bool { return c.a.Leads() && !b.lacksBase() })
		c.commit(c.a, "with two")
		later.machine.refuse(false)
		require.NoError(t, c.a.Promote("c"))
		c.commit(c.a, "with three")
		all := bodies(c.equal())
		assert.Equal(t, []string{"base", founding}, all[:2])
		c.eventually("each knows the votes, which the state alone does not show", func() bool {
			return slices.Equal(b.Members(), c.a.Members()) && slices.Equal(later.Members(), c.a.Members())
		})

		c.stop(c.a) // for good
		c.all = c.all[1:]
		c.commit(c.leader(), "without the first")
		assert.Equal(t, append(all, "without the first"), bodies(c.equal()))
		c.stopAll()
	})
}

// While the members of a cluster that begins with streams come, nodes lose power, states are refused, and at last the first node is lost for good:
// if the others elect a leader, they have the streams and what was answered. If they do not, nothing was answered that they confirmed.
func TestFaultsOfAFounding(t *testing.T) {
	seed, elected, plans := firstSeed(), 0, *faultsRuns
	if plans >= 4 && !invariant.On {
		plans = max(plans, 32) // they are short, but under the race detector
	}
	for i := range plans {
		run := seed + uint64(i) //nolint:gosec // small
		synctest.Test(t, func(t *testing.T) {
			c := newFounders(t)
			if run%4 > 0 {
				c.promoteEarly()
			}
			if c.play(rand.New(rand.NewPCG(run, 0))) {
				elected++
			}
			require.False(t, t.Failed(), "-faults.seed %d -faults.runs 1", run)
		})
	}
	t.Logf("seed %d: of %d plans, the others elected a leader in %d", seed, plans, elected)
	if plans >= 32 { // about a third of the plans
		assert.Positive(t, elected, "seed %d", seed)
	}
}

// play plays a plan. It reports whether the nodes that are left elect a leader.
func (c *founders) play(random *rand.Rand) (elected bool) {
	c.begin()
	for step := range 20 + random.IntN(200) {
		c.step(step, random)
		pause(time.Duration(random.IntN(50)) * time.Millisecond)
	}
	c.lose()
	b, other := c.all[1], c.all[2]
	pause(5 * time.Second) // one that led with the vote of the first node leads no more
	for i := 0; i < 3000 && !elected; i++ {
		pause(10 * time.Millisecond)
		elected = b.Leads() || other.Leads()
	}
	if elected {
		c.all = c.all[1:]
		c.eventually("they have the base", func() bool { return !b.lacksBase() && !other.lacksBase() })
		c.eventually("they apply what is proposed", c.isApplied)
		got := bodies(c.equal())
		for _, token := range c.answered {
			assert.Contains(c.t, got, token)
		}
	}
	c.stopAll()
	return elected
}

// isApplied proposes an entry, and reports whether it was applied.
func (c *founders) isApplied() bool {
	n, token := c.leader(), fmt.Sprint("end ", time.Now().UnixNano())
	require.NoError(c.t, n.Propose([]byte(token), 0, token))
	_, err := c.fateWithin(n, token)
	return err == nil
}

func (c *founders) step(step int, random *rand.Rand) {
	n := c.all[1+random.IntN(2)]
	switch random.IntN(16) {
	case 0, 1, 12:
		c.change(func(a *cluster.Node) error { return a.Add(cluster.Member{Name: n.name, Address: n.name}) })
	case 2, 3, 13, 14:
		c.change(func(a *cluster.Node) error { return a.Promote(n.name) })
	case 4:
		n.machine.refuse(random.IntN(2) == 0)
	case 5:
		if n.up {
			c.crash(n, random)
		}
	case 6, 7:
		if !n.up {
			c.start(n)
		}
	case 8:
		c.crash(c.a, random)
		c.start(c.a, "a")
	default:
		token := fmt.Sprint(step)
		if err := c.a.Propose([]byte(token), 0, token); !errors.Is(err, cluster.ErrFull) {
			require.NoError(c.t, err)
		}
	}
}

// change changes the members, if the first node leads. It waits for a while, and what comes of it shows later.
func (c *founders) change(f func(*cluster.Node) error) {
	done, a := make(chan struct{}), c.a.Node
	if !a.Leads() {
		return
	}
	go func() {
		_ = f(a) // the configuration shows it
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(100 * time.Millisecond):
	}
}

// lose takes the first node and its disks away, and lets the others have all that they can get.
func (c *founders) lose() {
	c.stop(c.a)
	c.a.machine.mu.Lock()
	for token, err := range c.a.machine.fates {
		if err == nil {
			c.answered = append(c.answered, token)
		}
	}
	c.a.machine.mu.Unlock()
	c.a.disks = [2]*faulty.CrashDisk{faulty.NewCrashDisk(), faulty.NewCrashDisk()}
	for _, n := range c.all[1:] {
		n.machine.refuse(false)
		if !n.up {
			c.start(n)
		}
	}
}
