package local

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/conchmq/conch/internal/connect"
	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// place is a broker, and a server in front of it, of which names that begin with d are durable.
type place struct {
	*Broker
	t      *testing.T
	server *harness.Server
	client *harness.Conn
}

func start(t *testing.T, o server.Options) *place {
	s := harness.Start(t, o)
	p := &place{New(s.Service()), t, s, s.Dial(t)}
	p.do("+OK", "CONFIG", "SET", "durable", "d*")
	return p
}

// do sends a command, and wants a reply.
func (p *place) do(want string, args ...string) {
	p.t.Helper()
	p.client.Command(args...)
	frame, err := p.client.Frame()
	require.NoError(p.t, err)
	if want != "" {
		require.Equal(p.t, want, strings.TrimSpace(string(frame)), args)
	}
}

// publish publishes numbers to a topic.
func (p *place) publish(topic string, from, to int) {
	for n := from; n <= to; n++ {
		p.do("", "PUBLISH", topic, fmt.Sprint(n))
	}
}

// sink opens an outlet, and waits until it gets what is published.
func (p *place) sink(topic, where string) connect.Outlet {
	o, err := p.OpenOutlet(p.t.Context(), connect.OutletOptions{Name: "out", Topic: topic, Where: where})
	require.NoError(p.t, err)
	p.t.Cleanup(o.Close)
	if out := o.(*outlet); out.mayBePlain() {
		harness.Eventually(p.t, func() bool {
			out.mu.Lock()
			defer out.mu.Unlock()
			return out.open != nil && out.open.isSubscribed
		}, "a subscription")
	}
	return o
}

// read reads n messages, and shows them.
func (p *place) read(o connect.Outlet, n int) (all []string, deliveries []*connect.Delivery) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), harness.Patience)
	defer cancel()
	for len(all) < n {
		d, err := o.Next(ctx, n-len(all))
		require.NoError(p.t, err, "behind %q", all)
		for i, m := range d.Messages {
			text := m.Topic + " " + string(m.Payload)
			for _, h := range m.Headers {
				text += " " + h.Name + "=" + h.Value
			}
			if d.Tries != nil && d.Tries[i] > 0 {
				text += fmt.Sprintf(" (%d)", d.Tries[i])
			}
			all = append(all, text)
		}
		deliveries = append(deliveries, d)
	}
	return all, deliveries
}

// take reads n messages, and is done with them.
func (p *place) take(o connect.Outlet, n int) []string {
	p.t.Helper()
	all, deliveries := p.read(o, n)
	for _, d := range deliveries {
		require.NoError(p.t, o.Done(p.t.Context(), d))
	}
	return all
}

// A sink of plain topics gets what its topic and its predicate match, from its start on.
func TestAPlainSink(t *testing.T) {
	p := start(t, server.Options{})
	p.publish("orders.a", 1, 1)
	o := p.sink("orders.*", `topic != "orders.x"`)
	p.publish("orders.a", 2, 4)
	p.publish("other", 5, 5)
	p.publish("orders.x", 5, 5)
	p.publish("orders.b", 6, 6)
	assert.Equal(t, []string{"orders.a 2", "orders.a 3", "orders.a 4", "orders.b 6"}, p.take(o, 4))
	harness.Eventually(t, func() bool { return o.Counts() == connect.OutletCounts{Matched: 4, Filtered: 1} }, "orders.x is counted")
	p.publish("orders.b", 7, 8)
	_, deliveries := p.read(o, 1)
	assert.Equal(t, connect.OutletCounts{Matched: 6, Filtered: 1, Pending: 2}, o.Counts())
	p.publish("orders.x", 9, 9)
	o.Written(deliveries[0], 1)
	o.Close()
	assert.Equal(t, connect.OutletCounts{Matched: 6, Filtered: 2, Lost: 1}, o.Counts(), "what is neither done nor written is lost")
}

// A sink that reads nothing loses the oldest messages, all of which are counted, and its connection stays.
func TestASlowSinkLosesTheOldest(t *testing.T) {
	p := start(t, server.Options{SlowHard: 64 << 10})
	o := p.sink("a", "")
	payload := strings.Repeat("x", 1000)
	const total = 1000
	for range total {
		p.do(":1", "PUBLISH", "a", payload)
	}
	p.do(":1", "PUBLISH", "a", "last")
	ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
	defer cancel()
	taken := uint64(0)
	for last := ""; last != "last"; {
		d, err := o.Next(ctx, 100)
		require.NoError(t, err)
		require.NoError(t, o.Done(ctx, d))
		taken += uint64(len(d.Messages))
		last = string(d.Messages[len(d.Messages)-1].Payload)
	}
	c := o.Counts()
	assert.Equal(t, uint64(total+1), c.Matched)
	assert.Equal(t, uint64(total+1), c.Lost+taken)
	assert.Positive(t, c.Lost)
	assert.Zero(t, c.Pending)
}

// A sink of durable topics gets all entries that are kept, with their headers, of streams that are made later too. The predicate holds for entries.
func TestADurableSink(t *testing.T) {
	p := start(t, server.Options{})
	p.do("", "XADD", "d1", "*", "region", "eu", "message", "1", "n", "5")
	p.do("", "XADD", "other", "*", "message", "2", "n", "5")
	p.do("", "XADD", "d1", "*", "message", "3", "n", "1")
	o := p.sink("d*", `header("n") != 1`)
	assert.Equal(t, []string{"d1 1 region=eu n=5"}, p.take(o, 1))
	p.do("", "XADD", "d2", "*", "message", "4", "n", "5")
	p.do("", "XADD", "d2", "*", "price", "4", "n", "5")
	assert.Equal(t, []string{"d2 4 n=5"}, p.take(o, 1))
	harness.Eventually(t, func() bool {
		lag, pending := p.service.GroupBacklog("connect:out", []string{"d1", "d2"})
		return lag == 0 && len(pending) == 0 && o.Counts().Pending == 0 // the sink itself sees it last
	}, "all is acknowledged")
	c := o.Counts()
	c.Lag = 0
	assert.Equal(t, connect.OutletCounts{Matched: 2, Filtered: 2}, c)
}

// What a sink has read and is not done with comes again, first, with the number of its deliveries.
func TestPendingEntriesComeAgain(t *testing.T) {
	p := start(t, server.Options{})
	p.publish("d1", 1, 4)
	o := p.sink("d1", "")
	_, deliveries := p.read(o, 3)
	require.NoError(t, o.Done(t.Context(), deliveries[0]))
	for _, d := range deliveries[1:] {
		require.NotEmpty(t, d.Messages)
	}
	done := len(deliveries[0].Messages)
	o.Close()
	assert.Equal(t, connect.OutletCounts{Matched: uint64(done)}, o.Counts(), "they are not matched yet")
	p.publish("d1", 5, 5)
	again := p.sink("d1", "")
	got := p.take(again, 5-done)
	assert.Equal(t, "d1 5", got[len(got)-1])
	if done < 4 {
		assert.Equal(t, fmt.Sprintf("d1 %d (1)", done+1), got[0])
	}
}

// A sink of both kinds gets each message once: entries from groups, others from its subscription.
func TestASinkOfBothKinds(t *testing.T) {
	p := start(t, server.Options{})
	o := p.sink("*", "")
	p.publish("a", 1, 50)
	p.publish("d1", 51, 100)
	got := map[string]int{}
	for _, text := range p.take(o, 100) {
		got[text]++
	}
	assert.Len(t, got, 100)
	p.publish("a", 101, 101)
	assert.Equal(t, []string{"a 101"}, p.take(o, 1), "nothing came twice")
	harness.Eventually(t, func() bool { return o.Counts() == connect.OutletCounts{Matched: 101} }, "the last acknowledgement")
}

// What is on its way when pending entries are read does not come again, although it is acknowledged before the sink looks at them.
func TestEntriesOnTheirWayComeOnce(t *testing.T) {
	o := &outlet{}
	flying := &delivery{kind: durable, ids: []string{"1-1"}, left: 1}
	flying.Messages, flying.whole = []connect.Message{{Topic: "d1"}}, flying
	o.begin(flying)
	g, d := &groups{outlet: o, skipped: o.flyingOf("d1")}, &delivery{kind: durable}
	o.countDone(flying)
	o.end(flying, 1, true)
	for _, id := range []string{"1-1", "1-2"} {
		g.add(d, "d1", id, []any{[]byte("message"), []byte("x")}, map[string]int{})
	}
	assert.Equal(t, []string{"1-2"}, d.ids)
	assert.Empty(t, o.flyingOf("d1"))
}

// A topic that becomes durable goes on as such; what is on its way comes once.
func TestATopicOfASinkBecomesDurable(t *testing.T) {
	p := start(t, server.Options{})
	o := p.sink("*", "")
	p.publish("d1", 1, 5)
	_, held := p.read(o, 2)
	p.do("+OK", "CONFIG", "SET", "durable", "d* e*")
	harness.Eventually(t, func() bool {
		o.(*outlet).mu.Lock()
		defer o.(*outlet).mu.Unlock()
		return o.(*outlet).open != nil && o.(*outlet).open.isSubscribed && o.(*outlet).open.durable == p.service.DurableTopics()
	}, "a new subscription")
	p.publish("e1", 6, 7)
	for _, d := range held {
		require.NoError(t, o.Done(t.Context(), d))
	}
	got := map[string]bool{}
	for _, text := range p.take(o, 5) {
		text, _, _ = strings.Cut(text, " (")
		assert.False(t, got[text], text)
		got[text] = true
	}
	assert.Len(t, got, 5)
}

// A connection that is killed, a group and a stream that go, are no end: the sink goes on.
func TestASinkGoesOn(t *testing.T) {
	p := start(t, server.Options{})
	o := p.sink("*", "")
	p.publish("d1", 1, 1)
	p.publish("a", 2, 2)
	p.take(o, 2)
	p.do(":1", "XGROUP", "DESTROY", "d1", "connect:out")
	assert.Equal(t, []string{"d1 1"}, p.take(o, 1), "a new group begins with the oldest entry")
	p.do(":1", "DEL", "d1")
	p.publish("d2", 3, 3)
	assert.Equal(t, []string{"d2 3"}, p.take(o, 1))
	open := func() *subscription {
		o.(*outlet).mu.Lock()
		defer o.(*outlet).mu.Unlock()
		return o.(*outlet).open
	}
	killed := open()
	p.do("", "CLIENT", "KILL", "TYPE", "pubsub")
	harness.Eventually(t, func() bool { s := open(); return s != nil && s != killed }, "another subscription")
	p.publish("d2", 4, 4)
	assert.Equal(t, []string{"d2 4"}, p.take(o, 1))
}

// A sink that matches more streams than one may read reports it, and reads again once they are fewer.
func TestTooManyStreams(t *testing.T) {
	p := start(t, server.Options{})
	for i := range maxStreams + 1 {
		p.publish(fmt.Sprint("d", i), i, i)
	}
	o := p.sink("d*", "")
	ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
	defer cancel()
	for {
		_, err := o.Next(ctx, 1)
		require.Error(t, err)
		if !errors.Is(err, context.DeadlineExceeded) {
			assert.ErrorContains(t, err, "1000 durable topics")
			break
		}
	}
	p.do(":1", "DEL", "d7")
	p.do(":1", "DEL", "d8")
	harness.Eventually(t, func() bool {
		d, err := o.Next(ctx, 10)
		return err == nil && len(d.Messages) > 0
	}, "entries")
}

func TestAnInput(t *testing.T) {
	p := start(t, server.Options{})
	in, err := p.OpenInput(t.Context(), connect.InputOptions{Name: "in"})
	require.NoError(t, err)
	assert.Nil(t, in.Positions())
	assert.True(t, in.Durable("d*"))
	assert.False(t, in.Durable("*"))
	r := in.Publish([]connect.Message{
		{Topic: "d1", Payload: []byte("1"), Headers: []connect.Header{{Name: "a", Value: "b"}}, Partition: "0", Position: "17"},
		{Topic: "", Payload: []byte("2")},
		{Topic: "d1", Payload: []byte("3"), ID: "x"},
		{Topic: "d1", Payload: []byte("3"), ID: "x"},
	})
	<-r.Done()
	require.NoError(t, r.Result().Err)
	assert.Equal(t, []int{3, 1, 1}, []int{r.Result().Published, r.Result().Repeated, r.Result().Rejected[0].Index})
	in.Close()
	again, err := p.OpenInput(t.Context(), connect.InputOptions{Name: "in"})
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"0": "17"}, again.Positions())
	again.Close()
	had, err := p.DropPositions(t.Context(), "in")
	require.NoError(t, err)
	assert.True(t, had)
	assert.Equal(t, []string{"d1 1 a=b", "d1 3"}, p.take(p.sink("d1", ""), 2))
}

// What the other side has stays in the account of a sink that ends before it could acknowledge: it was sent. What was not done comes again.
func TestWhatIsDoneAndNotAcknowledgedStaysMatched(t *testing.T) {
	closed := make(chan struct{})
	close(closed)
	o := &outlet{stop: func() {}, stopped: closed}
	o.acks = &acks{outlet: o, done: make(chan *delivery, 1), closing: make(chan struct{}), ended: closed, stop: func() {}}
	begin := func(n int) *delivery {
		d := &delivery{kind: durable, left: n}
		d.Messages, d.whole = make([]connect.Message, n), d
		o.begin(d)
		return d
	}
	sent := begin(3)
	begin(2)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for range 50 { // chance has no say
		require.NoError(t, o.Done(ended, &connect.Delivery{Handle: sent}), "there is room")
		<-o.acks.done
	}
	o.acks.done <- sent
	also := &connect.Delivery{Handle: begin(4)}
	for range 2 {
		require.ErrorIs(t, o.Done(ended, also), context.Canceled, "as many wait as may")
	}
	assert.Equal(t, connect.OutletCounts{Matched: 9, Pending: 9}, o.Counts())
	o.Written(also, 4)
	o.Written(&connect.Delivery{Handle: begin(5)}, 2)
	o.Close()
	assert.Equal(t, connect.OutletCounts{Matched: 9}, o.Counts(), "3 and 4 that are done, and 2 that were written")
}

// A close notice may come before the reply to a command, and is no reply.
func TestACloseNoticeIsNoReply(t *testing.T) {
	const notice = ">3\r\n$7\r\nclosing\r\n$4\r\nslow\r\n$4\r\ntext\r\n"
	before := func(frames string) *conn { return &conn{in: bufio.NewReader(strings.NewReader(frames))} }
	_, err := before(notice + ":1\r\n").value(t.Context())
	require.ErrorIs(t, err, errEnded)
	_, err = before(notice + "*0\r\n").length(t.Context())
	require.ErrorIs(t, err, errEnded)
	push, err := before(">3\r\n$10\r\npsubscribe\r\n$1\r\na\r\n:1\r\n").value(t.Context())
	require.NoError(t, err)
	assert.Len(t, push, 3, "the reply to PSUBSCRIBE is a push, too")
}
