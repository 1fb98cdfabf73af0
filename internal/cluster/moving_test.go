package cluster_test

import (
	"bufio"
	"fmt"
	"io"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/cluster"
)

// move starts a node that was stopped at another address.
func (c *nodes) move(n *node, address string) {
	c.options = func(other *node, o *cluster.Options) {
		if other == n {
			o.Address, o.Network = address, c.exchange.open(address)
		}
	}
	c.start(n)
}

// A member stays where it is if it does not run at the new address. The error has what is there.
func TestAMemberStaysWhereItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, leader, followers := startApplied(t)
		moved, other := followers[0], followers[1]
		defer c.exchange.answer("web", "HTTP/1.1 400 Bad Request\n")()
		move := func(address string) error { return leader.Add(cluster.Member{Name: moved.name, Address: address}) }
		expectStays := func(address, want string) {
			t.Helper()
			assert.EqualError(t, move(address), want)
			assert.Contains(t, leader.Members(), cluster.Member{Name: moved.name, Address: moved.name, Voter: true})
		}
		expectStays("typo", fmt.Sprintf("%s stays at %s: no node answers at typo: dial memory: unreachable; first start it at its new address, with its directory", moved.name, moved.name))
		expectStays("web", fmt.Sprintf("not added: %s at web: it is no node of a cluster", moved.name))
		stranger := newNode(moved.name)
		c.stop(moved)
		c.move(stranger, "empty")
		expectStays("empty", fmt.Sprintf("not added: %s at empty has an empty directory, and %s has a vote: NODE REMOVE it first", moved.name, moved.name))
		require.NoError(t, stranger.Close())
		spare := newNode("d")
		c.move(spare, "spare")
		expectStays("spare", fmt.Sprintf("not added: %s at spare: this node is d, not %s", moved.name, moved.name))
		assert.EqualError(t, leader.Add(cluster.Member{Name: leader.name, Address: "typo"}),
			fmt.Sprintf("%s leads, and runs at %s: first start it at its new address", leader.name, leader.name))
		require.EqualError(t, leader.Add(cluster.Member{Name: "d", Address: other.name}), fmt.Sprintf("%s is at %s: each node needs an address of its own", other.name, other.name))
		require.NoError(t, spare.Close())
		c.stopAll()
	})
}

// A node that is new may start later: it has no vote. What is there already must be that node.
func TestANewNodeThatStartsLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, leader, _ := startApplied(t)
		defer c.exchange.answer("web", "HTTP/1.1 400 Bad Request\n")()
		d := newNode("d")
		assert.EqualError(t, leader.Add(cluster.Member{Name: "d", Address: "web"}), "not added: d at web: it is no node of a cluster")
		require.NoError(t, leader.Add(cluster.Member{Name: "d", Address: "typo"}))
		c.start(d)
		require.NoError(t, leader.Add(cluster.Member{Name: "d", Address: "d"}), "it has no directory, and no vote")
		c.all = append(c.all, d)
		c.applied(d, "2")
		c.stopAll()
	})
}

// answer has an address at which something answers each first line by a line, until it is ended.
func (x *exchange) answer(address, line string) (end func()) {
	p, ended := x.open(address), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := p.Accept()
			if err != nil {
				return
			}
			if _, err := bufio.NewReader(c).ReadString('\n'); err == nil {
				_, _ = io.WriteString(c, line) // the other end may be gone
			}
			_ = c.Close()
		}
	}()
	return func() {
		_ = p.Close() // it never fails
		<-ended
	}
}

// alias makes an address one of a node as well.
func (x *exchange) alias(address, of string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.ports[address] = x.ports[of]
}
