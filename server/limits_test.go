package server_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/protocol"
	"github.com/conchmq/conch/server"
)

func TestTopicLimitLeavesTheConnectionOpen(t *testing.T) {
	s := harness.Start(t, server.Options{Limits: protocol.Limits{Topic: 8}})
	c := s.Dial(t)
	for _, n := range []int{7, 8} {
		name := strings.Repeat("t", n)
		c.Send("SUB %s\nPUB %s x\n", name, name)
		c.Expect(fmt.Sprintf("OK SUB %s\nOK PUB %s\nUPDATE %s x\n", name, name, name))
		c.Command("PUBLISH", name, "x")
		c.Expect(fmt.Sprintf(":1\r\nUPDATE %s x\n", name))
	}
	c.Send("SUB ok %s\nPUB %[1]s x\n", strings.Repeat("t", 9))
	c.Expect("ERR topic of 9 bytes is longer than 8 (--max-topic)\nERR topic of 9 bytes is longer than 8 (--max-topic)\n")
	c.Command("PSUBSCRIBE", strings.Repeat("t", 9))
	c.Expect("-ERR topic of 9 bytes is longer than 8 (--max-topic)\r\n")
	c.Fence()
}

func TestMessageLimit(t *testing.T) {
	s := harness.Start(t, server.Options{})
	sub, pub := s.Dial(t), s.Dial(t)
	sub.Command("SUBSCRIBE", "a")
	sub.Expect("*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n")
	for _, n := range []int{16<<20 - 1, 16 << 20} {
		payload := strings.Repeat("x", n)
		go func() { _, _ = io.WriteString(pub, harness.RESP("PUBLISH", "a", payload)) }() // what fails here fails below
		sub.Expect(fmt.Sprintf("*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$%d\r\n%s\r\n", n, payload))
		pub.Expect(":1\r\n")
	}
	pub.Send("*3\r\n$7\r\nPUBLISH\r\n$1\r\na\r\n$%d\r\n", 16<<20+1)
	pub.Expect("-ERR Protocol error: invalid bulk length (over --max-message 16777216)\r\n")
	pub.ExpectEnd()
}

func TestLineLimit(t *testing.T) {
	s := harness.Start(t, server.Options{})
	const limit = 64 << 10
	for _, n := range []int{limit - 1, limit} {
		c := s.Dial(t)
		c.Send("PUB a %s\r\n", strings.Repeat("x", n-len("PUB a ")))
		c.Expect("OK PUB a\r\n")
	}
	c := s.Dial(t)
	c.Send("PUB a %s\r\n", strings.Repeat("x", limit+1-len("PUB a ")))
	c.Expect("-ERR Protocol error: too big inline request (over --max-line 65536)\r\n")
	c.ExpectEnd()
}

func TestConnectionLimit(t *testing.T) {
	s := harness.Start(t, server.Options{MaxConnections: 3})
	var conns []*harness.Conn
	for range 3 {
		c := s.Dial(t)
		c.Fence()
		conns = append(conns, c)
	}
	refused := s.Dial(t)
	refused.Expect("-ERR max number of clients reached\r\n")
	refused.ExpectEnd()
	for _, c := range conns {
		c.Fence() // nobody else noticed
	}
	require.NoError(t, conns[0].Close())
	harness.Eventually(t, func() bool {
		c := s.Dial(t)
		c.Send("PING\n")
		first, err := io.ReadAll(io.LimitReader(c, 7))
		return err == nil && string(first) == "+PONG\r\n"
	}, "a place that was given up is not taken again")
}

// Memory grows with bytes that have arrived, never with a length that was announced.
func TestAnnouncedLengthsCostNothing(t *testing.T) {
	s := harness.Start(t, server.Options{})
	for _, announced := range []string{"*3\r\n$7\r\nPUBLISH\r\n$1\r\na\r\n$16777216\r\n", "*1048576\r\n$4\r\n", "PUB a half a line"} {
		const conns = 1000
		before := heap()
		var open []*harness.Conn
		for range conns {
			c := s.Dial(t)
			c.Send("PING\n") // answered: the server has this connection
			c.Expect("+PONG\r\n")
			c.Send("%s", announced)
			open = append(open, c)
		}
		harness.Eventually(t, func() bool {
			return s.Info(t, "total_net_input_bytes") >= conns*(len(announced)+len("PING\n"))
		}, "the bytes do not arrive")
		each := (int64(heap()) - int64(before)) / conns
		t.Logf("%q: %d bytes of heap a connection, the test's own end included", announced, each)
		assert.Less(t, each, int64(16<<10))
		for _, c := range open {
			require.NoError(t, c.Close())
		}
		harness.Eventually(t, func() bool { return s.Info(t, "connected_clients") == 1 }, "connections stay behind")
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC() // pools are emptied by the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// A library that resubscribes after a restart sends all its names in one command.
func TestManyTopicsInOneCommand(t *testing.T) {
	s := harness.Start(t, server.Options{})
	c := s.Dial(t)
	args := []string{"SUBSCRIBE"}
	for i := range 20_000 {
		args = append(args, fmt.Sprintf("topic-%d", i))
	}
	go func() { _, _ = io.WriteString(c, harness.RESP(args...)) }() // what fails here fails below
	for i, name := range args[1:] {
		c.Expect(fmt.Sprintf("*3\r\n$9\r\nsubscribe\r\n$%d\r\n%s\r\n:%d\r\n", len(name), name, i+1))
	}
	require.Equal(t, 20_000, s.Info(t, "pubsub_channels"))
	require.NoError(t, c.Close())
	harness.Eventually(t, func() bool { return s.Info(t, "pubsub_channels") == 0 }, "topics stay behind")
}

func TestThousandsOfCommandsInOneWrite(t *testing.T) {
	s := harness.Start(t, server.Options{})
	c := s.Dial(t)
	const n = 5000
	go func() { _, _ = io.WriteString(c, strings.Repeat("*1\r\n$4\r\nPING\r\nPUB a b\nPUBSUB NUMPAT\r\n", n)) }()
	c.Expect(strings.Repeat("+PONG\r\nOK PUB a\n:0\r\n", n))
}

// elsewhere is a listener whose peers seem to come from another machine.
type elsewhere struct{ net.Listener }

type elsewhereConn struct{ net.Conn }

func (l elsewhere) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return elsewhereConn{c}, err
}

func (elsewhereConn) RemoteAddr() net.Addr {
	return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1234} // RFC 5737: an address for documents
}

func TestProtectedMode(t *testing.T) {
	listen := func() net.Listener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		return elsewhere{l}
	}
	t.Run("other machines get one clear error", func(t *testing.T) {
		s := harness.StartOn(t, listen(), server.Options{})
		c := s.Dial(t)
		text := c.Line()
		assert.True(t, strings.HasPrefix(text, "-DENIED conch is running in protected mode"), text)
		assert.Contains(t, text, "--protected-mode=false")
		c.ExpectEnd()
	})
	t.Run("switched off, they are served", func(t *testing.T) {
		s := harness.StartOn(t, listen(), server.Options{Unprotected: true})
		s.Dial(t).Fence()
	})
	t.Run("it covers every listener", func(t *testing.T) {
		s := harness.Start(t, server.Options{})
		l := listen()
		s.Serve(l)
		s.Dial(t).Fence()
		other, err := net.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		defer func() { _ = other.Close() }()
		text, err := io.ReadAll(other)
		require.NoError(t, err)
		assert.True(t, bytes.HasPrefix(text, []byte("-DENIED ")), "%s", text)
	})
	t.Run("a Unix socket is this machine", func(t *testing.T) {
		l, err := net.Listen("unix", t.TempDir()+"/conch.sock")
		require.NoError(t, err)
		s := harness.Start(t, server.Options{})
		s.Serve(l)
		c, err := net.Dial("unix", l.Addr().String())
		require.NoError(t, err)
		defer func() { _ = c.Close() }()
		_, err = io.WriteString(c, "PING\n")
		require.NoError(t, err)
		pong := make([]byte, 7)
		_, err = io.ReadFull(c, pong)
		require.NoError(t, err)
		assert.Equal(t, "+PONG\r\n", string(pong))
	})
}

// Answers are made while everybody waits, so none may be made long by asking for the same thing many times.
func TestLargeAnswersAreBounded(t *testing.T) {
	s := harness.Start(t, server.Options{Limits: protocol.Limits{Topic: 64}})
	c := s.Dial(t)
	docs := []string{"COMMAND", "DOCS"}
	for range 1000 {
		docs = append(docs, "client")
	}
	c.Command(docs...)
	frame, err := c.Frame()
	require.NoError(t, err)
	assert.True(t, bytes.HasPrefix(frame, []byte("*2\r\n$6\r\nclient\r\n")), "%.40q", frame)
	c.Command(append(docs, strings.Split(strings.Repeat("ping ", 100), " ")...)...)
	c.Expect("-ERR more than 1024 arguments for 'command|docs' command\r\n")
	c.Command("PUBSUB", "CHANNELS", strings.Repeat("x", 65))
	c.Expect("-ERR topic of 65 bytes is longer than 64 (--max-topic)\r\n")
	c.Command("CLIENT", "SETNAME", strings.Repeat("x", 257))
	c.Expect("-ERR Client names cannot contain spaces, newlines or special characters.\r\n")
	c.Command("MULTI")
	c.Expect("+OK\r\n")
	for range 8 {
		c.Command("INFO")
		c.Command("CLIENT", "KILL", "ID", "123456789")
	}
	c.Expect(strings.Repeat("+QUEUED\r\n", 16))
	c.Command("ACL", "SETUSER", "u")
	c.Expect("-ERR more than 16 commands with large replies or much work in one transaction\r\n")
	c.Command("EXEC")
	c.Expect("-EXECABORT Transaction discarded because of previous errors.\r\n")
}

// What follows a large command in one write is taken in small batches again, in order and whole.
func TestSmallCommandsBehindALargeOne(t *testing.T) {
	s := harness.Start(t, server.Options{})
	c := s.Dial(t)
	large := strings.Repeat("x", 5<<20)
	const n = 20_000
	c.Send("COMMAND COUNT\r\n")
	count := c.Line()
	go func() { // what fails here fails below
		_, _ = io.WriteString(c, harness.RESP("ECHO", large)+strings.Repeat("COMMAND COUNT\r\nPUBSUB HELP\r\n", n))
	}()
	c.Expect(fmt.Sprintf("$%d\r\n%s\r\n", len(large), large))
	for range n {
		assert.Equal(t, count, c.Line())
		_, err := c.Frame()
		require.NoError(t, err)
	}
}

// The connection stays, and so does what it holds.
func TestTooManySubscriptions(t *testing.T) {
	s := harness.Start(t, server.Options{MaxSubscriptions: 3})
	const refusal = "ERR more than 3 subscriptions on one connection (--max-subscriptions)"
	t.Run("in lines", func(t *testing.T) {
		c := s.Dial(t)
		c.Send("SUB a b c\nPSUB d*\nSUB d\nSUB a b c\nUNSUB a\nPSUB d*\n")
		c.Expect("OK SUB a\nOK SUB b\nOK SUB c\n" + refusal + "\n" + refusal + "\nOK SUB a\nOK SUB b\nOK SUB c\nOK UNSUB a\nOK PSUB d*\n")
	})
	t.Run("over RESP, all names of a command or none", func(t *testing.T) {
		c := s.Dial(t)
		c.Send("%s", harness.RESP("SUBSCRIBE", "a", "b", "c", "d"))
		c.Expect("-" + refusal + "\r\n")
		c.Send("%s", harness.RESP("PING"))
		c.Expect("+PONG\r\n")
	})
	t.Run("a library that subscribes anew to all it knows gets through", func(t *testing.T) {
		c := s.Dial(t)
		for range 2 {
			c.Send("%s", harness.RESP("SUBSCRIBE", "a", "b", "c"))
			for range 3 {
				_, err := c.Frame()
				require.NoError(t, err)
			}
		}
	})
	t.Run("in a transaction, when its turn comes", func(t *testing.T) {
		c := s.Dial(t)
		c.Send("%s", harness.RESP("MULTI")+harness.RESP("SUBSCRIBE", "a", "b")+harness.RESP("SUBSCRIBE", "c", "d")+harness.RESP("EXEC"))
		c.Expect("+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n" +
			"*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n-" + refusal + "\r\n")
	})
}
