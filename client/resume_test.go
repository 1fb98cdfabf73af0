package client

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/faulty"
	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/internal/invariant"
	"github.com/conchmq/conch/internal/testseed"
	"github.com/conchmq/conch/server"
)

// killSubscribers ends the connections of all subscriptions.
func killSubscribers(t *testing.T, s *harness.Server) {
	t.Helper()
	admin := s.Dial(t)
	admin.Command("CLIENT", "KILL", "TYPE", "pubsub")
	admin.Line()
}

// delivery is a message as one name of a subscription has it.
type delivery struct {
	name string
	seq  uint64
}

// modelOf returns what names are owed of the messages that a run publishes. The payload of each is as many bytes as the
// predicate compares.
func modelOf(messages []*Message, names []Name) (owed []delivery) {
	for _, m := range messages {
		for _, n := range names {
			glob, _, hasPredicate := strings.Cut(n.text, whereSep)
			matches := glob == m.Topic || glob == "*" || glob == "a?" && len(m.Topic) == 2 && m.Topic[0] == 'a'
			if matches && (!hasPredicate || len(m.Payload) > 4) {
				owed = append(owed, delivery{n.text, m.Sequence})
			}
		}
	}
	return owed
}

// resumption is a run of one subscription over connections that break.
type resumption struct {
	names  []Name
	topics []string
	from   string // position of the names; empty: none
}

// play publishes to the server, while the connections of a subscription are cut at the places that cutAt gives: 0 is
// nowhere. It checks that each name gets each of its messages once, in order, and returns the events that are no
// messages, and the number of connections.
func (r *resumption) play(t *testing.T, s *harness.Server, messages int, cutAt func(connection uint64) int64) (others []Event, connections int64) {
	proxy, err := faulty.Start(s.Addr, func(connection uint64) faulty.Plan {
		if connection == 0 { // for publishing, and not used
			return faulty.Plan{}
		}
		return faulty.Plan{CutAt: cutAt(connection - 1), CutReset: connection%2 == 0}
	})
	require.NoError(t, err)
	defer proxy.Shut()
	direct := connect(t, Options{Addr: s.Addr, Sequences: true})
	names := slices.Clone(r.names)
	for i := range names {
		if r.from != "" {
			names[i] = names[i].From(r.from)
		}
	}
	var sub *Subscription
	c := connect(t, Options{Addr: proxy.Addr(), Sequences: true})
	harness.Eventually(t, func() bool {
		sub, err = c.Subscribe(t.Context(), names...)
		return err == nil
	}, "one connection lasts long enough")
	defer func() { require.NoError(t, sub.Close()) }()
	var published []*Message
	for i := range messages {
		m := &Message{Topic: r.topics[i%len(r.topics)], Payload: fmt.Appendf(nil, "%d", 10*i*i)}
		got, err := direct.Publish(t.Context(), m.Topic, m.Payload)
		require.NoError(t, err)
		m.Sequence = got.Sequence
		published = append(published, m)
	}
	owed := map[string][]delivery{}
	left := 0
	for _, d := range modelOf(published, r.names) {
		owed[d.name] = append(owed[d.name], d)
		left++
	}
	for e, err := range sub.All(t.Context()) {
		require.NoError(t, err)
		m, ok := e.(*Message)
		if !ok {
			others = append(others, e)
			continue
		}
		name := m.Pattern
		if name == "" {
			name = m.Topic
		}
		require.NotEmpty(t, owed[name], "%s is owed nothing more", name)
		want := owed[name][0]
		require.Equal(t, want, delivery{name, m.Sequence})
		owed[name] = owed[name][1:]
		if left--; left == 0 {
			break
		}
	}
	// Nothing comes behind it, twice for example.
	end, err := direct.Publish(t.Context(), "end", nil)
	require.NoError(t, err)
	if slices.Contains(r.names, Pattern("*")) {
		for {
			e, err := sub.Next(t.Context())
			require.NoError(t, err)
			if m, ok := e.(*Message); ok {
				require.Equal(t, end.Sequence, m.Sequence)
				return others, proxy.Conns()
			}
			others = append(others, e)
		}
	}
	return others, proxy.Conns()
}

// Connections are cut behind each byte. Without a hole, and without a double.
func TestResumeAtEveryByte(t *testing.T) {
	step := int64(4) // each run begins at another byte
	if invariant.On {
		step = 20
	}
	if testing.Short() {
		step = 40
	}
	for name, r := range map[string]*resumption{
		"one topic":               {names: []Name{Topic("a")}, topics: []string{"a", "b"}},
		"topics":                  {names: []Name{Topic("a"), Topic("a1"), Topic("b*")}, topics: []string{"a", "a1", "b*", "c"}},
		"each message twice":      {names: []Name{Topic("a"), Pattern("*"), Pattern("a?")}, topics: []string{"a", "a1", "b"}},
		"predicates":              {names: []Name{Topic("a").Where("size > 4"), Pattern("*").Where("size > 4"), Topic("a")}, topics: []string{"a", "b"}},
		"topic and pattern alike": {names: []Name{Topic("a"), Topic("b"), Pattern("b").Where("size > 4")}, topics: []string{"a", "b"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := harness.Start(t, server.Options{Recent: 1 << 20}) // of its own, because * has all messages
			resumed := 0
			for at := 1 + rand.Int64N(step); ; at += step {
				others, connections := r.play(t, s, 12, func(connection uint64) int64 {
					switch connection {
					case 0:
						return at
					case 1, 2: // resumes that break off, in the handshake or in the replay
						return 1 + at*int64(30+connection)%1000
					}
					return 0
				})
				if t.Failed() {
					t.Fatalf("cut behind byte %d", at)
				}
				for _, e := range others {
					switch e.(type) {
					case *Resumed:
						resumed++
					case *Disconnected:
					default:
						require.Fail(t, "something is missing", "%s, cut behind byte %d", describe(e), at)
					}
				}
				if connections == 2 { // that for publishing, and one that was not cut
					break
				}
			}
			t.Logf("%d resumes", resumed)
			assert.NotZero(t, resumed)
		})
	}
}

// Any place, any number of names, with messages that come meanwhile.
func TestResumeOverABadNetwork(t *testing.T) {
	seed := *faultSeed
	if seed == 0 {
		seed = testseed.New() >> 1
	}
	t.Logf("-fault.seed=%d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	s := harness.Start(t, server.Options{Recent: 16 << 20})
	p, err := faulty.Start(s.Addr, func(number uint64) faulty.Plan {
		if number == 0 || number > 60 {
			return faulty.Plan{}
		}
		return faulty.Plan{CutAt: 400 + int64(rand.New(rand.NewPCG(seed, number)).IntN(20_000)), Seed: number}
	})
	require.NoError(t, err)
	t.Cleanup(p.Shut)
	direct := connect(t, Options{Addr: s.Addr, Sequences: true})
	c := connect(t, Options{Addr: p.Addr(), Sequences: true})
	names := []Name{Topic("a"), Pattern("*"), Topic("a1").Where("size > 4")}
	var sub *Subscription
	harness.Eventually(t, func() bool {
		sub, err = c.Subscribe(t.Context(), names...)
		return err == nil
	}, "one connection lasts long enough")
	var published []*Message
	var publishing sync.WaitGroup
	var stop atomic.Bool
	publishing.Go(func() {
		for i := 0; !stop.Load(); i++ {
			m := &Message{Topic: []string{"a", "a1", "b"}[rng.IntN(3)], Payload: fmt.Append(nil, rng.IntN(1e6))}
			got, err := direct.Publish(t.Context(), m.Topic, m.Payload)
			if !assert.NoError(t, err) {
				return
			}
			m.Sequence = got.Sequence
			published = append(published, m)
		}
		_, err := direct.Publish(t.Context(), "end", nil)
		assert.NoError(t, err)
	})
	got := map[string][]delivery{}
	resumed := 0
	for e, err := range sub.All(t.Context()) {
		require.NoError(t, err)
		m, ok := e.(*Message)
		if ok && m.Topic == "end" {
			break
		}
		switch e := e.(type) {
		case *Message:
			name := m.Pattern
			if name == "" {
				name = m.Topic
			}
			got[name] = append(got[name], delivery{name, m.Sequence})
		case *Resumed:
			resumed++
		case *Disconnected:
		default:
			require.Fail(t, "something is missing", "%s", describe(e))
		}
		if p.Conns() > 60 {
			stop.Store(true)
		}
	}
	publishing.Wait()
	assert.NotZero(t, resumed)
	want := map[string][]delivery{}
	for _, d := range modelOf(published, names[:2]) {
		want[d.name] = append(want[d.name], d)
	}
	for _, m := range published {
		if m.Topic == "a1" && len(m.Payload) > 4 {
			want[names[2].text] = append(want[names[2].text], delivery{names[2].text, m.Sequence})
		}
	}
	for name := range want {
		require.Equal(t, want[name], got[name], name)
	}
	require.Len(t, got, len(want))
}

// Thousands of names resume, each from where it was.
func TestThousandsOfNamesResume(t *testing.T) {
	s := harness.Start(t, server.Options{Recent: 16 << 20})
	direct := connect(t, Options{Addr: s.Addr})
	sub, gate := listenGated(t, s, func(c *Client) *Subscription {
		var names []Name
		for i := range 2500 {
			names = append(names, Topic(fmt.Sprint("topic", i)), Pattern(fmt.Sprintf("topic%d", i)))
		}
		return listenTo(t, c, names...)
	})
	const each = 3
	gate.Store(false)
	killSubscribers(t, s)
	assert.IsType(t, &Disconnected{}, mustNext(t, sub))
	for i := range 2500 * each {
		_, err := direct.Publish(t.Context(), fmt.Sprint("topic", i%2500), nil)
		require.NoError(t, err)
	}
	gate.Store(true)
	assert.IsType(t, &Resumed{}, mustNext(t, sub))
	last, count := map[string]uint64{}, map[string]int{}
	for range 2 * 2500 * each {
		m := mustNext(t, sub).(*Message)
		key := m.Pattern + "|" + m.Topic
		require.Less(t, last[key], m.Sequence)
		last[key] = m.Sequence
		count[key]++
	}
	require.Len(t, count, 5000)
	for key, n := range count {
		require.Equal(t, each, n, key)
	}
	require.NoError(t, sub.Remove(t.Context(), Topic("topic1"), Pattern("topic2")))
	assert.IsType(t, &NamesChanged{}, mustNext(t, sub))
	assert.Equal(t, 1, mustPublish(t, direct, "topic1", ""))
	assert.Equal(t, 1, mustPublish(t, direct, "topic2", ""))
	assert.Equal(t, 2, mustPublish(t, direct, "topic3", ""))
	assert.Equal(t, "topic1", mustNext(t, sub).(*Message).Pattern)
	assert.Empty(t, mustNext(t, sub).(*Message).Pattern)
}

func mustNext(t *testing.T, s *Subscription) Event {
	t.Helper()
	e, err := s.Next(t.Context())
	require.NoError(t, err)
	return e
}

// listenGated subscribes over a Dialer that fails while the gate is false.
func listenGated(t *testing.T, s *harness.Server, listen func(c *Client) *Subscription) (sub *Subscription, gate *atomic.Bool) {
	gate = new(atomic.Bool)
	gate.Store(true)
	c := connect(t, Options{Sequences: true, Dialer: func(ctx context.Context, network, _ string) (net.Conn, error) {
		if !gate.Load() {
			return nil, errRefused
		}
		return new(net.Dialer).DialContext(ctx, network, s.Addr)
	}})
	return listen(c), gate
}

// What the server no longer keeps is reported, and the rest comes.
func TestResumeFromWhatIsGone(t *testing.T) {
	s := harness.Start(t, server.Options{Recent: 64 << 10})
	direct := connect(t, Options{Addr: s.Addr, Sequences: true})
	for name, counted := range map[string]bool{"*": true, "a*": false} {
		sub, gate := listenGated(t, s, func(c *Client) *Subscription { return listenTo(t, c, Pattern(name)) })
		first, err := direct.Publish(t.Context(), "a", nil)
		require.NoError(t, err)
		mustNext(t, sub)
		gate.Store(false)
		killSubscribers(t, s)
		assert.IsType(t, &Disconnected{}, mustNext(t, sub))
		for range 100 {
			mustPublish(t, direct, "a", strings.Repeat("x", 4<<10))
		}
		gate.Store(true)
		assert.Equal(t, first.Sequence, mustNext(t, sub).(*Resumed).After)
		missed := mustNext(t, sub).(*Missed)
		assert.Equal(t, []any{name, first.Sequence}, []any{missed.Name, missed.After})
		next := mustNext(t, sub).(*Message)
		gone := int(next.Sequence - first.Sequence - 1)
		assert.NotZero(t, gone)
		if counted {
			assert.Equal(t, gone, missed.Count)
		} else {
			assert.Zero(t, missed.Count)
		}
		for seq := next.Sequence + 1; seq <= first.Sequence+100; seq++ {
			assert.Equal(t, seq, mustNext(t, sub).(*Message).Sequence)
		}
		require.NoError(t, sub.Close())
	}
}

// Of a server that was started anew, all that it keeps comes. What the one before published behind the last message is lost.
func TestResumeOverARestart(t *testing.T) {
	for _, recent := range []int{0, 1 << 20} {
		first, second := harness.Start(t, server.Options{Recent: 1 << 20}), harness.Start(t, server.Options{Recent: recent})
		var now atomic.Pointer[harness.Server]
		now.Store(first)
		c := connect(t, Options{Sequences: true, Dialer: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, now.Load().Addr)
		}})
		sub := listenTo(t, c, Topic("a"), Pattern("*"))
		mustPublish(t, c, "a", "")
		events(t, sub, 2)
		now.Store(second)
		direct := connect(t, Options{Addr: second.Addr})
		mustPublish(t, direct, "a", "since the restart")
		killSubscribers(t, first)
		assert.IsType(t, &Disconnected{}, mustNext(t, sub))
		back := mustNext(t, sub).(*Reconnected)
		assert.Equal(t, []any{false, uint64(1), uint64(1)}, []any{back.SameEpoch, back.After, back.Before})
		if recent > 0 {
			assert.Equal(t, []string{
				"a||since the restart " + back.Epoch + ":1<0", "a|*|since the restart " + back.Epoch + ":1<0",
			}, events(t, sub, 2))
		}
		mustPublish(t, direct, "b", "live")
		assert.Equal(t, fmt.Sprintf("b|*|live %s:2<%d", back.Epoch, min(recent, 1)), events(t, sub, 1)[0])
		killSubscribers(t, second)
		events(t, sub, 1)
		if recent > 0 {
			assert.Equal(t, "resumed "+back.Epoch+" behind 2", events(t, sub, 1)[0])
		} else {
			assert.Equal(t, "reconnected "+back.Epoch+" true, 2 to 2", events(t, sub, 1)[0])
		}
	}
}

// A server that is restarted, and whose sequence goes on: a subscription goes on, too. What the restart has taken is reported.
func TestResumeWhereTheSequenceGoesOn(t *testing.T) {
	for _, missed := range []bool{false, true} {
		const one, two = "a00000000000000a", "b00000000000000b"
		first := harness.Start(t, server.Options{Recent: 1 << 20, Epoch: one})
		last := uint64(1) // of the first start
		if missed {
			last = 2
		}
		second := harness.Start(t, server.Options{
			Recent: 1 << 20, Epoch: two, Sequence: last, Earlier: []string{one},
			Resolve: func(epoch string, n uint64) (uint64, bool) { return n, epoch == one && n <= last+1 },
		})
		var now atomic.Pointer[harness.Server]
		now.Store(first)
		c := connect(t, Options{Sequences: true, Dialer: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, now.Load().Addr)
		}})
		sub := listenTo(t, c, Topic("a"))
		mustPublish(t, c, "a", "before")
		events(t, sub, 1)
		now.Store(second)
		direct := connect(t, Options{Addr: second.Addr})
		mustPublish(t, direct, "a", "since")
		killSubscribers(t, first)
		assert.IsType(t, &Disconnected{}, mustNext(t, sub))
		assert.Equal(t, "resumed "+two+" behind 1", events(t, sub, 1)[0])
		if missed {
			assert.IsType(t, &Missed{}, mustNext(t, sub))
		}
		assert.Contains(t, events(t, sub, 1)[0], fmt.Sprintf("a||since %s:%d", two, last+1))
		mustPublish(t, direct, "a", "live")
		assert.Contains(t, events(t, sub, 1)[0], fmt.Sprintf("a||live %s:%d", two, last+2))
		killSubscribers(t, second)
		assert.IsType(t, &Disconnected{}, mustNext(t, sub))
		assert.Equal(t, fmt.Sprintf("resumed %s behind %d", two, last+2), events(t, sub, 1)[0])
	}
}

// A user without the right to PSUBSCRIBE cannot resume, and gets the range of what may be missing. The right to a topic
// is enough otherwise.
func TestTheRightToResume(t *testing.T) {
	s := harness.Start(t, server.Options{Recent: 1 << 20})
	admin := s.Dial(t)
	for user, rule := range map[string]string{"may": "+@all", "maynot": "-psubscribe"} {
		admin.Command("ACL", "SETUSER", user, "on", ">desk", "resetchannels", "&desk.*", "+@all", rule)
		admin.Expect("+OK\r\n")
		c := connect(t, Options{Addr: s.Addr, Username: user, Password: "desk", Sequences: true})
		sub := listenTo(t, c, Topic("desk.a"))
		mustPublish(t, c, "desk.a", "")
		epoch := mustNext(t, sub).(*Message).Epoch
		killSubscribers(t, s)
		events(t, sub, 1)
		if rule == "+@all" {
			assert.IsType(t, new(Resumed), mustNext(t, sub))
		} else {
			back := mustNext(t, sub).(*Reconnected)
			assert.Equal(t, []any{true, back.After}, []any{back.SameEpoch, back.Before})
		}
		mustPublish(t, c, "desk.a", "live")
		assert.Contains(t, events(t, sub, 1)[0], "desk.a||live "+epoch)
		require.NoError(t, sub.Close())
	}
}

// Names that are added and removed around a resume.
func TestNamesChangeAroundAResume(t *testing.T) {
	s := harness.Start(t, server.Options{Recent: 1 << 20})
	direct := connect(t, Options{Addr: s.Addr, Sequences: true})
	sub, gate := listenGated(t, s, func(c *Client) *Subscription { return listenTo(t, c, Topic("a"), Pattern("*")) })
	mustPublish(t, direct, "a", "1")
	events(t, sub, 2)
	gate.Store(false)
	killSubscribers(t, s)
	events(t, sub, 1)
	require.NoError(t, sub.Add(t.Context(), Topic("b"), Topic("c").From("0")))
	require.NoError(t, sub.Remove(t.Context(), Pattern("*")))
	for _, topic := range []string{"a", "b", "c"} {
		mustPublish(t, direct, topic, "2")
	}
	gate.Store(true)
	all := events(t, sub, 4)
	assert.Contains(t, all[0], "names changed: [")
	assert.Contains(t, all[1], "resumed ")
	slices.Sort(all[2:]) // two commands
	assert.Contains(t, all[2], "a||2 ")
	assert.Contains(t, all[3], "c||2 ")
	require.NoError(t, sub.Add(t.Context(), Pattern("a"), Topic("a2").Last(2)))
	events(t, sub, 1)
	require.NoError(t, sub.Remove(t.Context(), Topic("a"), Topic("c"), Topic("a2")))
	mustPublish(t, direct, "a", "3")
	for {
		if m, ok := mustNext(t, sub).(*Message); ok {
			assert.Equal(t, []string{"a", "3"}, []string{m.Pattern, string(m.Payload)})
			break
		}
	}
	assert.Equal(t, 0, mustPublish(t, direct, "a2", ""))
	assert.Equal(t, 0, mustPublish(t, direct, "c", ""))
	assert.Equal(t, 1, mustPublish(t, direct, "b", "4"))
	assert.Contains(t, events(t, sub, 1)[0], "b||4 ")
}

// A subscription begins in the past, and goes on behind its last message.
func TestPositions(t *testing.T) {
	s := harness.Start(t, server.Options{Recent: 1 << 20})
	direct := connect(t, Options{Addr: s.Addr, Sequences: true})
	for i := range 4 {
		mustPublish(t, direct, "a", fmt.Sprint(i+1))
		mustPublish(t, direct, "b", fmt.Sprint(i+1))
	}
	epoch := direct.pipe.conn.epoch
	for _, test := range []struct {
		name Name
		want []string
	}{
		{Topic("a").Last(2), []string{"a||3 :5<0", "a||4 :7<5"}},
		{Topic("a").From(epoch + "-6"), []string{"a||4 :7<0"}},
		{Pattern("*").From("#7").Where("size > 0"), []string{"a|* WHERE size > 0|4 :7<0", "b|* WHERE size > 0|4 :8<7"}},
		{Topic("b").Where("size > 0").Last(1), []string{"b|b WHERE size > 0|4 :8<0"}},
		{Pattern("[b]").From("-1h"), []string{"b|[b]|1 :2<0", "b|[b]|2 :4<2", "b|[b]|3 :6<4", "b|[b]|4 :8<6"}},
	} {
		c := connect(t, Options{Addr: s.Addr})
		sub := listenTo(t, c, test.name)
		for i := range test.want {
			test.want[i] = strings.Replace(test.want[i], " :", " "+epoch+":", 1)
		}
		assert.Equal(t, test.want, events(t, sub, len(test.want)))
		killSubscribers(t, s)
		last := "resumed " + epoch + " behind " + test.want[len(test.want)-1][strings.LastIndex(test.want[len(test.want)-1], ":")+1:]
		last, _, _ = strings.Cut(last, "<")
		assert.Equal(t, last, events(t, sub, 2)[1])
		require.NoError(t, c.Close())
	}
	for _, name := range []Name{Topic("a").From(""), Topic("a").From("0").Last(1), Topic("a").From("WHERE x"), Pattern("a FROM 0"), Pattern("a LAST 1")} {
		_, err := direct.Subscribe(t.Context(), name)
		assert.ErrorIs(t, err, ErrInvalidOption)
	}
	_, err := direct.Subscribe(t.Context(), Topic("a"), Topic("a").Last(1))
	assert.ErrorContains(t, err, `"a" is named twice, with different positions`)
	_, err = direct.Subscribe(t.Context(), Topic("a").From("yesterday"))
	assert.ErrorContains(t, err, `ERR "yesterday" is no position`)
}

// A position that nothing has come from is asked for again. What came meanwhile may be missing.
func TestAPositionWithoutMessages(t *testing.T) {
	s := harness.Start(t, server.Options{Recent: 1 << 20})
	direct := connect(t, Options{Addr: s.Addr, Sequences: true})
	sub, gate := listenGated(t, s, func(c *Client) *Subscription { return listenTo(t, c, Topic("a").Last(2)) })
	gate.Store(false)
	killSubscribers(t, s)
	events(t, sub, 1)
	for i := range 3 {
		mustPublish(t, direct, "a", fmt.Sprint(i+1))
	}
	gate.Store(true)
	back := mustNext(t, sub).(*Reconnected)
	assert.Equal(t, []any{true, uint64(0), uint64(3)}, []any{back.SameEpoch, back.After, back.Before})
	assert.Equal(t, []string{"a||2 " + back.Epoch + ":2<0", "a||3 " + back.Epoch + ":3<2"}, events(t, sub, 2))
}

// InOrder has each message once and in order, although one of two subscriptions is behind.
func TestInOrderOverAResume(t *testing.T) {
	s := harness.Start(t, server.Options{Recent: 1 << 20})
	direct := connect(t, Options{Addr: s.Addr, Sequences: true})
	one, gate := listenGated(t, s, func(c *Client) *Subscription { return listenTo(t, c, Topic("a"), Topic("c")) })
	const all = 300
	publish := func(n int) {
		for i := range n {
			mustPublish(t, direct, string(rune('a'+i%3)), "")
		}
	}
	publish(30)
	gate.Store(false)
	killSubscribers(t, s)
	two := listenTo(t, direct, Topic("b").From("0"))
	publish(all - 30)
	gate.Store(true)
	next := uint64(1)
	for e, err := range InOrder(Merge(t.Context(), one, two), all, one, two) {
		require.NoError(t, err)
		m, ok := e.(*Message)
		if !ok {
			require.NotEqual(t, "late", describe(e)[:4])
			continue
		}
		require.Equal(t, next, m.Sequence)
		if next++; next > all-3 { // behind the last of one name, nothing shows that no other message is due
			break
		}
	}
}
