package client

import (
	"crypto/tls"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/conchtest"
	"github.com/conchmq/conch/internal/faulty"
	"github.com/conchmq/conch/server"
)

// connect dials a server, with quick attempts to come back.
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

// mustPublish publishes and returns how many received it.
func mustPublish(t *testing.T, c *Client, topic, payload string) int {
	t.Helper()
	got, err := c.Publish(t.Context(), topic, []byte(payload))
	require.NoError(t, err)
	return got.Receivers
}

func TestConch(t *testing.T) {
	s := conchtest.Start(t, server.Options{})
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
	conchtest.Eventually(t, func() bool { return mustPublish(t, c, "news", "") == 2 }, "the closed one is gone")
}

// What is published after Subscribe has returned is received.
func TestSubscribedMeansSubscribed(t *testing.T) {
	s := conchtest.Start(t, server.Options{})
	c := connect(t, Options{Addr: s.Addr})
	for i := range 50 {
		topic := strconv.Itoa(i)
		sub := listenTo(t, c, Topic(topic), Pattern("["+topic+"]"))
		assert.NotZero(t, mustPublish(t, c, topic, "hi"))
		assert.Equal(t, topic+"||hi :0<0", events(t, sub, 1)[0])
	}
}

func TestThousandsOfNames(t *testing.T) {
	s := conchtest.Start(t, server.Options{})
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

// Many publish over one connection; each of them in its own order.
func TestConcurrentPublishers(t *testing.T) {
	s := conchtest.Start(t, server.Options{})
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
	s := conchtest.Start(t, server.Options{})
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
	conchtest.Eventually(t, func() bool {
		_, err := c.Publish(t.Context(), "a", nil) // the first one or two may not know yet
		return err == nil
	}, "the client publishes again")
}

func TestPasswords(t *testing.T) {
	s := conchtest.Start(t, server.Options{RequirePassword: "secret"})
	for password, code := range map[string]Code{"": CodeNoAuth, "wrong": CodeWrongPass} {
		_, err := Dial(t.Context(), Options{Addr: s.Addr, Password: password})
		said := (*Error)(nil)
		require.ErrorAs(t, err, &said)
		assert.Equal(t, code, said.Code)
	}
	c, err := DialURL(t.Context(), "conch://default:secret@"+s.Addr)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	admin := s.Dial(t)
	admin.Command("AUTH", "secret")
	admin.Command("ACL", "SETUSER", "desk", "on", ">desk", "resetchannels", "&desk.*", "+@pubsub", "+ping")
	admin.Expect("+OK\r\n+OK\r\n")

	desk := connect(t, Options{Addr: s.Addr, Username: "desk", Password: "desk", Numbers: true})
	assert.False(t, desk.Numbered(), "it may not say CLIENT")
	sub := listenTo(t, desk, Topic("desk.a"))
	mustPublish(t, desk, "desk.a", "hi")
	assert.Equal(t, []string{"desk.a||hi :0<0"}, events(t, sub, 1))
	_, err = desk.Publish(t.Context(), "others", nil)
	assert.ErrorContains(t, err, "NOPERM")
	_, err = desk.Subscribe(t.Context(), Topic("desk.a"), Topic("others"))
	assert.ErrorContains(t, err, "cannot subscribe: NOPERM")

	// A user that is gone stays away.
	admin.Command("ACL", "DELUSER", "desk")
	admin.Expect(":1\r\n")
	events(t, sub, 1)
	_, err = sub.Next(t.Context())
	said := (*Error)(nil)
	require.ErrorAs(t, err, &said)
	assert.Equal(t, CodeWrongPass, said.Code)
}

func TestTLS(t *testing.T) {
	authority := conchtest.NewAuthority(t)
	s := conchtest.Start(t, server.Options{})
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
	conchtest.StartOn(t, l, server.Options{})
	o, err := ParseURL("unix://" + path)
	require.NoError(t, err)
	c := connect(t, o)
	sub := listenTo(t, c, Topic("a"))
	assert.Equal(t, 1, mustPublish(t, c, "a", "hi"))
	assert.Equal(t, []string{"a||hi :0<0"}, events(t, sub, 1))
}

// A subscriber that does not read is left to the server's policy, and each message is received or told to be missed.
func TestDroppedByPolicy(t *testing.T) {
	s := conchtest.Start(t, server.Options{SlowConsumer: server.DropOldest, SlowHard: 1 << 20})
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

// Over a bad network, what comes is a part of what was published, in its order and never twice, and a hole is only where
// the connection was lost.
func TestBadNetwork(t *testing.T) {
	s := conchtest.Start(t, server.Options{})
	p, err := faulty.Start(s.Addr, func(number uint64) faulty.Plan {
		plan := faulty.Draw(3, number)
		plan.Hold, plan.Delay, plan.Rate, plan.Stall = 0, 0, 0, 0 // they cost time
		if number > 0 && number < 40 {
			plan.CutAt = int64(100 + number*37%400)
		} else {
			plan.CutAt = 0
		}
		return plan
	})
	require.NoError(t, err)
	t.Cleanup(p.Shut)
	direct := connect(t, Options{Addr: s.Addr})
	sub := listenThrough(t, connect(t, Options{Addr: p.Addr()}))
	stop := make(chan struct{})
	var tasks sync.WaitGroup
	tasks.Go(func() {
		for i := 1; ; i++ {
			select {
			case <-stop:
				return
			default:
				mustPublish(t, direct, "a", strconv.Itoa(i))
			}
		}
	})
	last, lost, away, back := 0, false, false, 0
	for e, err := range sub.All(t.Context()) {
		require.NoError(t, err)
		switch e := e.(type) {
		case *Disconnected:
			assert.False(t, away)
			lost, away = true, true
		case *Reconnected:
			assert.True(t, away)
			away = false
			back++
		case *Message:
			i, err := strconv.Atoi(string(e.Payload))
			require.NoError(t, err)
			require.Greater(t, i, last)
			require.True(t, lost || last == 0 || i == last+1, "%d after %d", i, last)
			last, lost = i, false
		}
		if p.Conns() > 40 && !lost {
			break
		}
	}
	close(stop)
	tasks.Wait()
	assert.NotZero(t, back)
}

// listenThrough subscribes over a network that may cut the connection meanwhile.
func listenThrough(t *testing.T, c *Client) (sub *Subscription) {
	conchtest.Eventually(t, func() bool {
		var err error
		sub, err = c.Subscribe(t.Context(), Topic("a"))
		return err == nil
	}, "one connection lasts long enough")
	return sub
}
