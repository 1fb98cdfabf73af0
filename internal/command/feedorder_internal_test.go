package command

import (
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/broker"
)

// runsConnectors has a node run the connectors, and waits until all nodes know it.
func (o *oneOrder) runsConnectors(n *orderedNode) {
	o.propose(n, n.service.HolderBody())
	require.True(o.t, n.service.RunsConnectors())
}

// propose puts an entry of a node into the order, and waits until it is applied on all of them.
func (o *oneOrder) propose(n *orderedNode, body []byte) {
	applied := make(chan struct{})
	o.entries <- proposedEntry{n, body, applied}
	<-applied
}

// has returns the entries of a stream and the positions of a source, as a node has them.
func (n *orderedNode) has(stream, source string) string {
	return fmt.Sprint(serveOn(n.order.t, n.service).do("XRANGE %s - +", stream), n.service.Positions(source))
}

func durableOrder(t *testing.T) *oneOrder {
	o := newOrder(t, nil)
	serveOn(t, o.nodes[0].service).do("CONFIG SET durable d*")
	return o
}

// What a source publishes on one node takes effect on all of them: entries with headers and ids, positions, and plain messages.
func TestAFeedPublishesOnAllNodes(t *testing.T) {
	o := durableOrder(t)
	a, b := o.nodes[0], o.nodes[1]
	_, err := a.service.OpenFeed("in")
	require.ErrorIs(t, err, errNotHolder)
	o.runsConnectors(a)
	sub := serveOn(t, b.service)
	sub.sends("PSUB * WHERE payload != \"4\"\n")
	sub.expect("OK PSUB * WHERE payload != \"4\"")
	f := newFeed(t, a.service, "in")
	result := publishes(f,
		from("d", "0", "1"),
		FeedMessage{Topic: []byte("d"), Payload: []byte("2"), Headers: [][]byte{[]byte("region"), []byte("eu")}, Partition: "1", Position: "7"},
		FeedMessage{Payload: []byte("no topic")},
		FeedMessage{Topic: []byte("d"), Payload: []byte("3"), ID: []byte("x")},
		FeedMessage{Topic: []byte("d"), Payload: []byte("3"), ID: []byte("x")},
		FeedMessage{Topic: []byte("a"), Payload: []byte("4"), ID: []byte("x")},
		FeedMessage{Topic: []byte("a"), Payload: []byte("5")},
		from("d", "0", "6"),
	)
	require.NoError(t, result.Err)
	assert.Equal(t, []int{7, 1, 2}, []int{result.Published, result.Repeated, result.Rejected[0].Index})
	sub.expect("UPDATE d 1", "UPDATE d 2", "UPDATE d 3", "UPDATE a 5", "UPDATE d 6")
	o.propose(a, nil)
	want := "[[1000-0 [message 1]] [1000-1 [message 2 region eu]] [1000-2 [message 3]] [1000-3 [message 6]]]map[0:6 1:7]"
	assert.Equal(t, want, a.has("d", "in"))
	assert.Equal(t, want, b.has("d", "in"))
	assert.Equal(t, a.digests, b.digests)
	assert.Contains(t, serveOn(t, b.service).do("PUBSUB WHY a"), "from connector in")
}

// What comes while an entry is on its way is in the next one.
func TestBatchesOfAFeedShareAnEntry(t *testing.T) {
	o := durableOrder(t)
	a := o.nodes[0]
	o.runsConnectors(a)
	f := newFeed(t, a.service, "in")
	before := o.count.Load()
	results := make(chan FeedResult, 100)
	o.hold.Lock()
	for n := range 100 {
		f.Publish([]FeedMessage{from("d", "0", fmt.Sprint(n)), {}}, func(r FeedResult) { results <- r })
	}
	o.hold.Unlock()
	for range 100 {
		r := <-results
		assert.NoError(t, r.Err)
		assert.Equal(t, []int{1, 1}, []int{r.Published, len(r.Rejected)})
	}
	assert.LessOrEqual(t, o.count.Load()-before, int32(2))
	assert.Equal(t, 100, a.service.streams.state.Lookup([]byte("d")).Len())
}

// An entry takes no further batch once it is large, whichever part of a message is.
func TestHeadersCountForTheSizeOfAnEntry(t *testing.T) {
	f := &Feed{outstanding: make(chan *feedBatch, 3)}
	value := make([]byte, maxFeedEntry)
	for range cap(f.outstanding) {
		f.outstanding <- newFeedBatch([]FeedMessage{{Topic: []byte("d"), Headers: [][]byte{[]byte("h"), value}}}, nil)
	}
	assert.Len(t, f.gather(<-f.outstanding), 1)
	assert.Len(t, f.outstanding, 2)
}

// Behind the instant at which another node takes over, nothing of the node before takes effect on any node.
func TestANodeThatNoLongerRunsConnectors(t *testing.T) {
	o := durableOrder(t)
	a, b := o.nodes[0], o.nodes[1]
	o.runsConnectors(a)
	p := serveOn(t, a.service)
	p.do("XADD d 1-1 n 1")
	p.do("XGROUP CREATE d g 0")
	f := newFeed(t, a.service, "in")
	require.NoError(t, publishes(f, from("d", "0", "1")).Err)

	result := make(chan FeedResult, 3)
	o.hold.Lock()
	o.entries <- proposedEntry{b, b.service.HolderBody(), nil}
	for n := range 3 {
		f.Publish([]FeedMessage{from("d", "0", fmt.Sprint(n+2)), from("plain", "", "x")}, func(r FeedResult) { result <- r })
	}
	stale := origin{isBroker: true, connector: a.service.holder.Load().token}
	read := appendOrigin(nil, &stale)
	inv := invocation{}
	for _, arg := range []string{"XREADGROUP", "GROUP", "g", "conch", "STREAMS", "d", ">"} {
		inv.args = append(inv.args, []byte(arg))
	}
	o.entries <- proposedEntry{a, appendOrdered(read, &inv, &broker.Request{Op: broker.Reply}), nil}
	o.hold.Unlock()
	for range 3 {
		r := <-result
		assert.ErrorIs(t, r.Err, errNotHolder)
		assert.Zero(t, r.Published)
	}
	o.propose(a, nil)
	for _, n := range o.nodes {
		assert.Equal(t, "[[1-1 [n 1]] [1000-0 [message 1]]]map[0:1]", n.has("d", "in"))
		assert.Equal(t, "[:0 null null null array]", serveOn(t, n.service).do("XPENDING d g"), "it would wait for a sink that has ended")
	}
	assert.Equal(t, a.digests, b.digests)
	assert.False(t, a.service.RunsConnectors())
	_, err := a.service.OpenFeed("in")
	require.ErrorIs(t, err, errNotHolder)
	newFeed(t, b.service, "in")
}

// A connection by which a sink reads ends at the instant at which another node takes over.
func TestASinkHasNoSubscriptionBehindATakeover(t *testing.T) {
	o := durableOrder(t)
	a, b := o.nodes[0], o.nodes[1]
	o.runsConnectors(a)
	sink := newPipe(t, a.service)
	require.NoError(t, sink.ActAsConnector())
	sink.start()
	sink.sends("PSUB *\n")
	sink.expect("OK PSUB *")
	publisher := serveOn(t, b.service)
	publisher.do("PUBLISH plain 1")
	sink.expect("UPDATE plain 1")
	o.hold.Lock()
	o.entries <- proposedEntry{b, b.service.HolderBody(), nil}
	o.hold.Unlock()
	publisher.do("PUBLISH plain 2")
	require.NoError(t, sink.sock.SetReadDeadline(time.Now().Add(10*time.Minute)))
	left, err := io.ReadAll(sink.from)
	require.NoError(t, err)
	assert.NotContains(t, string(left), "plain")
	late := newPipe(t, a.service)
	require.ErrorIs(t, late.ActAsConnector(), errNotHolder)
}

// An outcome that is not known becomes known before the positions are read again.
func TestPositionsAreReadBehindWhatWasLost(t *testing.T) {
	o := durableOrder(t)
	a := o.nodes[0]
	o.runsConnectors(a)
	f := newFeed(t, a.service, "in")
	late := &feedEntry{batches: []*feedBatch{newFeedBatch([]FeedMessage{from("d", "0", "5")}, nil)}}
	o.hold.Lock()
	o.entries <- proposedEntry{a, f.appendBody(nil, late), nil} // the cluster has given it up, and it is in its log
	opened := make(chan map[string]string)
	go func() {
		again, err := a.service.OpenFeed("in")
		assert.NoError(t, err)
		opened <- a.service.Positions("in")
		again.Close()
	}()
	assert.Empty(t, a.service.Positions("in"))
	o.hold.Unlock()
	assert.Equal(t, map[string]string{"0": "5"}, <-opened)
}

// A failure ends a feed: nothing that waits behind it is proposed.
func TestAFailureEndsAFeed(t *testing.T) {
	order := &testOrder{proposals: make(chan OrderedEntry, 10)}
	s := newService(t, Options{Unprotected: true, Store: newTestStore(), Order: order})
	a := s.NewApplier()
	require.NoError(t, a.Apply(&OrderedEntry{Parts: []OrderedPart{{Body: s.HolderBody()}}, Finish: func(uint64) []byte { return nil }}))
	setting := serveOn(t, s)
	setting.sends("CONFIG SET durable d*\n")
	order.applyNext(t, a)
	setting.expect("+OK")
	open := func() *Feed {
		opened := make(chan *Feed)
		go func() {
			f, err := s.OpenFeed("in")
			assert.NoError(t, err)
			opened <- f
		}()
		order.applyNext(t, a)
		f := <-opened
		t.Cleanup(f.Close)
		return f
	}
	results := make(chan FeedResult, 10)
	publish := func(f *Feed, topic string) {
		f.Publish([]FeedMessage{from(topic, "0", "1")}, func(r FeedResult) { results <- r })
	}

	f := open()
	publish(f, "d")
	given := <-order.proposals
	publish(f, "d")
	lost := errors.New("lost")
	a.Lost(given.Parts[0].Token, lost)
	publish(f, "d")
	for range 3 {
		require.ErrorIs(t, (<-results).Err, lost)
	}

	f = open()
	order.full = ErrNoRoom
	publish(f, "plain")
	order.applyNext(t, a)
	require.NoError(t, (<-results).Err)
	publish(f, "d")
	publish(f, "plain")
	for range 2 {
		require.ErrorIs(t, (<-results).Err, ErrNoRoom)
	}
	assert.Empty(t, order.proposals)
	assert.Nil(t, s.Positions("in"))
}
