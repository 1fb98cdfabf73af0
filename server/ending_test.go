package server_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/server"
)

// Every way in which a connection can end is one of a closed list, and counted.
func TestEveryEndingIsCounted(t *testing.T) {
	for _, tt := range []struct {
		reason string
		end    func(c *harness.Conn)
	}{
		{"eof", func(c *harness.Conn) { _ = c.Close() }},
		{"eof", func(c *harness.Conn) { // half closed: what was sent is done and answered first
			c.Send("SUB a\nPUB a last words\n")
			_ = c.Conn.(*net.TCPConn).CloseWrite()
			c.Expect("OK SUB a\nOK PUB a\nUPDATE a last words\n")
			c.ExpectEnd()
		}},
		{"broken", func(c *harness.Conn) {
			c.Fence()
			_ = c.Conn.(*net.TCPConn).SetLinger(0) // Close sends a reset
			_ = c.Close()
		}},
		{"quit", func(c *harness.Conn) { c.Send("QUIT\nPING\n"); c.Expect("+OK\r\n"); c.ExpectEnd() }},
		{"protocol", func(c *harness.Conn) { c.Send("*x\r\n"); c.Line(); c.ExpectEnd() }},
		{"hostile", func(c *harness.Conn) { c.Send("POST / HTTP/1.1\r\n"); c.ExpectEnd() }},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			s := harness.Start(t, server.Options{})
			bystander := s.Dial(t)
			bystander.Send("SUB a\n")
			bystander.Expect("OK SUB a\n")
			before := s.Info(t, "ended_"+tt.reason)
			tt.end(s.Dial(t))
			harness.Eventually(t, func() bool { return s.Info(t, "connected_clients") == 2 }, "it stays connected")
			after := s.Info(t, "ended_"+tt.reason)
			if tt.reason == "eof" { // the INFO connections end so as well
				assert.Greater(t, after, before)
			} else {
				assert.Equal(t, before+1, after)
			}
			assert.Equal(t, 1, s.Info(t, "pubsub_channels"), "its subscriptions are gone, the others' are not")
		})
	}
}

// The close notice reaches a peer that has sent more than we read: closing at once would send a reset, which destroys it.
func TestErrorTextArrivesThoughInputIsUnread(t *testing.T) {
	s := harness.Start(t, server.Options{})
	c := s.Dial(t)
	go func() { _, _ = io.WriteString(c, "*x\r\n"+strings.Repeat("unread ", 200_000)) }() // a reset here is the peer's due
	assert.Equal(t, "-ERR Protocol error: invalid multibulk length", c.Line())
}

func TestShutdownDrains(t *testing.T) {
	s := harness.Start(t, server.Options{DrainTimeout: harness.Patience})
	sub, pub := s.Dial(t), s.Dial(t)
	sub.Send("SUB a\n")
	sub.Expect("OK SUB a\n")
	const n = 1000
	line := strings.Repeat("x", 10_000)
	for range n {
		pub.Send("PUB a %s\n", line)
	}
	pub.Expect(strings.Repeat("OK PUB a\n", n)) // 10 MB are queued, more than the kernel holds
	done := make(chan struct{})
	go func() { defer close(done); s.Shutdown(context.Background()) }()
	sub.Expect(strings.Repeat("UPDATE a "+line+"\n", n))
	sub.ExpectEnd()
	<-done
	_, err := net.Dial("tcp", s.Addr)
	assert.ErrorIs(t, err, syscall.ECONNREFUSED)
}

// A server that stops names the next one behind all that waits, where the protocol has a frame for it.
func TestShutdownNamesTheNextServer(t *testing.T) {
	for _, tt := range []struct{ next, line, resp3 string }{
		{
			"b.example:8889", "ERR closing connection: the server stops; next=b.example:8889\n",
			">4\r\n$7\r\nclosing\r\n$8\r\nshutdown\r\n$36\r\nclosing connection: the server stops\r\n$19\r\nnext=b.example:8889\r\n",
		},
		{"", "", ""},
	} {
		s := harness.Start(t, server.Options{Next: func() string { return tt.next }})
		line, resp3, resp2 := s.Dial(t), s.Dial(t), s.Dial(t)
		line.Send("SUB a\n")
		line.Expect("OK SUB a\n")
		resp3.Command("HELLO", "3")
		_, err := resp3.Frame()
		require.NoError(t, err)
		for c, frame := range map[*harness.Conn]string{resp3: ">3", resp2: "*3"} {
			c.Command("SUBSCRIBE", "a")
			c.Expect(frame + "\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n")
		}
		pub := s.Dial(t)
		pub.Send("PUB a last words\n")
		pub.Expect("OK PUB a\n")
		s.Shutdown(context.Background())
		line.Expect("UPDATE a last words\n" + tt.line)
		resp3.Expect(">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$10\r\nlast words\r\n" + tt.resp3)
		resp2.Expect("*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$10\r\nlast words\r\n")
		for _, c := range []*harness.Conn{line, resp3, resp2} {
			c.ExpectEnd()
		}
	}
}

func TestShutdownDoesNotWaitForWhoNeverReads(t *testing.T) {
	s := harness.Start(t, server.Options{DrainTimeout: 50 * time.Millisecond})
	sub, pub := s.Dial(t), s.Dial(t)
	sub.Send("SUB a\n")
	sub.Expect("OK SUB a\n")
	for range 200 {
		pub.Send("PUB a %s\n", strings.Repeat("x", 60_000))
		pub.Expect("OK PUB a\n")
	}
	s.Shutdown(context.Background()) // returning is the test: bounded by the test's own time
}

// broken is a listener that hands out what a test wants, then real connections.
type broken struct {
	net.Listener
	first func(net.Conn) (net.Conn, error)
	left  atomic.Int32
}

func (l *broken) Accept() (net.Conn, error) {
	if l.left.Add(-1) >= 0 {
		if c, err := l.first(nil); err != nil {
			return c, err
		}
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		return l.first(c)
	}
	return l.Listener.Accept()
}

func listenBroken(t *testing.T, times int32, first func(net.Conn) (net.Conn, error)) *broken {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	b := &broken{Listener: l, first: first}
	b.left.Store(times)
	return b
}

func TestAcceptingGoesOnWhenDescriptorsRanOut(t *testing.T) {
	l := listenBroken(t, 3, func(net.Conn) (net.Conn, error) {
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: syscall.EMFILE}
	})
	s := harness.StartOn(t, l, server.Options{})
	s.Dial(t).Fence()
	assert.Equal(t, 1, s.Info(t, "accept_pauses"), "one pause an episode, however many tries")
}

type panics struct{ net.Conn }

func (panics) Read([]byte) (int, error) { panic("a defect") }

func TestPanicInOneConnectionEndsThatConnection(t *testing.T) {
	l := listenBroken(t, 1, func(c net.Conn) (net.Conn, error) { return panics{c}, nil })
	s := harness.StartOn(t, l, server.Options{Unprotected: true})
	unlucky := s.Dial(t)
	_, err := io.ReadAll(unlucky)
	assert.True(t, err == nil || errors.Is(err, syscall.ECONNRESET), "%v", err)
	s.Dial(t).Fence()
	harness.Eventually(t, func() bool { return s.Info(t, "ended_panic") == 1 }, "the panic is not counted")
}
