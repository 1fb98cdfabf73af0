package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// several is the handshake of one server of several.
const several = resp3 + "> PING\n< +PONG\n"

// severalWithSeq is that of a server with sequence numbers that keeps messages.
func severalWithSeq(epoch, seq string) string {
	return resp3 + "> CLIENT CAPA seq\n< +OK\n> HELLO\n< %3|+epoch|+" + epoch + "|+sequence|:" + seq + "|+recent|:1\n> PING\n< +PONG\n"
}

// nodeLog has the addresses that were dialed, in order.
type nodeLog struct {
	mu     sync.Mutex
	dialed []string
}

func (l *nodeLog) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer func() { l.dialed = nil }()
	return strings.Join(l.dialed, " ")
}

// serveNodes returns Options for fakes with these scripts, at a:1, b:1, c:1.
func serveNodes(t *testing.T, scripts ...[]string) (*nodeLog, Options) {
	log := &nodeLog{}
	dialers := map[string]func(context.Context, string, string) (net.Conn, error){}
	o := Options{MinBackoff: time.Second, MaxBackoff: time.Second}
	for i, s := range scripts {
		addr := string(rune('a'+i)) + ":1"
		_, one := serve(t, s...)
		dialers[addr] = one.Dialer
		o.Addresses, o.random = append(o.Addresses, addr), one.random
	}
	o.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
		log.mu.Lock()
		log.dialed = append(log.dialed, addr)
		log.mu.Unlock()
		if dial := dialers[addr]; dial != nil {
			return dial(ctx, network, addr)
		}
		return nil, errRefused
	}
	return log, o
}

// nextOf returns the next event, which must be an E.
func nextOf[E Event](t *testing.T, s *Subscription) E {
	t.Helper()
	e, err := s.Next(t.Context())
	require.NoError(t, err)
	require.IsType(t, *new(E), e)
	return e.(E)
}

// A connection goes to the first server that is ready, and the next ones go there too.
func TestFirstServerThatAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, o := serveNodes(t,
			nil,
			[]string{resp3 + "> PING\n< -LOADING the node catches up\nhang"},
			[]string{"> HELLO 3\n< -CLUSTERDOWN no majority\n", several + "> PUBLISH a 2\n< :2\n"},
			[]string{several + "> PUBLISH a 1\n< :1\n", several + "> XRANGE s 0-0 18446744073709551615-18446744073709551615 COUNT 256\n< *0\n"},
		)
		c := connect(t, o)
		assert.Equal(t, "a:1 b:1 c:1 d:1", log.take())
		for e, err := range c.Range(t.Context(), "s", Span{}) {
			assert.Fail(t, "an empty stream", "%v %v", e, err)
		}
		assert.Equal(t, "d:1", log.take(), "the one that answered")
		got, err := c.Publish(t.Context(), "a", []byte("1"))
		require.NoError(t, err)
		assert.Equal(t, 1, got.Receivers)
		synctest.Wait() // the connection is lost
		got, err = c.Publish(t.Context(), "a", []byte("2"))
		require.NoError(t, err)
		assert.Equal(t, 2, got.Receivers)
		assert.Equal(t, "a:1 b:1 c:1", log.take())
	})
}

func TestNoServerAnswers(t *testing.T) {
	log, o := serveNodes(t, nil, []string{"> HELLO 3\n< -LOADING soon\n"}, []string{several})
	o.Addresses = o.Addresses[:2]
	_, err := Dial(t.Context(), o)
	require.EqualError(t, err, "no server of several can be used: cannot connect to a:1: connection refused by the fake; "+
		"handshake with b:1: LOADING soon")
	require.ErrorIs(t, err, errRefused)
	assert.Equal(t, "a:1 b:1", log.take(), "an attempt for each address")
}

// What the next server would refuse too is not tried there.
func TestRefusalOfSeveralServers(t *testing.T) {
	log, o := serveNodes(t, []string{"> HELLO 3 AUTH default wrong\n< -WRONGPASS no\n"}, []string{several})
	o.Password = "wrong"
	_, err := Dial(t.Context(), o)
	require.EqualError(t, err, "handshake with a:1: WRONGPASS no")
	assert.Equal(t, "a:1", log.take())
}

// Each address has its own name in TLS, and its own time to answer.
func TestServerNameOfEachAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var names []string
		var tasks sync.WaitGroup
		defer tasks.Wait()
		o := Options{Addresses: []string{"one.example:1", "two.example:2", "[::1]:3"}, TLS: &tls.Config{MinVersion: tls.VersionTLS12}}
		o.Dialer = func(context.Context, string, string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			tasks.Go(func() {
				defer func() { _ = theirs.Close() }()
				if len(names) == 1 { // silent
					names = append(names, "silent")
					_, _ = io.Copy(io.Discard, theirs)
					return
				}
				_ = tls.Server(theirs, &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
					names = append(names, hello.ServerName)
					return nil, errRefused
				}}).Handshake()
			})
			return ours, nil
		}
		start := time.Now()
		_, err := Dial(t.Context(), o)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, 3*time.Second, time.Since(start))
		assert.Equal(t, []string{"one.example", "silent", ""}, names, "none for an IP address")
	})
}

// A subscription goes on at the next server of a cluster where it was.
func TestSubscriptionGoesOnAtTheNextServer(t *testing.T) {
	const epoch = "a000000000000001"
	synctest.Test(t, func(t *testing.T) {
		log, o := serveNodes(t,
			[]string{several + "hang", severalWithSeq(epoch, "7") + "> SUBSCRIBE x\n< >3|+subscribe|+x|:1\n> HELLO\n< %2|+epoch|+" + epoch + "|+sequence|:7\n" +
				"< >5|+message|+x|+8|:8|:0\n"},
			[]string{severalWithSeq(epoch, "12") + "> PSUBSCRIBE x FROM  " + epoch + "-9\n< >3|+psubscribe|+x FROM  " + epoch + "-9|:1\n" +
				"< >6|+pmessage|+x FROM  " + epoch + "-9|+x|+9|:9|:8\nhang"},
		)
		c := connect(t, o)
		log.take()
		c.options.Sequences = true
		s, err := c.Subscribe(t.Context(), Topic("x"))
		require.NoError(t, err)
		assert.Equal(t, uint64(8), nextOf[*Message](t, s).Sequence)
		nextOf[*Disconnected](t, s)
		assert.Equal(t, uint64(8), nextOf[*Resumed](t, s).After)
		assert.Equal(t, uint64(9), nextOf[*Message](t, s).Sequence)
		assert.Equal(t, "a:1 b:1", log.take())
	})
}

// A server that is about to be ready gets the position again: without it, messages would be missed.
func TestSubscriptionWaitsForAServer(t *testing.T) {
	const epoch = "a000000000000001"
	hello := func(seq string) string { return strings.TrimSuffix(severalWithSeq(epoch, seq), "> PING\n< +PONG\n") }
	synctest.Test(t, func(t *testing.T) {
		_, o := serve(t, resp3+"hang", hello("7")+"> SUBSCRIBE x\n< >3|+subscribe|+x|:1\n> HELLO\n< %2|+epoch|+"+epoch+"|+sequence|:7\n"+
			"< >5|+message|+x|+8|:8|:0\n",
			hello("8")+"> PSUBSCRIBE x FROM  "+epoch+"-9\n< -LOADING soon\nhang",
			hello("9")+"> PSUBSCRIBE x FROM  "+epoch+"-9\n< >3|+psubscribe|+x FROM  "+epoch+"-9|:1\n"+
				"< >6|+pmessage|+x FROM  "+epoch+"-9|+x|+9|:9|:8\nhang")
		c := connect(t, o)
		c.options.Sequences = true
		s, err := c.Subscribe(t.Context(), Topic("x"))
		require.NoError(t, err)
		assert.Equal(t, uint64(8), nextOf[*Message](t, s).Sequence)
		nextOf[*Disconnected](t, s)
		began := time.Now()
		assert.Equal(t, uint64(8), nextOf[*Resumed](t, s).After)
		assert.Less(t, time.Since(began), c.options.DialTimeout, "nothing more is sent to a server that is not ready")
		assert.Equal(t, uint64(9), nextOf[*Message](t, s).Sequence)
	})
}

// closingNotice is the push of a server that stops.
func closingNotice(fields ...string) string {
	push := append([]string{"+closing", "+shutdown", "+closing connection: the server stops"}, fields...)
	return fmt.Sprintf("< >%d|%s\n", len(push), strings.Join(push, "|"))
}

// A server that stops may name the next one, which need not be among the addresses.
func TestNextServerOfAClosingNotice(t *testing.T) {
	for _, test := range []struct {
		field, dialed, then string
	}{
		{"", "b:1", "c:1"},
		{"+next=c:1", "c:1", "d:1"},
		{"+next=e:1", "e:1", "b:1"},
		{"+next=unreachable:1", "unreachable:1 b:1", "c:1"},
		{"+next=", "b:1", "c:1"},
		{"+next=:1", "b:1", "c:1"},
		{"+next=unix:///x", "b:1", "c:1"},
		{"+next=" + strings.Repeat("x", 300) + ":1", "b:1", "c:1"},
		{"+color=red|+next=c:1", "c:1", "d:1"},
	} {
		synctest.Test(t, func(t *testing.T) {
			published := several + "> PUBLISH x 1\n< :1\n"
			notice := closingNotice()
			if test.field != "" {
				notice = closingNotice(strings.Split(test.field, "|")...)
			}
			log, o := serveNodes(t, []string{several + notice, published}, []string{published}, []string{published}, []string{published}, []string{published})
			o.Addresses = o.Addresses[:4]
			c := connect(t, o)
			log.take()
			synctest.Wait()
			_, err := c.Publish(t.Context(), "x", []byte("1"))
			require.NoError(t, err)
			assert.Equal(t, test.dialed, log.take(), test.field)
			synctest.Wait()
			_, err = c.Publish(t.Context(), "x", []byte("1"))
			if err == nil {
				assert.True(t, strings.HasPrefix(log.take(), test.then), test.field)
			}
		})
	}
}

// With one address too, a client goes where the server sends it, and returns when it does not get on there.
func TestNextServerOfOneAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, o := serveNodes(t, []string{resp3 + closingNotice("+next=b:1"), resp3 + "> PUBLISH x 2\n< :1\n"}, []string{several + "> PUBLISH x 1\n< :1\n"})
		o.Addresses, o.Addr = nil, "a:1"
		c := connect(t, o)
		for i := range 2 {
			synctest.Wait()
			_, err := c.Publish(t.Context(), "x", []byte{byte('1' + i)})
			require.NoError(t, err)
		}
		assert.Equal(t, "a:1 b:1 a:1", log.take())
	})
}

// A publish that a node without majority refuses is not repeated by itself; the next one goes to another node. What else is
// in flight gets its reply.
func TestClusterDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &nodeLog{}
		a, one := serve(t, several+"> PUBLISH x 1\n> PUBLISH x 2\n> PUBLISH x 3\n< -CLUSTERDOWN no majority; nothing was done\n"+
			"gate\n< -CLUSTERDOWN no majority; the outcome is unknown|:3\nhang", several)
		_, two := serve(t, several+"> PUBLISH x 4\n< :4\nhang")
		o := Options{Addresses: []string{"a:1", "b:1"}, random: one.random}
		o.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
			log.dialed = append(log.dialed, addr)
			if addr == "b:1" {
				return two.Dialer(ctx, network, addr)
			}
			return one.Dialer(ctx, network, addr)
		}
		c := connect(t, o)
		var calls sync.WaitGroup
		errs := make([]error, 3)
		for i := range errs {
			calls.Go(func() { _, errs[i] = c.Publish(t.Context(), "x", []byte{byte('1' + i)}) })
			synctest.Wait()
		}
		require.ErrorIs(t, errs[0], ErrClusterDown)
		require.NotErrorIs(t, errs[0], ErrOutcomeUnknown)
		first := c.pipe
		got, err := c.Publish(t.Context(), "x", []byte("4"))
		require.NoError(t, err)
		assert.Equal(t, 4, got.Receivers)
		assert.Len(t, c.pipes, 2, "the first waits for replies")
		a.openGate()
		calls.Wait()
		require.ErrorIs(t, errs[1], ErrClusterDown)
		require.ErrorIs(t, errs[1], ErrOutcomeUnknown)
		require.NoError(t, errs[2])
		synctest.Wait()
		assert.Len(t, c.pipes, 1)
		assert.Equal(t, "a:1 b:1", log.take())
		err = first.enqueue(&pendingCall{})
		require.ErrorIs(t, err, ErrClusterDown, "a call that comes too late")
		require.NotErrorIs(t, err, ErrOutcomeUnknown)
	})
}

// With one address there is nowhere to go.
func TestClusterDownAtTheOnlyAddress(t *testing.T) {
	c := dialed(t, resp3+"> PUBLISH x 1\n< -CLUSTERDOWN no majority\n> PUBLISH x 2\n< :2\nhang")
	_, err := c.Publish(t.Context(), "x", []byte("1"))
	require.ErrorIs(t, err, ErrClusterDown)
	got, err := c.Publish(t.Context(), "x", []byte("2"))
	require.NoError(t, err)
	assert.Equal(t, 2, got.Receivers)
}

// An idempotent append is repeated at the next node; others are not.
func TestAppendsOfSeveralServers(t *testing.T) {
	for refusal, unknown := range map[string]bool{
		"< -CLUSTERDOWN no majority; nothing was done\n":       false,
		"< -CLUSTERDOWN no majority; the outcome is unknown\n": true,
		"< -LOADING the node catches up\n":                     false,
		"":                                                     true,
	} {
		synctest.Test(t, func(t *testing.T) {
			log, o := serveNodes(t,
				[]string{several + "> XADD s IDMP p k * f v\n" + refusal, several + "> XADD s * f v\n" + refusal},
				[]string{several + "> XADD s IDMP p k * f v\n< $3|1-1\n"},
			)
			c := connect(t, o)
			id, err := c.Append(t.Context(), "s", []Field{{"f", "v"}}, Idempotent("p", "k"))
			require.NoError(t, err)
			assert.Equal(t, "1-1", id.String())
			assert.Equal(t, "a:1 b:1", log.take())
			synctest.Wait()
			_, err = c.Append(t.Context(), "s", []Field{{"f", "v"}})
			require.Error(t, err)
			assert.Equal(t, unknown, errors.Is(err, ErrOutcomeUnknown))
			assert.Equal(t, "a:1", log.take())
		})
	}
}

// An idempotent append waits for a node if none can be used; others do not.
func TestAppendWithoutANode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		appended := several + "> XADD s IDMP p k * f v\n< $3|1-1\n"
		log, o := serveNodes(t, []string{appended, "", "", appended}, []string{"", ""})
		c := connect(t, o)
		for _, dialed := range []string{"a:1", "b:1 a:1 b:1 a:1 b:1 a:1"} {
			_, err := c.Append(t.Context(), "s", []Field{{"f", "v"}}, Idempotent("p", "k"))
			require.NoError(t, err)
			assert.Equal(t, dialed, log.take())
			synctest.Wait()
		}
		_, err := c.Append(t.Context(), "s", []Field{{"f", "v"}})
		require.ErrorContains(t, err, "no server of several can be used")
	})
}

// The outcome of an idempotent append is known if no node did anything.
func TestRefusalAfterClusterDown(t *testing.T) {
	for text, unknown := range map[string]bool{"nothing was done": false, "the outcome is unknown": true} {
		synctest.Test(t, func(t *testing.T) {
			_, o := serveNodes(t, []string{several + "> XADD s IDMP p k * f v\n< -CLUSTERDOWN " + text + "\n"},
				[]string{several + "> XADD s IDMP p k * f v\n< -NOPERM no\n"})
			_, err := connect(t, o).Append(t.Context(), "s", []Field{{"f", "v"}}, Idempotent("p", "k"))
			require.ErrorAs(t, err, new(*Error))
			assert.Equal(t, unknown, errors.Is(err, ErrOutcomeUnknown))
		})
	}
}

// A publisher goes to the next node when it is refused, and when its connection breaks. No message goes twice.
func TestPublisherOfSeveralServers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, o := serveNodes(t,
			[]string{several + "> PUBLISH a 1\n< -CLUSTERDOWN no majority; nothing was done\nhang"},
			[]string{several + "> PUBLISH a 2\n"},
			[]string{several + "> PUBLISH a 3\n< :3\nhang"},
		)
		p := reconnecting(t, o, PublisherOptions{})
		var ids []MessageID
		for i := range 3 {
			ids = append(ids, mustSend(t, p, fmt.Sprint(i+1)))
			synctest.Wait()
		}
		_, err := p.Wait(t.Context(), ids[0])
		require.ErrorIs(t, err, ErrClusterDown)
		require.NotErrorIs(t, err, ErrOutcomeUnknown)
		_, err = p.Wait(t.Context(), ids[1])
		require.ErrorIs(t, err, ErrOutcomeUnknown)
		published, err := p.Wait(t.Context(), ids[2])
		require.NoError(t, err)
		assert.Equal(t, 3, published.Receivers)
		assert.Equal(t, "a:1 b:1 c:1", log.take())
		assert.Len(t, p.Unacked(), 2)
		require.NoError(t, p.Close())
	})
}

// A node may be behind the one before. What has arrived does not come again, though nothing is kept.
func TestNodeThatIsBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		connected := func(seq string) string {
			return withSeq("e", seq) + "> PING\n< +PONG\n> SUBSCRIBE x\n< >3|+subscribe|+x|:1\n> HELLO\n< %2|+epoch|+e|+sequence|:" + seq + "\n"
		}
		_, o := serveNodes(t,
			[]string{several + "hang", connected("7") + "< >5|+message|+x|+8|:8|:0|>5|+message|+x|+9|:9|:8\n"},
			[]string{connected("7") + "< >5|+message|+x|+8|:8|:0|>5|+message|+x|+9|:9|:8|>5|+message|+x|+10|:10|:9\nhang"},
		)
		c := connect(t, o)
		c.options.Sequences = true
		s, err := c.Subscribe(t.Context(), Topic("x"))
		require.NoError(t, err)
		assert.Equal(t, []string{
			"x||8 e:8<0", "x||9 e:9<8", "disconnected: the server closed the connection: EOF", "reconnected e true, 9 to 9", "x||10 e:10<9",
		}, events(t, s, 5))
	})
}

// A connection that was left because of a refusal may end when its server is the next one again.
func TestAConnectionLeavesItsServerOnce(t *testing.T) {
	all := &nodes{addresses: []string{"a:1", "b:1"}}
	a, b := &conn{addr: "a:1", nodes: all}, &conn{addr: "b:1", nodes: all}
	a.leave()
	b.leave()
	a.leave()
	assert.Equal(t, []string{"a:1", "b:1"}, all.round())
}
