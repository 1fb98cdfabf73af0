package command

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/broker"
)

// oneOrder gives what its nodes propose to all of them, one entry behind the other, as a cluster does.
type oneOrder struct {
	t       testing.TB
	nodes   []*orderedNode
	entries chan proposedEntry
	applied sync.WaitGroup
	hold    sync.Mutex   // while a test has it, no entry is applied
	count   atomic.Int32 // of proposals
}

type proposedEntry struct {
	of    *orderedNode
	body  []byte
	token any
}

// orderedNode is one of its nodes, the [Order] of its service.
type orderedNode struct {
	order   *oneOrder
	service *Service
	store   *testStore
	applier *Applier
	digests []uint64 // of the entries
}

func (n *orderedNode) Propose(body []byte, token any) error {
	select {
	case n.order.entries <- proposedEntry{n, slices.Clone(body), token}:
		n.order.count.Add(1)
		return nil
	default:
		return ErrOrderFull
	}
}

func (n *orderedNode) Full() error { return nil }
func (n *orderedNode) Leads() bool { return n == n.order.nodes[0] }

// newOrder makes an order of two nodes.
func newOrder(t testing.TB, change func(*Options)) *oneOrder {
	o := &oneOrder{t: t, entries: make(chan proposedEntry, 100)}
	for range 2 {
		n := &orderedNode{order: o, store: newTestStore()}
		options := Options{Unprotected: true, Store: n.store, Order: n}
		if change != nil {
			change(&options)
		}
		n.service = newService(t, options)
		n.applier = n.service.NewApplier()
		o.nodes = append(o.nodes, n)
	}
	o.applied.Go(o.apply)
	t.Cleanup(func() {
		close(o.entries)
		o.applied.Wait()
	})
	return o
}

func (o *oneOrder) apply() {
	for e := range o.entries {
		o.hold.Lock()
		for _, n := range o.nodes {
			entry := OrderedEntry{Time: 1000, Body: e.body, Finish: func(digest uint64) []byte {
				n.digests = append(n.digests, digest)
				return []byte("the state")
			}}
			if n == e.of {
				entry.Token = e.token
			}
			assert.NoError(o.t, n.applier.Apply(&entry))
		}
		if done, ok := e.token.(chan struct{}); ok {
			close(done)
		}
		o.hold.Unlock()
	}
}

// digests sends a command, and returns the digest of its entry on each node.
func (o *oneOrder) digests(p *pipe, command string) (all []uint64) {
	o.t.Helper()
	p.do("%s", command)
	last := 0
	// The reply may come before the entry ends: RunOnCore waits for that.
	require.True(o.t, o.nodes[0].service.RunOnCore(func(broker.View) { last = len(o.nodes[0].digests) - 1 }))
	p.do("PUBLISH behind it")
	p.do("PUBLISH behind it") // the one before is on all nodes now
	for _, n := range o.nodes {
		require.True(o.t, n.service.runOnCore(func(broker.View) { all = append(all, n.digests[last]) }))
	}
	return all
}

// What decides otherwise on one node shows in the digest, also if no stream changes.
func TestTheDigestHasRightsAndUsers(t *testing.T) {
	o := newOrder(t, nil)
	a, b := serveOn(t, o.nodes[0].service), o.nodes[1].service
	for _, command := range []string{"ACL SETUSER me on nopass +@all ~* &*", "XADD s * a 1", "PUBLISH news hi", "ACL TOKEN CREATE me phone 60", "CONFIG SET durable x"} {
		digests := o.digests(a, command)
		assert.Equal(t, digests[0], digests[1], command)
	}
	me := serveOn(t, o.nodes[0].service)
	require.Equal(t, "+OK", me.do("AUTH me x"))
	change := func(rule string) {
		require.True(t, b.runOnCore(func(broker.View) { assert.NoError(t, b.access.users.Set("me", rule)) }))
	}

	change("-xgroup") // on one node alone
	digests := o.digests(me, "XGROUP CREATE none g $")
	assert.NotEqual(t, digests[0], digests[1], "the one replies with an error, and the other one has refused the command")

	change("+xgroup")
	digests = o.digests(me, "XGROUP CREATE none g $")
	assert.Equal(t, digests[0], digests[1])

	change("-xack")
	digests = o.digests(a, "ACL SETUSER another on")
	assert.NotEqual(t, digests[0], digests[1], "users differ")
}

// Nodes whose streams are as many, and not the same, do not begin a cluster together.
func TestTheBaseOfAClusterIsItsWholeState(t *testing.T) {
	base := func(id string) (sum [32]byte) {
		s, pipes := newStreams(t, newTestStore(), 1)
		require.Equal(t, id, pipes[0].do("XADD s %s a 1", id))
		require.True(t, s.runOnCore(func(v broker.View) { sum = s.streams.base(v) }))
		return sum
	}
	first := base("1-1")
	assert.Equal(t, first, base("1-1"))
	assert.NotEqual(t, first, base("1-2"))
}

// What another node has proposed takes no memory of a client, and gives none back.
func TestEntriesOfOthersAreNoMemoryOfClients(t *testing.T) {
	o := newOrder(t, nil)
	a, b := serveOn(t, o.nodes[0].service), o.nodes[1].service
	used := b.memory.Used()
	for n := range 50 {
		a.do("PUBLISH news %d", n)
		a.do("XADD s * n %d", n)
	}
	o.digests(a, "PUBLISH news last")
	require.True(t, b.runOnCore(func(broker.View) { assert.Equal(t, used, b.memory.Used()) }))
	assert.Zero(t, o.nodes[1].applier.replica.usage.batches.Load())
}
