package command

import (
	"fmt"
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
	gathers bool         // one entry has all that are there, which are of one node
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
		all := []proposedEntry{e}
		for o.gathers && len(o.entries) > 0 {
			all = append(all, <-o.entries)
		}
		for _, n := range o.nodes {
			entry := OrderedEntry{Time: 1000, Finish: func(digest uint64) []byte {
				n.digests = append(n.digests, digest)
				return []byte("the state")
			}}
			for _, e := range all {
				part := OrderedPart{Body: e.body}
				if n == e.of {
					part.Token = e.token
				}
				entry.Parts = append(entry.Parts, part)
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

// Proposals of several clients in one entry are those of their users, each with its own reply.
func TestAnEntryHasProposalsOfSeveralClients(t *testing.T) {
	o := newOrder(t, nil)
	o.gathers = true
	service := o.nodes[0].service
	a, me, third := serveOn(t, service), serveOn(t, service), serveOn(t, service)
	require.Equal(t, "+OK", a.do("ACL SETUSER me on nopass +@all -xadd ~* &*"))
	require.Equal(t, "+OK", me.do("AUTH me x"))
	require.Equal(t, "1-1", a.do("XADD s 1-1 a 1")) // each knows its user by now
	require.Contains(t, me.do("XADD s 1-2 a 1"), "NOPERM")
	require.Equal(t, "1-2", third.do("XADD s 1-2 a 1"))
	o.digests(a, "PUBLISH news last") // all that came before is on both nodes

	o.hold.Lock()
	before, entries := o.count.Load(), len(o.nodes[1].digests)
	for i, p := range []*pipe{third, a, me, third} {
		p.sends(fmt.Sprintf("XADD s 1-%d a 1\r\n", 3+i))
		eventually(t, func() bool { return o.count.Load() == before+int32(i)+1 }, "it is proposed")
	}
	o.hold.Unlock()
	assert.Equal(t, "1-3", third.reply())
	assert.Equal(t, "1-4", a.reply())
	assert.Contains(t, me.reply(), "NOPERM")
	assert.Equal(t, "1-6", third.reply())
	digests := o.digests(a, "XADD s 2-1 a 1")
	assert.Equal(t, digests[0], digests[1])
	b := o.nodes[1]
	require.True(t, b.service.runOnCore(func(broker.View) { assert.LessOrEqual(t, len(b.digests), entries+2+2, "with those behind it") }))
	assert.Equal(t, ":6", serveOn(t, b.service).do("XLEN s"))
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
