//go:build e2e

package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
)

// silence is how long a server may take to answer before that is its answer. A server that is right never takes it.
const silence = 2 * time.Minute

// nothingMore stands for silence among answers. Even if both servers are silent, the test is wrong then.
const nothingMore = "(nothing more)"

// firstID is more than any count in the answers, so that an integer that is a client id is known to be one.
const firstID = 200

// server is one of the two that are compared.
type server struct {
	t           *testing.T
	address     string
	pushesFirst bool // a Redis up to 7.0: messages to oneself come before the reply
	keys        bool // a sequence begins without keys
	isNode      bool // of a cluster: a client that is woken reads one proposal later
	control     *diffConn
}

func newServer(t *testing.T, address string) *server {
	t.Helper()
	s := &server{t: t, address: address}
	for s.control = s.dial(); s.control.id < firstID; s.control = s.dial() {
		s.control.close()
	}
	var major, minor int
	_, version, _ := strings.Cut(s.control.ask("HELLO"), "version\r\n")
	_, err := fmt.Sscanf(strings.SplitAfterN(version, "\n", 2)[1], "%d.%d", &major, &minor)
	require.NoError(t, err)
	s.pushesFirst = major < 7 || major == 7 && minor < 2
	return s
}

func freePort(t *testing.T) (host, port string) {
	t.Helper()
	host, port, err := net.SplitHostPort(harness.FreeAddress(t))
	require.NoError(t, err)
	return host, port
}

func awaitReady(t *testing.T, out io.Reader) {
	t.Helper()
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if strings.Contains(lines.Text(), "Ready to accept connections") {
			go func() { _, _ = io.Copy(io.Discard, out) }() // it must not block on what it has to say
			return
		}
	}
	require.FailNow(t, "redis-server ended before it was ready")
}

// open returns connections to a server that holds nothing of the sequence before.
func (s *server) open(conns int) *scene {
	s.t.Helper()
	for _, question := range []string{"CHANNELS", "SHARDCHANNELS", "NUMPAT"} {
		answer := ""
		for began := time.Now(); answer != "*0\r\n" && answer != ":0\r\n"; {
			answer = s.control.ask("PUBSUB", question)
			if strings.HasPrefix(answer, "-ERR unknown subcommand") {
				break
			}
			require.Less(s.t, time.Since(began), patience, "subscriptions outlive their connections")
		}
	}
	if s.keys {
		require.Equal(s.t, "+OK\r\n", s.control.ask("FLUSHALL"))
	}
	sc := &scene{server: s}
	for range conns {
		sc.conns = append(sc.conns, s.dial())
	}
	return sc
}

// diffConn is a connection to a server.
type diffConn struct {
	t        *testing.T
	sock     net.Conn
	in       *bufio.Reader
	id       int64
	closed   bool
	queueing bool // inside MULTI
	shuffled bool // an UNSUBSCRIBE without arguments is queued: the order of what EXEC answers is open
	fences   int
}

func (s *server) dial() *diffConn {
	s.t.Helper()
	sock, err := net.Dial("tcp", s.address)
	require.NoError(s.t, err)
	c := &diffConn{t: s.t, sock: sock, in: bufio.NewReader(sock)}
	id := c.ask("CLIENT", "ID")
	c.id, err = strconv.ParseInt(strings.Trim(id, ":\r\n"), 10, 64)
	require.NoError(s.t, err, "CLIENT ID answered %q", id)
	return c
}

func (c *diffConn) close() { _ = c.sock.Close() } // it may be closed already

// ask sends a command on a connection that gets nothing else, and returns all it answers.
func (c *diffConn) ask(words ...string) string {
	c.t.Helper()
	c.write(command{words: words}.encode(nil))
	answer := strings.Join(c.fence(), "")
	require.False(c.t, c.closed, answer)
	return answer
}

func (c *diffConn) write(bytes string) {
	if _, err := io.WriteString(c.sock, bytes); err != nil {
		return // a server that has closed the connection: reading tells
	}
}

// fence returns all that came before the answer to a question which it asks now.
func (c *diffConn) fence() []string {
	if c.queueing {
		// MULTI in MULTI is refused without harm to what is queued, so it can stand behind the answers.
		c.write(command{words: []string{"MULTI"}}.encode(nil))
		tokens := c.readLines(1)
		return strip(tokens, "-ERR MULTI calls can not be nested\r\n")
	}
	c.fences++
	mark := fmt.Sprintf("fence%d", c.fences)
	c.write(command{words: []string{"PING", mark}}.encode(nil))
	bulk := bulkString(mark)
	tokens := c.readUntil(func(token string) bool { return token == bulk })
	if n := len(tokens); n >= 3 && tokens[n-1] == bulk && tokens[n-2] == "$4\r\npong\r\n" {
		return tokens[:n-3] // a RESP2 subscriber's
	}
	return strip(tokens, bulk)
}

func strip(tokens []string, last string) []string {
	if n := len(tokens); n > 0 && tokens[n-1] == last {
		return tokens[:n-1]
	}
	return tokens
}

// readLines reads until n simple strings or errors have come: inside MULTI each command answers one.
func (c *diffConn) readLines(n int) []string {
	if n == 0 {
		return nil
	}
	return c.readUntil(func(token string) bool {
		if token[0] == '+' || token[0] == '-' {
			n--
		}
		return n == 0
	})
}

func (c *diffConn) readUntil(last func(token string) bool) []string {
	var tokens []string
	if err := c.sock.SetReadDeadline(time.Now().Add(silence)); err != nil {
		c.closed = true
	}
	for !c.closed {
		token, err := readToken(c.in)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			tokens, c.closed = append(tokens, token+nothingMore), true
			c.close()
		case err != nil:
			tokens, c.closed = append(tokens, token+"(closed)"), true
			c.close()
		default:
			tokens = append(tokens, token)
			if last(token) {
				return tokens
			}
		}
	}
	return tokens
}
