// Package conchtest starts a server for a test and talks to it: dial, send, expect, fence. Tests only.
package conchtest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/server"
)

// Patience bounds every wait. It is there to end a hanging test, never to measure: no test passes or fails by being
// faster or slower than something.
const Patience = 60 * time.Second

// Server is a running server on a free port of the loopback interface.
type Server struct {
	*server.Server
	Addr string
}

// Start runs a server until the test ends, and then sees that it shuts down.
func Start(t testing.TB, o server.Options) *Server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return StartOn(t, l, o)
}

// StartOn is Start with a listener of the test's own.
func StartOn(t testing.TB, l net.Listener, o server.Options) *Server {
	t.Helper()
	core := broker.New(broker.Options{})
	ctx, stop := context.WithCancel(context.Background())
	ran := make(chan struct{})
	go func() {
		defer close(ran)
		core.Run(ctx)
	}()
	s, err := server.New(core, o)
	require.NoError(t, err)
	s.Serve(l)
	t.Cleanup(func() {
		hurry, cancel := context.WithTimeout(context.Background(), Patience)
		defer cancel()
		s.Shutdown(hurry)
		require.NoError(t, hurry.Err(), "the server did not shut down by itself")
		stop()
		<-ran
	})
	return &Server{s, l.Addr().String()}
}

// Conn is one connection of a test. Each of its reads and writes waits for Patience at most: a long test on a slow
// machine is not a hanging one.
type Conn struct {
	net.Conn
	t testing.TB
	r *bufio.Reader
}

// Dial connects.
func (s *Server) Dial(t testing.TB) *Conn {
	t.Helper()
	sock, err := net.Dial("tcp", s.Addr)
	require.NoError(t, err)
	return Use(t, sock)
}

// Use makes a connection of any sort one of the test's.
func Use(t testing.TB, sock net.Conn) *Conn {
	t.Helper()
	c := &Conn{Conn: sock, t: t}
	c.r = bufio.NewReader(c)
	t.Cleanup(func() { _ = sock.Close() }) // most tests have closed it already
	return c
}

func (c *Conn) Read(p []byte) (int, error) {
	_ = c.SetReadDeadline(time.Now().Add(Patience)) // who cannot is closed, as the read then says
	return c.Conn.Read(p)
}

func (c *Conn) Write(p []byte) (int, error) {
	_ = c.SetWriteDeadline(time.Now().Add(Patience))
	return c.Conn.Write(p)
}

// Send writes bytes as they are.
func (c *Conn) Send(format string, args ...any) {
	c.t.Helper()
	text := format
	if len(args) > 0 {
		text = fmt.Sprintf(format, args...)
	}
	_, err := io.WriteString(c, text)
	require.NoError(c.t, err)
}

// Command writes one RESP command.
func (c *Conn) Command(args ...string) {
	c.t.Helper()
	c.Send("%s", RESP(args...))
}

// RESP is a command as a client library writes it.
func RESP(args ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, arg := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(arg), arg)
	}
	return b.String()
}

// Expect reads as many bytes as want has, and holds them against it.
func (c *Conn) Expect(want string) {
	c.t.Helper()
	got := make([]byte, len(want))
	n, err := io.ReadFull(c.r, got)
	require.Equal(c.t, want, string(got[:n]), "read error: %v", err)
}

// ExpectEnd holds that the peer closes, with nothing more to read.
func (c *Conn) ExpectEnd() {
	c.t.Helper()
	rest, err := io.ReadAll(c.r)
	require.Empty(c.t, string(rest))
	require.NoError(c.t, err)
}

// Line reads one line, without its end.
func (c *Conn) Line() string {
	c.t.Helper()
	line, err := c.r.ReadString('\n')
	require.NoError(c.t, err)
	return strings.TrimRight(line, "\r\n")
}

// Frame reads one answer; see ReadFrame.
func (c *Conn) Frame() ([]byte, error) { return ReadFrame(c.r) }

// Fence returns when all that was sent before on this connection has taken effect. The connection must not be a RESP2
// subscriber, nor have anything else to read.
func (c *Conn) Fence() {
	c.t.Helper()
	c.Send("PING\n")
	c.Expect("+PONG\r\n")
}

// Eventually waits until something holds that nobody announces, such as a socket's death.
func Eventually(t testing.TB, holds func() bool, what string) {
	t.Helper()
	require.Eventually(t, holds, Patience, time.Millisecond, what)
}

// Info reads one number of INFO over a connection of its own.
func (s *Server) Info(t testing.TB, key string) int {
	t.Helper()
	c := s.Dial(t)
	defer func() { _ = c.Close() }()
	c.Command("INFO")
	frame, err := c.Frame()
	require.NoError(t, err)
	_, after, ok := strings.Cut(string(frame), key+":")
	require.True(t, ok, "no %s in INFO", key)
	value, _, _ := strings.Cut(after, "\r\n")
	n, err := strconv.Atoi(value)
	require.NoError(t, err)
	return n
}
