package command

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/stream"
)

// publishes publishes messages through a Feed, and waits for the result.
func publishes(f *Feed, messages ...FeedMessage) FeedResult {
	result := make(chan FeedResult, 1)
	f.Publish(messages, func(r FeedResult) { result <- r })
	return <-result
}

func newFeed(t *testing.T, s *Service, name string) *Feed {
	f, err := s.OpenFeed(name)
	require.NoError(t, err)
	t.Cleanup(f.Close)
	return f
}

// from is a message to a topic, whose payload is its position in a partition.
func from(topic, partition, position string) FeedMessage {
	return FeedMessage{Topic: []byte(topic), Payload: []byte(position), Partition: partition, Position: position}
}

// A feed publishes in its order, to topics of both kinds. Plain ones drop headers.
func TestAFeedPublishesInOrder(t *testing.T) {
	s, pipes := newStreams(t, newTestStore(), 2)
	p, sub := pipes[0], pipes[1]
	p.do("CONFIG SET durable d*")
	sub.sends("PSUB *\nPSUB d* WHERE header(\"region\") == \"eu\"\nPSUB * WHERE n > 2\n")
	sub.expect("OK PSUB *", `OK PSUB d* WHERE header("region") == "eu"`, "OK PSUB * WHERE n > 2")
	f := newFeed(t, s, "in")
	header := [][]byte{[]byte("region"), []byte("eu")}
	result := publishes(f,
		FeedMessage{Topic: []byte("a"), Payload: []byte("1"), Headers: header},
		FeedMessage{Topic: []byte("a"), Payload: []byte(`{"n":3}`), ID: []byte("x")},
		FeedMessage{Topic: []byte("d"), Payload: []byte("2")},
		FeedMessage{Topic: []byte("d"), Payload: []byte("3"), Headers: header},
		FeedMessage{Topic: []byte(""), Payload: []byte("4")},
		FeedMessage{Topic: []byte("d"), Payload: []byte("5"), ID: []byte("x")},
		FeedMessage{Topic: []byte("d"), Payload: []byte("6"), ID: []byte("x")},
		FeedMessage{Topic: []byte("a"), Payload: []byte("7")},
	)
	assert.Equal(t, 7, result.Published)
	assert.Equal(t, 1, result.Repeated)
	require.Len(t, result.Rejected, 1)
	assert.Equal(t, 4, result.Rejected[0].Index)
	require.NoError(t, result.Err)
	sub.expect("UPDATE a 1", `UPDATE a {"n":3}`, `UPDATE a {"n":3}`, "UPDATE d 2", "UPDATE d 3", "UPDATE d 3", "UPDATE d 5", "UPDATE a 7")
	sub.fence()
	assert.Equal(t, "[[1000-0 [message 2]] [1000-1 [message 3 region eu]] [1000-2 [message 5]]]", p.do("XRANGE d - +"))
	i := s.streams.state.Lookup([]byte("d")).Idempotency()
	assert.Equal(t, []int{stream.MaxDuration, stream.MaxMaxSize}, []int{i.Duration, i.MaxSize})
}

// WHY names the connector that published last, also once its feed is closed: a connector is another feed after each connection. A user
// who may not see clients is not shown it.
func TestWhyNamesAConnector(t *testing.T) {
	s, pipes := newStreams(t, newTestStore(), 1)
	p := pipes[0]
	newFeed(t, s, "other")
	f, err := s.OpenFeed("in")
	require.NoError(t, err)
	require.NoError(t, publishes(f, from("a", "", "1")).Err)
	f.Close()
	assert.Contains(t, p.do("PUBSUB WHY a"), "the last message to it is #1, 0s ago, from connector in")
	assert.Contains(t, p.do("PUBSUB WHY a"), "id null name  user  connector in]")
	again := newFeed(t, s, "in")
	require.NoError(t, publishes(again, from("a", "", "2")).Err)
	assert.Contains(t, p.do("PUBSUB WHY a"), "from connector in")
	p.do("CONFIG SET durable d*")
	require.NoError(t, publishes(again, FeedMessage{Topic: []byte("d"), Payload: []byte("3"), ID: []byte("x")}).Err)
	assert.Contains(t, p.do("PUBSUB WHY d"), "from connector in")
	p.do("XADD d * a b")
	assert.Contains(t, p.do("PUBSUB WHY d"), "from client 1 ")
	p.do("ACL SETUSER ann on nopass allchannels +pubsub|why")
	p.do("AUTH ann x")
	assert.NotContains(t, p.do("PUBSUB WHY a"), "connector in")
}

// Names of feeds that have closed are kept, but not for ever; those of open feeds are.
func TestNamesOfFeedsAreBounded(t *testing.T) {
	var f feedNames
	open, twice := f.enter("open"), f.enter("twice")
	assert.Equal(t, twice, f.enter("twice"), "two of one name")
	f.leave(twice)
	first := f.enter("first")
	f.leave(first)
	assert.Equal(t, first, f.enter("first"), "a connector keeps its id over its connections")
	f.leave(first)
	for i := range maxClosedFeeds {
		assert.Equal(t, "first", f.name(first))
		f.leave(f.enter(fmt.Sprint("other-", i)))
	}
	assert.Empty(t, f.name(first))
	assert.Equal(t, []string{"open", "twice"}, []string{f.name(open), f.name(twice)})
	assert.Len(t, f.names, maxClosedFeeds+2)
	assert.Len(t, f.ids, maxClosedFeeds+2)
	assert.NotEqual(t, first, f.enter("first"), "what another name has published is not that of this one")
}

// Messages that no topic may take are rejected, and the others take effect.
func TestAFeedRejectsMessages(t *testing.T) {
	s := newService(t, Options{Unprotected: true})
	f := newFeed(t, s, "in")
	long := make([]byte, s.options.Limits.Message+1)
	result := publishes(f,
		FeedMessage{Topic: []byte("a"), Payload: long},
		FeedMessage{Topic: long[:s.options.Limits.Topic+1]},
		FeedMessage{Topic: []byte("a"), Headers: [][]byte{long[:1], long}},
		FeedMessage{Topic: []byte("a")},
	)
	require.NoError(t, result.Err)
	assert.Equal(t, 1, result.Published)
	assert.Len(t, result.Rejected, 3)
}

// The position of a source is in the record of its entries: a start from any beginning of the log knows both or neither. So a source
// that goes on behind its position loses nothing, and repeats nothing.
func TestPositionsAreInTheRecordOfTheirEntries(t *testing.T) {
	store := newTestStore()
	s, pipes := newStreams(t, store, 1)
	p := pipes[0]
	p.do("CONFIG SET durable d*")
	f := newFeed(t, s, "in")
	large := strings.Repeat("x", 30_000) // so that a batch needs several records
	n := 0
	for range 20 {
		var batch []FeedMessage
		for i := range 10 {
			n++
			m := from(fmt.Sprint("d", n%3/2), fmt.Sprint(n%2), fmt.Sprint(n))
			if m.Payload = fmt.Appendf(nil, "%d ", n); i%4 == 0 {
				m.Payload = append(m.Payload, large...)
			}
			if i%3 == 0 {
				m.Headers = [][]byte{[]byte("a"), []byte("b")}
			}
			batch = append(batch, m)
		}
		require.NoError(t, publishes(f, batch...).Err)
	}
	records := store.all()
	require.Greater(t, len(records), 20)
	state := stream.New()
	for i, record := range records {
		require.NoError(t, state.ApplyRecord(record))
		newest := map[string]string{}
		for _, earlier := range records[:i+1] {
			require.NoError(t, stream.EachEntry(earlier, 0, func(e *stream.Entry) bool {
				_, _ = e.Fields.Next()
				text, _ := e.Fields.Next()
				number, _, _ := strings.Cut(string(text), " ")
				partition := map[bool]string{true: "1", false: "0"}[(number[len(number)-1]-'0')%2 == 1]
				newest[partition] = number
				return true
			}))
		}
		kept := map[string]string{}
		state.EachSourcePosition("in", func(p *stream.SourcePosition) bool {
			kept[p.Partition()] = p.Position()
			return true
		})
		require.Equal(t, newest, kept, "behind record %d", i+1)
	}
	assert.Equal(t, map[string]string{"0": "200", "1": "199"}, s.Positions("in"))
	assert.Nil(t, s.Positions("i"))
	had, err := s.DropPositions("in")
	require.NoError(t, err)
	assert.True(t, had)
	assert.Nil(t, s.Positions("in"))
}

// Behind a failure nothing more takes effect: a later position would pass what was not taken.
func TestAFeedStopsAtAFailure(t *testing.T) {
	failure := errors.New("the disk is gone")
	for name, fail := range map[string]func(p *pipe, store *testStore){
		"no memory for streams": func(_ *pipe, store *testStore) { store.full.Store(true) },
		"the log has failed":    func(_ *pipe, store *testStore) { store.failed.Store(&failure) },
	} {
		t.Run(name, func(t *testing.T) {
			store := newTestStore()
			s, pipes := newStreams(t, store, 1)
			pipes[0].do("CONFIG SET durable d*")
			f := newFeed(t, s, "in")
			require.NoError(t, publishes(f, from("d", "0", "1")).Err)
			fail(pipes[0], store)
			result := publishes(f, from("plain", "0", "2"), from("d", "0", "3"), from("d2", "0", "4"), from("plain", "0", "5"))
			require.Error(t, result.Err)
			store.full.Store(false)
			store.failed.Store(nil)
			require.Error(t, publishes(f, from("d", "0", "6")).Err)
			assert.Equal(t, map[string]string{"0": "1"}, s.Positions("in"))
			require.NoError(t, publishes(newFeed(t, s, "in"), from("d", "0", "3")).Err, "another one goes on")
			assert.Equal(t, map[string]string{"0": "3"}, s.Positions("in"))
		})
	}
}

// A source with more partitions than conch keeps, or with a giant name of one, fails, and changes nothing.
func TestAFeedWithTooManyPartitions(t *testing.T) {
	s, pipes := newStreams(t, newTestStore(), 1)
	pipes[0].do("CONFIG SET durable d*")
	long := strings.Repeat("x", 1<<20)
	for _, m := range []FeedMessage{from("d", long, "1"), from("d", "0", long)} {
		require.ErrorIs(t, publishes(newFeed(t, s, "in"), m).Err, stream.ErrLongPosition)
	}
	require.ErrorIs(t, publishes(newFeed(t, s, long), from("d", "0", "1")).Err, stream.ErrLongPosition)
	f, n := newFeed(t, s, "in"), 0
	for n < 1_000_000 {
		var batch []FeedMessage
		for range 1000 {
			n++
			batch = append(batch, from("d", fmt.Sprint(n), "1"))
		}
		if result := publishes(f, batch...); result.Err != nil {
			require.ErrorIs(t, result.Err, stream.ErrManyPartitions)
			break
		}
	}
	assert.LessOrEqual(t, s.streams.state.SourcePositions(), stream.MaxSourcePositions)
	assert.Len(t, s.Positions("in"), s.streams.state.Lookup([]byte("d")).Len())
	had, err := s.DropPositions("in")
	require.NoError(t, err)
	assert.True(t, had)
	assert.Zero(t, s.streams.state.SourcePositions())
}

// The result of what is durable waits until that is safe; behind a failure of the log it never is.
func TestAFeedWaitsForTheLog(t *testing.T) {
	store := newTestStore()
	s, pipes := newStreams(t, store, 1)
	pipes[0].do("CONFIG SET durable d*")
	s.runOnCore(func(broker.View) { store.barriers = true })
	f := newFeed(t, s, "in")
	first, second := make(chan FeedResult, 1), make(chan FeedResult, 1)
	f.Publish([]FeedMessage{from("d", "0", "1")}, func(r FeedResult) { first <- r })
	s.runOnCore(func(broker.View) {})
	assert.Empty(t, first)
	s.Synced(2, 2, nil)
	require.NoError(t, (<-first).Err)
	f.Publish([]FeedMessage{from("d", "0", "2")}, func(r FeedResult) { second <- r })
	s.runOnCore(func(broker.View) {})
	failure := errors.New("the disk is gone")
	store.failed.Store(&failure)
	s.Synced(2, 2, failure)
	require.ErrorIs(t, (<-second).Err, failure)
}

// What is on its way when the core stops is resolved.
func TestAFeedEndsWithTheCore(t *testing.T) {
	s, stop := newStoppable(t, Options{Unprotected: true})
	f := newFeed(t, s, "in")
	require.NoError(t, publishes(f, from("a", "", "1")).Err)
	stop()
	assert.ErrorIs(t, publishes(f, from("a", "", "2")).Err, errFeedStopped)
}
