package command

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/stream"
	"github.com/conchmq/conch/protocol"
)

// groupNodes are two nodes of an order, with the durable topic orders.
func groupNodes(t *testing.T) (o *oneOrder, a, b *pipe) {
	name := byte('a' - 1)
	o = newOrder(t, func(options *Options) { name++; options.NodeName = string(name) })
	a, b = serveOn(t, o.nodes[0].service), serveOn(t, o.nodes[1].service)
	require.Equal(t, "+OK", a.do("CONFIG SET durable orders"))
	for _, n := range o.nodes { // the test founds no cluster
		n.service.isFounded.Store(true)
	}
	return o, a, b
}

// cursor is the position of orders that a node keeps.
func (n *orderedNode) cursor() (c *stream.Cursor) {
	n.service.RunOnCore(func(broker.View) {
		if c = n.service.streams.state.Cursor("g", "orders"); c == nil {
			c = new(stream.Cursor)
		}
	})
	return c
}

// note has all nodes propose their positions, as the sweeper does once a second.
func (o *oneOrder) note() {
	for _, n := range o.nodes {
		n.service.RunOnCore(n.service.cursors.proposeAll)
	}
}

// awaitCursor waits until all nodes have a position of orders, and its holder is on a node; on none for "".
func (o *oneOrder) awaitCursor(position uint64, node string) {
	o.t.Helper()
	for _, n := range o.nodes {
		eventually(o.t, func() bool {
			o.note()
			c := n.cursor()
			_, of := splitHolder(c.Holder())
			return c.Position() == position && of == node
		}, fmt.Sprint("the position is ", position, ", and moved by ", node))
	}
}

// same checks that all nodes have the same state.
func (o *oneOrder) same() {
	o.t.Helper()
	for o.hold.Lock(); len(o.entries) > 0; o.hold.Lock() {
		o.hold.Unlock()
		runtime.Gosched()
	}
	defer o.hold.Unlock()
	var all [][32]byte
	for _, n := range o.nodes {
		n.service.RunOnCore(func(broker.View) { all = append(all, n.service.streams.state.Digest()) })
	}
	assert.Equal(o.t, all[0], all[1])
	assert.Equal(o.t, o.nodes[0].digests, o.nodes[1].digests)
}

// A subscriber goes on at another node, and that of the first one ends.
func TestAGroupMovesToAnotherNode(t *testing.T) {
	o, a, b := groupNodes(t)
	pub := serveOn(t, o.nodes[0].service)
	a.sends("SUB orders FROM GROUP g\n")
	require.Equal(t, "OK SUB orders", a.line())
	o.awaitCursor(0, "a")
	pub.do("PUBLISH orders one")
	require.Equal(t, "UPDATE orders one", a.line())
	o.awaitCursor(1, "a")

	b.sends("SUB orders FROM GROUP g\n")
	require.Equal(t, "OK SUB orders", b.line())
	assert.Contains(t, a.line(), "ERR closing connection: another one has subscribed from the same group")
	pub.do("PUBLISH orders two")
	require.Equal(t, "UPDATE orders two", b.line())
	o.awaitCursor(2, "b")

	b.sends("UNSUB orders\n")
	require.Equal(t, "OK UNSUB orders", b.line())
	o.awaitCursor(2, "")
	pub.do("PUBLISH orders three")
	c := serveOn(t, o.nodes[0].service)
	c.sends("SUB orders FROM GROUP g\n")
	require.Equal(t, "OK SUB orders", c.line())
	require.Equal(t, "UPDATE orders three", c.line())
	o.same()
}

// take subscribes a new connection of a node from the group.
func (n *orderedNode) take(t *testing.T) *pipe {
	p := serveOn(t, n.service)
	p.sends("SUB orders FROM GROUP g\n")
	require.Equal(t, "OK SUB orders", p.line())
	return p
}

// A subscription that is refused takes nothing: the one before goes on.
func TestARefusedSubscriptionTakesNothing(t *testing.T) {
	const resp = "*2\r\n$10\r\nPSUBSCRIBE\r\n$19\r\norders FROM GROUP g\r\n"
	o, a, b := groupNodes(t)
	require.Equal(t, "+OK", a.do("ACL SETUSER low on nopass +@all ~* &other"))
	holder := o.nodes[0].take(t)
	o.awaitCursor(0, "a")
	before := o.nodes[0].cursor()
	proposed := o.count.Load()

	holder.sends("PSUB orders FROM GROUP g\n")
	assert.Equal(t, "ERR this connection has orders from the group g already, by orders", holder.line())
	b.sends("SUB plain FROM GROUP g\n")
	assert.Contains(t, b.line(), "ERR plain is no durable topic")
	b.sends("*1\r\n$5\r\nMULTI\r\n" + resp)
	assert.Equal(t, "+OK", b.line())
	assert.Equal(t, "-ERR a predicate or a position is not possible inside a transaction", b.line())
	low := serveOn(t, o.nodes[1].service)
	assert.Equal(t, "+OK", low.do("AUTH low x"))
	low.sends("SUB orders FROM GROUP g\n")
	assert.Contains(t, low.line(), "NOPERM")
	assert.Equal(t, proposed+1, o.count.Load(), "plain may have become durable")
	assert.Equal(t, before, o.nodes[1].cursor())

	same := serveOn(t, o.nodes[1].service)
	for range 2 { // what is repeated changes nothing
		same.sends(resp)
		assert.Equal(t, "[psubscribe orders FROM GROUP g :1]", same.reply())
	}
	assert.Equal(t, proposed+2, o.count.Load())
}

// Rights are judged where the take has its place, on all nodes alike.
func TestATakeIsJudgedInItsPlace(t *testing.T) {
	o, a, _ := groupNodes(t)
	require.Equal(t, "+OK", a.do("ACL SETUSER me on nopass +@all ~* &*"))
	holder := o.nodes[0].take(t)
	me := serveOn(t, o.nodes[1].service)
	require.Equal(t, "+OK", me.do("AUTH me x"))
	o.hold.Lock()
	n := o.count.Load()
	a.sends("ACL SETUSER me resetchannels\r\n")
	o.awaitProposals(n + 1)
	me.sends("SUB orders FROM GROUP g\n")
	o.awaitProposals(n + 2)
	o.hold.Unlock()
	assert.Equal(t, "+OK", a.reply())
	assert.Contains(t, me.line(), "NOPERM")
	a.do("PUBLISH orders one")
	assert.Equal(t, "UPDATE orders one", holder.line())
	o.awaitCursor(1, "a")
	o.same()
}

// A connection that ends before its take has its place leaves no holder behind. The one before it ends all the same: the take has its place.
func TestATakerThatVanishes(t *testing.T) {
	o, a, b := groupNodes(t)
	holder := o.nodes[0].take(t)
	o.awaitCursor(0, "a")
	o.hold.Lock()
	n := o.count.Load()
	b.sends("SUB orders FROM GROUP g\n")
	o.awaitProposals(n + 1)
	b.submitEvict(CloseReasonKilled)
	require.True(t, b.service.runOnCore(func(broker.View) { require.True(t, b.executor.evicted) }))
	o.hold.Unlock()
	assert.Contains(t, holder.line(), "ERR closing connection: another one has subscribed from the same group")
	o.awaitCursor(0, "")
	a.do("PUBLISH orders one")
	assert.Equal(t, "UPDATE orders one", o.nodes[1].take(t).line())
	o.same()
}

// A take that is given up is answered so, and changes nothing.
func TestATakeIsGivenUp(t *testing.T) {
	order := &testOrder{proposals: make(chan OrderedEntry, 10)}
	s := newService(t, Options{Unprotected: true, Store: newTestStore(), Order: order})
	applier, p := s.NewApplier(), serveOn(t, s)
	p.sends("CONFIG SET durable orders\r\n")
	order.applyNext(t, applier)
	require.Equal(t, "+OK", p.reply())
	p.sends("PING\r\nSUB orders FROM GROUP g\n")
	e := <-order.proposals
	applier.Lost(e.Parts[0].Token, errors.New("the cluster has no leader"))
	assert.Equal(t, "+PONG", p.line())
	assert.Equal(t, "CLUSTERDOWN the cluster has no leader", p.line())
	e.Parts[0].Token = nil // it takes effect nevertheless
	require.NoError(t, applier.Apply(&e))
	require.True(t, s.runOnCore(func(broker.View) {
		assert.NotEmpty(t, s.streams.state.Cursor("g", "orders").Holder())
		assert.Empty(t, s.cursors.held)
		assert.True(t, s.cursors.order.strays.Load())
	}))
	p.sends("SUB orders FROM GROUP g\n")
	order.applyNext(t, applier)
	assert.Equal(t, "OK SUB orders", p.line())

	order.full = ErrNoRoom
	p.sends("PSUB orders FROM GROUP another\n")
	assert.Equal(t, "OOM command not allowed when used memory > 'maxmemory'.", p.line())
	require.NoError(t, p.sock.Close())
	order.applyNext(t, applier) // nothing holds the position any more
	require.True(t, s.runOnCore(func(broker.View) { assert.Empty(t, s.streams.state.Cursor("g", "orders").Holder()) }))
}

// What another subscription takes while one waits for its predicate is its own.
func TestATakeDuringAGracePeriod(t *testing.T) {
	o, a, b := groupNodes(t)
	s := o.nodes[1].service
	wait := func(p *pipe, where string) (end func()) {
		version := s.versions.enter()
		p.sends("SUB orders FROM GROUP g WHERE " + where + "\n")
		o.awaitCursor(o.nodes[0].cursor().Position(), "b")
		return func() { s.versions.leave(version) }
	}
	end := wait(b, "n > 0")
	a.do(`PUBLISH orders '{"n":1}'`)
	end()
	require.Equal(t, "OK SUB orders WHERE n > 0", b.line())
	require.Equal(t, `UPDATE orders {"n":1}`, b.line())
	o.awaitCursor(1, "b")

	next := serveOn(t, s)
	end = wait(next, "n > 1")
	require.Contains(t, b.line(), "ERR closing connection")
	last := o.nodes[0].take(t)
	end()
	for line := next.line(); !strings.Contains(line, "ERR closing connection: another one"); line = next.line() {
		assert.Contains(t, line, "OK SUB")
	}
	a.do(`PUBLISH orders '{"n":2}'`)
	require.Equal(t, `UPDATE orders {"n":2}`, last.line())
	o.awaitCursor(2, "a")

	gone := serveOn(t, s)
	end = wait(gone, "n > 2")
	require.NoError(t, gone.sock.Close())
	end()
	require.Contains(t, last.line(), "ERR closing connection")
	o.awaitCursor(2, "")
	o.same()
}

// Holders of an earlier start of a node are none any more, and what a former holder reports has no effect.
func TestFormerHolders(t *testing.T) {
	o, a, _ := groupNodes(t)
	a.do("PUBLISH orders one")
	o.note() // what is left of an earlier start is known by now
	applied := func() int {
		o.hold.Lock()
		defer o.hold.Unlock()
		return len(o.nodes[1].digests)
	}
	propose := func(body []byte) {
		n := applied()
		require.NoError(t, o.nodes[0].Propose(body, nil))
		eventually(t, func() bool { return applied() > n }, "it is applied")
	}
	row := protocol.Lookup([]byte("SUB"))
	taken := &cursorTake{holder: "9 9 before a", keys: []cursorKey{{"g", "orders"}}}
	propose(appendTake(appendOrigin(nil, &origin{isBroker: true}), &invocation{row: row, take: taken}))
	o.awaitCursor(1, "")

	p := o.nodes[1].take(t)
	note := cursorNote{cursorKey{"g", "orders"}, "9 9 before a", 7, true}
	propose(note.append([]byte{orderedCursor}))
	o.awaitCursor(1, "b")
	note.holder = o.nodes[0].cursor().Holder()
	note.position, note.ends = 0, false
	propose(note.append([]byte{orderedCursor}))
	assert.Equal(t, uint64(1), o.nodes[1].cursor().Position(), "it does not go back")
	a.do("PUBLISH orders two")
	require.Equal(t, "UPDATE orders two", p.line())
	o.same()
}

// Positions are listed and deleted on all nodes.
func TestCursorsOfNodes(t *testing.T) {
	o, a, b := groupNodes(t)
	p := o.nodes[1].take(t)
	o.awaitCursor(0, "b")
	for _, c := range []*pipe{a, b} {
		assert.Regexp(t, fmt.Sprintf(`^\[\[group g topic orders position [0-9a-f]{16}-0 client %d node b\]\]$`, p.id), c.command("CURSOR", "LIST"))
		assert.Equal(t, fmt.Sprintf("-ERR a client of the node b goes on from orders in the group g; end it there: CLIENT KILL ID %d, "+
			"or, if that node is gone, subscribe from the group here, and leave", p.id), c.command("CURSOR", "DEL", "g", "orders"))
	}
	a.sends("CURSOR LIST\n")
	assert.Equal(t, "OK CURSOR LIST 1", a.line())
	a.line()
	assert.Regexp(t, fmt.Sprintf(`^# g +orders +[0-9a-f]{16}-0 +%d of b$`, p.id), a.line())
	p.sends("UNSUB orders\n" + "*4\r\n$6\r\nCURSOR\r\n$3\r\nDEL\r\n$1\r\ng\r\n$6\r\norders\r\n")
	assert.Equal(t, "OK UNSUB orders", p.line())
	assert.Equal(t, ":1", p.line())
	assert.Equal(t, "[]", b.command("CURSOR", "LIST"))
	o.same()
}

// Each entry reaches one of the connections that take over from each other on two nodes, while others take without a rest.
func TestNodesTakeInTurns(t *testing.T) {
	o, a, b := groupNodes(t)
	const messages, busy = 60, 200
	for _, p := range []*pipe{a, b} { // as fast as they can, of another group
		sent := p.sendsAll(strings.Repeat("SUB orders FROM GROUP h\nUNSUB orders\n", busy))
		done := make(chan struct{})
		go func() {
			defer close(done)
			for line := ""; !strings.Contains(line, "closing connection"); {
				var err error
				if line, err = p.from.ReadString('\n'); err != nil {
					return
				}
			}
		}()
		t.Cleanup(func() { _ = p.sock.Close(); <-done; <-sent })
	}
	pub := serveOn(t, o.nodes[0].service)
	p := o.nodes[0].take(t)
	got := map[string]bool{}
	published := make(chan struct{})
	go func() {
		defer close(published)
		for n := range messages {
			pub.do("PUBLISH orders %d", n)
		}
	}()
	missing := func() (n int) {
		for i := range messages {
			if !got[fmt.Sprint("UPDATE orders ", i)] {
				n++
			}
		}
		return n
	}
	for turn := 1; missing() > 0; turn++ {
		next := o.nodes[turn%2].take(t)
		for line, err := "", error(nil); err == nil && !strings.Contains(line, "closing connection"); {
			line, err = p.from.ReadString('\n') // there is no notice behind a frame that is cut off
			got[strings.TrimSpace(line)] = err == nil
		}
		p = next
		got[p.line()] = true
	}
	<-published
	o.same()
}

// What is cut off is no entry.
func TestBodiesOfCursorsAreWhole(t *testing.T) {
	order := &testOrder{proposals: make(chan OrderedEntry, 10)}
	s := newService(t, Options{Unprotected: true, Store: newTestStore(), Order: order})
	applier := s.NewApplier()
	origin := appendOrigin(nil, &origin{isBroker: true})
	take := appendTake(origin, &invocation{row: protocol.Lookup([]byte("SUB")), take: &cursorTake{holder: "x", keys: []cursorKey{{"g", "t"}, {"h", "t"}}}})
	note := cursorNote{cursorKey{"g", "t"}, "x", 7, true}
	for at := len(origin) + 1; at < len(take); at++ {
		err := applier.decode(&OrderedPart{Body: take[:at]}, new(decodedPart))
		assert.ErrorIs(t, err, errBody, at)
	}
	notes := note.append([]byte{orderedCursor})
	for at := 2; at < len(notes); at++ {
		assert.ErrorIs(t, applier.applyCursors(&OrderedEntry{Parts: []OrderedPart{{Body: notes[:at]}}}), errBody, at)
	}
}
