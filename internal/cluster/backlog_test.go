package cluster_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/cluster"
)

// hold makes a machine apply nothing until the function that it returns is called.
func (m *machine) hold() (goOn func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	gate := make(chan struct{})
	m.gate = gate
	return func() { close(gate) }
}

// startWithBacklog starts nodes of which each takes few bytes that it has yet to apply.
func startWithBacklog(t *testing.T, backlog int) *nodes {
	c := newNodes(t, three...)
	c.options = func(_ *node, o *cluster.Options) { o.Backlog(backlog) }
	for _, n := range c.all {
		c.start(n, three...)
	}
	c.applied(c.leader(), "first")
	return c
}

// proposeLarge makes a node propose so many entries of 10 KB.
func (c *nodes) proposeLarge(n *node, count int) (tokens []string) {
	for i := range count {
		token := fmt.Sprint("large ", i, " of ", time.Now().UnixNano())
		require.NoError(c.t, n.ProposeAlone([]byte(token+strings.Repeat("x", 10_000)), 0, token))
		tokens = append(tokens, token)
	}
	return tokens
}

// allKnown waits until the fates of all proposals are known, and reports whether all were applied.
func (c *nodes) allKnown(n *node, tokens []string) (applied bool) {
	c.eventually("all fates are known", func() bool {
		return !slices.ContainsFunc(tokens, func(token string) bool { _, known := n.machine.fate(token); return !known })
	})
	return !slices.ContainsFunc(tokens, func(token string) bool { err, _ := n.machine.fate(token); return err != nil })
}

// A node that applies slowly takes no more than some bytes from the leader, which goes on with the others. At last it has all.
func TestASlowNodeTakesSoManyBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := startWithBacklog(t, 100_000)
		leader, slow := c.leader(), c.followers()[0]
		goOn := slow.machine.hold()
		tokens := c.proposeLarge(leader, 1000)
		assert.True(t, c.allKnown(leader, tokens))
		pause(30 * time.Second)
		lacks := leader.Status().Last - slow.Status().Last
		t.Logf("it lacks %d of 1000", lacks)
		assert.Greater(t, lacks, uint64(700), "100 KB are ten entries, and raft sends up to 64 at once")
		goOn()
		c.equal()
		c.applied(slow, "later")
		c.stopAll()
	})
}

// A leader that applies slowly takes no more than that either. What is given up meanwhile is applied nowhere or everywhere.
func TestASlowLeaderTakesSoManyBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := startWithBacklog(t, 100_000)
		leader, other := c.leader(), c.followers()[0]
		goOn := leader.machine.hold()
		tokens := c.proposeLarge(other, 1000)
		pause(30 * time.Second)
		took := leader.Status().Last
		t.Logf("its log ends at %d", took)
		assert.Less(t, took, uint64(300))
		goOn()
		c.allKnown(other, tokens)
		c.applied(other, "later")
		c.stopAll()
	})
}

// A node that waits with a full backlog ends.
func TestASlowNodeIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := startWithBacklog(t, 100_000)
		leader, slow := c.leader(), c.followers()[0]
		goOn := slow.machine.hold()
		for _, count := range []int{1, 60, 60} { // raft may end behind the first one, with the second ones in its queue and the third ones in wait
			assert.True(t, c.allKnown(leader, c.proposeLarge(leader, count)))
			pause(time.Second)
		}
		time.AfterFunc(time.Second, goOn) // raft waits for the entry that is applied
		c.stop(slow)
		c.start(slow)
		c.equal()
		c.stopAll()
	})
}
