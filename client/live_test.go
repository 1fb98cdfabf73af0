package client

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/faulty"
	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/internal/outbox"
	"github.com/conchmq/conch/server"
)

// connect dials a server, with short backoff.
func connect(t *testing.T, o Options) *Client {
	t.Helper()
	o.MinBackoff, o.MaxBackoff = time.Millisecond, 10*time.Millisecond
	c, err := Dial(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

func listenTo(t *testing.T, c *Client, names ...Name) *Subscription {
	t.Helper()
	s, err := c.Subscribe(t.Context(), names...)
	require.NoError(t, err)
	return s
}

// mustPublish publishes and returns the number of receivers.
func mustPublish(t *testing.T, c *Client, topic, payload string) int {
	t.Helper()
	got, err := c.Publish(t.Context(), topic, []byte(payload))
	require.NoError(t, err)
	return got.Receivers
}

func TestConch(t *testing.T) {
	s := harness.Start(t, server.Options{})
	c := connect(t, Options{Addr: s.Addr})
	both := listenTo(t, c, Topic("news"), Pattern("n*"))
	one := listenTo(t, c, Topic("news"))
	assert.Equal(t, 3, mustPublish(t, c, "news", "I'm a message!\r\n\x00"))
	assert.Equal(t, 0, mustPublish(t, c, "sports", "hi"))
	assert.Equal(t, 1, mustPublish(t, c, "nobody", ""))
	assert.Equal(t, []string{
		"news||I'm a message!\r\n\x00 :0<0", "news|n*|I'm a message!\r\n\x00 :0<0", "nobody|n*| :0<0",
	}, events(t, both, 3))
	assert.Equal(t, []string{"news||I'm a message!\r\n\x00 :0<0"}, events(t, one, 1))
	require.NoError(t, one.Close())
	harness.Eventually(t, func() bool { return mustPublish(t, c, "news", "") == 2 }, "the closed one is gone")
}

// All messages published after Subscribe has returned are received.
func TestSubscribedMeansSubscribed(t *testing.T) {
	s := harness.Start(t, server.Options{})
	c := connect(t, Options{Addr: s.Addr})
	for i := range 50 {
		topic := strconv.Itoa(i)
		sub := listenTo(t, c, Topic(topic), Pattern("["+topic+"]"))
		assert.NotZero(t, mustPublish(t, c, topic, "hi"))
		assert.Equal(t, topic+"||hi :0<0", events(t, sub, 1)[0])
	}
}

func TestThousandsOfNames(t *testing.T) {
	s := harness.Start(t, server.Options{})
	c := connect(t, Options{Addr: s.Addr})
	var all []Name
	for i := range 5000 {
		all = append(all, Topic(fmt.Sprint("topic", i)))
	}
	sub := listenTo(t, c, all...)
	for i := range 5000 {
		_, err := c.Publish(t.Context(), fmt.Sprint("topic", i), nil)
		require.NoError(t, err)
		if i%200 == 199 {
			assert.Equal(t, fmt.Sprintf("topic%d|| :0<0", i), events(t, sub, 200)[199])
		}
	}
}

// Many goroutines publish over one connection, each in its own order.
func TestConcurrentPublishers(t *testing.T) {
	s := harness.Start(t, server.Options{})
	c := connect(t, Options{Addr: s.Addr})
	sub := listenTo(t, c, Topic("a"))
	const publishers, each = 8, 300
	var tasks sync.WaitGroup
	for p := range publishers {
		tasks.Go(func() {
			for i := range each {
				got, err := c.Publish(t.Context(), "a", fmt.Appendf(nil, "%d %d", p, i))
				assert.NoError(t, err)
				assert.Equal(t, 1, got.Receivers)
			}
		})
	}
	next := [publishers]int{}
	for range publishers * each {
		e, err := sub.Next(t.Context())
		require.NoError(t, err)
		var p, i int
		_, err = fmt.Sscan(string(e.(*Message).Payload), &p, &i)
		require.NoError(t, err)
		require.Equal(t, next[p], i)
		next[p]++
	}
	tasks.Wait()
}

func TestKilledAndBack(t *testing.T) {
	s := harness.Start(t, server.Options{})
	c := connect(t, Options{Addr: s.Addr})
	sub := listenTo(t, c, Topic("a"), Pattern("b*"))
	admin := s.Dial(t)
	for range 5 {
		admin.Command("CLIENT", "KILL", "TYPE", "pubsub")
		admin.Expect(":1\r\n")
		assert.Equal(t, []string{
			"disconnected: the server closed the connection: EOF", "reconnected  false, 0 to 0",
		}, events(t, sub, 2))
		assert.Equal(t, 1, mustPublish(t, c, "a", "hi"))
		assert.Equal(t, 1, mustPublish(t, c, "bb", "hi"))
		assert.Equal(t, []string{"a||hi :0<0", "bb|b*|hi :0<0"}, events(t, sub, 2))
	}
	admin.Command("CLIENT", "KILL", "TYPE", "normal")
	admin.Expect(":1\r\n")
	harness.Eventually(t, func() bool {
		_, err := c.Publish(t.Context(), "a", nil) // the break may not be noticed yet
		return err == nil
	}, "the client publishes again")
}

func TestPasswords(t *testing.T) {
	s := harness.Start(t, server.Options{RequirePassword: "secret"})
	for password, code := range map[string]Code{"": CodeNoAuth, "wrong": CodeWrongPass} {
		_, err := Dial(t.Context(), Options{Addr: s.Addr, Password: password})
		serverErr := (*Error)(nil)
		require.ErrorAs(t, err, &serverErr)
		assert.Equal(t, code, serverErr.Code)
	}
	c, err := DialURL(t.Context(), "conch://default:secret@"+s.Addr)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	admin := s.Dial(t)
	admin.Command("AUTH", "secret")
	admin.Command("ACL", "SETUSER", "desk", "on", ">desk", "resetchannels", "&desk.*", "+@pubsub", "+ping")
	admin.Expect("+OK\r\n+OK\r\n")

	desk := connect(t, Options{Addr: s.Addr, Username: "desk", Password: "desk", Sequences: true})
	assert.False(t, desk.HasSequences(), "it may not say CLIENT")
	sub := listenTo(t, desk, Topic("desk.a"))
	mustPublish(t, desk, "desk.a", "hi")
	assert.Equal(t, []string{"desk.a||hi :0<0"}, events(t, sub, 1))
	_, err = desk.Publish(t.Context(), "others", nil)
	assert.ErrorContains(t, err, "NOPERM")
	_, err = desk.Subscribe(t.Context(), Topic("desk.a"), Topic("others"))
	assert.ErrorContains(t, err, "cannot subscribe: NOPERM")

	// The user may not enable sequence numbers, and can use predicates all the same.
	filtered := listenTo(t, desk, Pattern("desk.*").Where("size > 2"))
	mustPublish(t, desk, "desk.a", "hi")
	mustPublish(t, desk, "desk.a", "hello")
	assert.Equal(t, []string{"desk.a|desk.* WHERE size > 2|hello :0<0"}, events(t, filtered, 1))
	events(t, sub, 2)

	// A deleted user is refused for good.
	admin.Command("ACL", "DELUSER", "desk")
	admin.Expect(":1\r\n")
	events(t, sub, 1)
	_, err = sub.Next(t.Context())
	serverErr := (*Error)(nil)
	require.ErrorAs(t, err, &serverErr)
	assert.Equal(t, CodeWrongPass, serverErr.Code)
}

func TestTLS(t *testing.T) {
	authority := harness.NewAuthority(t)
	s := harness.Start(t, server.Options{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s.ServeTLS(l, &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{authority.Valid(t, "conch").TLS(t)},
	})
	o, err := ParseURL("conchs://" + l.Addr().String())
	require.NoError(t, err)
	_, err = Dial(t.Context(), o)
	assert.ErrorAs(t, err, new(*tls.CertificateVerificationError))
	o.TLS.RootCAs = authority.Pool()
	c := connect(t, o)
	sub := listenTo(t, c, Topic("a"))
	assert.Equal(t, 1, mustPublish(t, c, "a", "hi"))
	assert.Equal(t, []string{"a||hi :0<0"}, events(t, sub, 1))
}

func TestUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "conch.sock")
	l, err := net.Listen("unix", path)
	require.NoError(t, err)
	harness.StartOn(t, l, server.Options{})
	o, err := ParseURL("unix://" + path)
	require.NoError(t, err)
	c := connect(t, o)
	sub := listenTo(t, c, Topic("a"))
	assert.Equal(t, 1, mustPublish(t, c, "a", "hi"))
	assert.Equal(t, []string{"a||hi :0<0"}, events(t, sub, 1))
}

// The server's policy applies to a slow subscriber, and each message is received or reported as missed.
func TestDroppedByPolicy(t *testing.T) {
	s := harness.Start(t, server.Options{SlowConsumer: outbox.DropOldest, SlowHard: 1 << 20})
	c := connect(t, Options{Addr: s.Addr, Buffer: 1})
	sub := listenTo(t, c, Topic("a"))
	payload, published := strings.Repeat("a", 256<<10), 0
	for s.Info(t, "messages_dropped") == 0 {
		assert.Equal(t, 1, mustPublish(t, c, "a", payload))
		published++
	}
	mustPublish(t, c, "a", "end")
	received, missed := 0, 0
	for e, err := range sub.All(t.Context()) {
		require.NoError(t, err)
		if m, ok := e.(*Missed); ok {
			assert.Equal(t, "a", m.Name)
			missed += m.Count
			continue
		}
		if m := e.(*Message); string(m.Payload) == "end" {
			break
		}
		received++
	}
	assert.Equal(t, published, received+missed)
	assert.NotZero(t, missed)
}

// Over a bad network, messages arrive in order and at most once. A missing message has a sequence in the range of the
// next Reconnected.
func TestBadNetwork(t *testing.T) {
	s := harness.Start(t, server.Options{})
	p, err := faulty.Start(s.Addr, func(number uint64) faulty.Plan {
		plan := faulty.Draw(3, number)
		plan.Hold, plan.Delay, plan.Rate, plan.Stall = 0, 0, 0, 0 // these slow the test down
		plan.CutAt = int64(300 + number*37%900)
		if number == 0 || number > 60 {
			plan.CutAt = 0
		}
		return plan
	})
	require.NoError(t, err)
	t.Cleanup(p.Shut)
	direct := connect(t, Options{Addr: s.Addr, Sequences: true})
	sub := listenThrough(t, connect(t, Options{Addr: p.Addr(), Sequences: true}))
	stop := make(chan struct{})
	var tasks sync.WaitGroup
	tasks.Go(func() { // one topic only, so that the sequence has no gaps
		for {
			select {
			case <-stop:
				return
			default:
				mustPublish(t, direct, "a", "hi")
			}
		}
	})
	// Up to last all is accounted for; messages in (after, before] may be missing.
	var last, after, before uint64
	back := 0
	for e, err := range sub.All(t.Context()) {
		require.NoError(t, err)
		switch e := e.(type) {
		case *Reconnected:
			require.True(t, e.SameEpoch)
			require.LessOrEqual(t, e.After, e.Before)
			if before == 0 {
				after = e.After
			}
			require.True(t, before == 0 || e.After <= before, "%d to %d after %d to %d", e.After, e.Before, after, before)
			before = e.Before
			back++
		case *Message:
			require.Greater(t, e.Sequence, last)
			missed := before > 0 && after <= last && e.Sequence <= before+1
			require.True(t, missed || e.Sequence == last+1, "%d after %d, %d to %d", e.Sequence, last, after, before)
			if last = e.Sequence; last >= before {
				after, before = 0, 0
			}
		case *Missed:
			require.Fail(t, "nothing was dropped", "%+v", e)
		}
		if p.Conns() > 60 && before == 0 {
			break
		}
	}
	close(stop)
	tasks.Wait()
	assert.NotZero(t, back)
}

func TestSequences(t *testing.T) {
	s := harness.Start(t, server.Options{})
	c := connect(t, Options{Addr: s.Addr, Sequences: true})
	require.True(t, c.HasSequences())
	a, b := listenTo(t, c, Topic("a")), listenTo(t, c, Topic("b"), Pattern("*"))
	for i, topic := range []string{"a", "b", "a", "c", "a", "b"} {
		got, err := c.Publish(t.Context(), topic, nil)
		require.NoError(t, err)
		assert.EqualValues(t, i+1, got.Sequence)
	}
	epoch := c.pipe.conn.epoch
	assert.Len(t, epoch, 16)
	assert.Equal(t, fmt.Sprintf("a|| %[1]s:1<0,a|| %[1]s:3<1,a|| %[1]s:5<3", epoch), strings.Join(events(t, a, 3), ","))
	assert.Equal(t, "b|| "+epoch+":6<2", events(t, b, 8)[6])

	admin := s.Dial(t)
	admin.Command("CLIENT", "KILL", "TYPE", "pubsub")
	admin.Expect(":2\r\n")
	assert.Equal(t, "reconnected "+epoch+" true, 5 to 6", events(t, a, 2)[1])
	assert.Equal(t, "reconnected "+epoch+" true, 6 to 6", events(t, b, 2)[1])
}

// Two subscriptions are merged into one order.
func TestOneOrder(t *testing.T) {
	s := harness.Start(t, server.Options{})
	c := connect(t, Options{Addr: s.Addr, Sequences: true, Buffer: 16})
	subs := []*Subscription{listenTo(t, c, Topic("a"), Topic("c")), listenTo(t, c, Topic("b"))}
	const all = 600
	var tasks sync.WaitGroup
	tasks.Go(func() {
		for i := range all {
			mustPublish(t, c, string(rune('a'+i%3)), "")
		}
	})
	next := uint64(1)
	for e, err := range InOrder(Merge(t.Context(), subs...), all, subs...) {
		require.NoError(t, err)
		require.IsType(t, &Message{}, e)
		require.Equal(t, next, e.(*Message).Sequence)
		if next++; next > all {
			break
		}
	}
	tasks.Wait()
}

// A restarted server has a new epoch, unrelated to the sequence numbers before.
func TestAnotherEpoch(t *testing.T) {
	first, second := harness.Start(t, server.Options{}), harness.Start(t, server.Options{})
	var now atomic.Pointer[harness.Server]
	now.Store(first)
	c := connect(t, Options{Sequences: true, Dialer: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, now.Load().Addr)
	}})
	sub := listenTo(t, c, Topic("a"))
	mustPublish(t, c, "a", "")
	before, err := sub.Next(t.Context())
	require.NoError(t, err)
	now.Store(second)
	admin := first.Dial(t)
	admin.Command("CLIENT", "KILL", "TYPE", "pubsub")
	admin.Expect(":1\r\n")
	events(t, sub, 1)
	e, err := sub.Next(t.Context())
	require.NoError(t, err)
	back := e.(*Reconnected)
	assert.False(t, back.SameEpoch)
	assert.NotEqual(t, before.(*Message).Epoch, back.Epoch)
	assert.Equal(t, []uint64{1, 0}, []uint64{back.After, back.Before})
}

func TestPredicates(t *testing.T) {
	s := harness.Start(t, server.Options{})
	c := connect(t, Options{Addr: s.Addr})
	sub := listenTo(t, c, Topic("orders").Where("price > 100"), Pattern("o[rs]*").Where(`region == "eu"`), Topic("a*b WHERE c").Where("size < 3"))
	assert.Equal(t, 0, mustPublish(t, c, "orders", `{"price": 100}`))
	assert.Equal(t, 2, mustPublish(t, c, "orders", `{"price": 101, "region": "eu"}`))
	assert.Equal(t, 0, mustPublish(t, c, "axb WHERE c", ""))
	assert.Equal(t, 1, mustPublish(t, c, "a*b WHERE c", "hi"))
	var got []string
	for range 3 {
		e, err := sub.Next(t.Context())
		require.NoError(t, err)
		got = append(got, e.(*Message).Topic+"|"+e.(*Message).Pattern)
	}
	assert.Equal(t, []string{
		"orders|orders WHERE price > 100", `orders|o[rs]* WHERE region == "eu"`, `a*b WHERE c|a\*b \WHERE c WHERE size < 3`,
	}, got)
	_ = listenTo(t, c, Topic("a WHERE WHERE b").Where("size < 3"), Topic("a WHERE").Where("size < 3"))
	assert.Equal(t, 1, mustPublish(t, c, "a WHERE WHERE b", "hi"))
	assert.Equal(t, 1, mustPublish(t, c, "a WHERE", "hi"))
	assert.Equal(t, 0, mustPublish(t, c, "a WHERE", "long"))
	_, err := c.Subscribe(t.Context(), Topic("orders").Where("price >> 100"))
	serverErr := (*Error)(nil)
	require.ErrorAs(t, err, &serverErr)
	assert.Contains(t, serverErr.Text, "column")
}

// listenThrough subscribes over a network that may cut the connection meanwhile.
func listenThrough(t *testing.T, c *Client) (sub *Subscription) {
	harness.Eventually(t, func() bool {
		var err error
		sub, err = c.Subscribe(t.Context(), Topic("a"))
		return err == nil
	}, "one connection lasts long enough")
	return sub
}

// A server that stops sends its clients to the next one.
func TestNextServer(t *testing.T) {
	second := harness.Start(t, server.Options{})
	first := harness.Start(t, server.Options{Next: func() string { return second.Addr }})
	c := connect(t, Options{Addr: first.Addr, Sequences: true})
	s, err := c.Subscribe(t.Context(), Topic("a"))
	require.NoError(t, err)
	first.Shutdown(t.Context())
	lost := nextOf[*Disconnected](t, s)
	require.ErrorIs(t, lost.Err, ErrClosedByServer)
	require.ErrorContains(t, lost.Err, "shutdown")
	nextOf[*Reconnected](t, s)
	published, err := c.Publish(t.Context(), "a", []byte("1"))
	require.NoError(t, err)
	assert.Equal(t, 1, published.Receivers)
	assert.Equal(t, "1", string(nextOf[*Message](t, s).Payload))
}
