// Package harness is what the tests of this module have besides the public conchtest: connections that send, expect and
// fence, certificates, transcripts. For tests only.
package harness

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/conchtest"
	"github.com/conchmq/conch/server"
)

// Patience bounds every wait. It ends a hanging test and never measures: no test depends on speed. With the race detector
// and ten busy processes a processor, a test of 20 seconds has taken nine minutes.
const Patience = 10 * time.Minute

// Server is a running server on a free port of the loopback interface.
type Server struct{ *conchtest.Server }

// Start runs a server until the test ends, and then requires that it shuts down.
func Start(t testing.TB, o server.Options) *Server {
	t.Helper()
	return &Server{conchtest.Start(t, func(to *server.Options) { *to = patient(o) })}
}

// StartOn is Start with a listener of the test.
func StartOn(t testing.TB, l net.Listener, o server.Options) *Server {
	t.Helper()
	return &Server{conchtest.StartOn(t, l, func(to *server.Options) { *to = patient(o) })}
}

// patient sets the times that the test leaves open: on a busy machine no client may be too slow by accident.
func patient(o server.Options) server.Options {
	for _, field := range []*time.Duration{&o.SlowTime, &o.KeepAlive, &o.AuthTimeout, &o.HandshakeTimeout} {
		if *field == 0 {
			*field = Patience
		}
	}
	return o
}

// Conn is one connection of a test. Patience bounds each read and write, not the whole test.
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

// Use wraps any connection as a Conn.
func Use(t testing.TB, sock net.Conn) *Conn {
	t.Helper()
	c := &Conn{Conn: sock, t: t}
	c.r = bufio.NewReader(c)
	t.Cleanup(func() { _ = sock.Close() }) // most tests have closed it
	return c
}

func (c *Conn) Read(p []byte) (int, error) {
	_ = c.SetReadDeadline(time.Now().Add(Patience)) // fails on a closed socket, as the read then does
	return c.Conn.Read(p)
}

func (c *Conn) Write(p []byte) (int, error) {
	_ = c.SetWriteDeadline(time.Now().Add(Patience))
	return c.Conn.Write(p)
}

// Send writes formatted text.
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

// RESP encodes a command as a client library does.
func RESP(args ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, arg := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(arg), arg)
	}
	return b.String()
}

// Expect reads len(want) bytes and requires that they equal want.
func (c *Conn) Expect(want string) {
	c.t.Helper()
	got := make([]byte, len(want))
	n, err := io.ReadFull(c.r, got)
	require.Equal(c.t, want, string(got[:n]), "read error: %v", err)
}

// ExpectEnd requires that the server closes without further data.
func (c *Conn) ExpectEnd() {
	c.t.Helper()
	rest, err := io.ReadAll(c.r)
	require.Empty(c.t, string(rest))
	require.NoError(c.t, err)
}

// Line reads one line without its end.
func (c *Conn) Line() string {
	c.t.Helper()
	line, err := c.r.ReadString('\n')
	require.NoError(c.t, err)
	return strings.TrimRight(line, "\r\n")
}

// Frame reads one reply; see ReadFrame.
func (c *Conn) Frame() ([]byte, error) { return ReadFrame(c.r) }

// Fence returns when everything sent before on this connection has taken effect. The connection must not be a RESP2
// subscriber, and must have nothing else to read.
func (c *Conn) Fence() {
	c.t.Helper()
	c.Send("PING\n")
	c.Expect("+PONG\r\n")
}

// Eventually waits for a condition without an event to wait for, such as the end of a socket. The condition runs on the goroutine of its
// caller: what it requires ends the test.
func Eventually(t testing.TB, holds func() bool, what string) {
	t.Helper()
	for end := time.Now().Add(Patience); !holds(); time.Sleep(time.Millisecond) { //nolint:forbidigo // a wait that is bounded
		if time.Now().After(end) {
			require.FailNow(t, "a condition never holds", what)
		}
	}
}

// Info reads one number of INFO on a new connection.
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
