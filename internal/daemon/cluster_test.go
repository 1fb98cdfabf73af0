package daemon

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/faulty"
	"github.com/conchmq/conch/internal/harness"
)

// nodes are the members of a cluster, each a conch within the test.
type nodes struct {
	t         *testing.T
	names     []string
	addresses map[string]string // of nodes among each other
	dirs      map[string]string
	running   map[string]*process
}

// newNodes makes the nodes of a cluster, which do not run yet.
func newNodes(t *testing.T, names ...string) *nodes {
	c := &nodes{t: t, names: names, addresses: map[string]string{}, dirs: map[string]string{}, running: map[string]*process{}}
	for _, name := range names {
		c.addresses[name], c.dirs[name] = harness.FreeAddress(t), filepath.Join(t.TempDir(), name)
	}
	return c
}

// startCluster starts a cluster of nodes.
func startCluster(t *testing.T, names ...string) *nodes {
	c := newNodes(t, names...)
	for _, name := range names {
		c.start(name)
	}
	return c
}

// awaitAll waits until all nodes serve clients: by then the addresses of all are known.
func (c *nodes) awaitAll() {
	for _, name := range c.names {
		c.eventually(name, "PING", "+PONG\r\n")
	}
}

func (c *nodes) start(name string, flags ...string) {
	var all []string
	for _, other := range c.names {
		all = append(all, other+"="+c.addresses[other])
	}
	c.running[name] = start(c.t, append([]string{
		"--dir=" + c.dirs[name], "--cluster-name=" + name, "--cluster-listen=" + c.addresses[name], "--cluster-bootstrap=" + strings.Join(all, ","),
		"--cluster-election=2s", "--cluster-timeout=1m", // the machine may be busy with other tests
	}, flags...)...)
}

// stop stops a node as SIGTERM does.
func (c *nodes) stop(name string) {
	c.running[name].Signals <- syscall.SIGTERM
	require.NoError(c.t, c.running[name].wait())
}

// dial connects to a node once it serves clients.
func (c *nodes) dial(name string) *harness.Conn {
	c.running[name].Log.Await(c.t, "this node has caught up with the cluster", 1)
	return harness.Use(c.t, c.running[name].Dial())
}

// eventually sends a command until the reply is the one that is expected: a node may be some entries behind another.
func (c *nodes) eventually(name, command, want string) {
	c.t.Helper()
	conn, last := c.dial(name), ""
	defer func() { assert.Equal(c.t, want, last, "%s on %s", command, name) }()
	harness.Eventually(c.t, func() bool {
		conn.Send("%s\r\n", command)
		frame, err := conn.Frame()
		require.NoError(c.t, err)
		last = string(frame)
		return last == want
	}, command+" on "+name)
}

// What is published on any node reaches the subscribers of all, in one sequence.
func TestOneOrderOverNodes(t *testing.T) {
	c := startCluster(t, "a", "b", "c")
	var subscribers []*harness.Conn
	for _, name := range c.names {
		s := c.dial(name)
		s.Send("SEQ ON\nSUB news\n")
		s.Line()
		s.Expect("OK SUB news\n")
		subscribers = append(subscribers, s)
	}
	for i, name := range c.names {
		p := c.dial(name)
		p.Send("PUB news from %s\n", name)
		p.Expect("OK PUB news\n")
		for _, s := range subscribers {
			s.Expect(fmt.Sprintf("UPDATE #%d news from %s\n", i+1, name))
		}
	}
}

// Streams, groups, transactions, users and settings are those of all nodes.
func TestNodesShareTheirState(t *testing.T) {
	c := startCluster(t, "a", "b", "c")
	a, b := c.dial("a"), c.dial("b")
	a.Send("XADD s 1-1 n 1\r\n")
	a.Expect("$3\r\n1-1\r\n")
	c.eventually("c", "XLEN s", ":1\r\n")

	a.Command("MULTI")
	a.Command("XADD", "s", "2-1", "n", "2")
	a.Command("PUBLISH", "news", "hi")
	a.Command("XLEN", "s")
	a.Command("EXEC")
	a.Expect("+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*3\r\n$3\r\n2-1\r\n:0\r\n:2\r\n")
	c.eventually("b", "XLEN s", ":2\r\n")

	a.Send("XGROUP CREATE s g 0\r\n")
	a.Expect("+OK\r\n")
	c.eventually("b", "XPENDING s g", "*4\r\n:0\r\n$-1\r\n$-1\r\n*-1\r\n")
	b.Send("XREADGROUP GROUP g bob COUNT 1 STREAMS s >\r\n")
	b.Expect("*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\nn\r\n$1\r\n1\r\n")
	c.eventually("c", "XPENDING s g", "*4\r\n:1\r\n$3\r\n1-1\r\n$3\r\n1-1\r\n*1\r\n*2\r\n$3\r\nbob\r\n$1\r\n1\r\n")

	a.Send("ACL SETUSER tom on >secret ~* &* +@all\r\n")
	a.Expect("+OK\r\n")
	c.eventually("c", "ACL USERS", "*2\r\n$7\r\ndefault\r\n$3\r\ntom\r\n")
	tom := c.dial("c")
	tom.Send("AUTH tom secret\r\nXADD s 3-1 by tom\r\n")
	tom.Expect("+OK\r\n$3\r\n3-1\r\n")
	a.Send("ACL DELUSER tom\r\n")
	a.Expect(":1\r\n")
	c.eventually("b", "ACL USERS", "*1\r\n$7\r\ndefault\r\n")

	a.Send("CONFIG SET durable orders.*\r\n")
	a.Expect("+OK\r\n")
	c.eventually("b", "CONFIG GET durable", "*2\r\n$7\r\ndurable\r\n$8\r\norders.*\r\n")
	b.Send("PUBLISH orders.eu one\r\n")
	b.Expect(":0\r\n")
	c.eventually("c", "XLEN orders.eu", ":1\r\n")
}

// A consumer that waits on one node gets what another node appends, and no two get the same.
func TestBlockedConsumersOnTwoNodes(t *testing.T) {
	c := startCluster(t, "a", "b", "c")
	a := c.dial("a")
	a.Send("XGROUP CREATE jobs g $ MKSTREAM\r\n")
	a.Expect("+OK\r\n")
	c.eventually("b", "EXISTS jobs", ":1\r\n")
	c.eventually("c", "EXISTS jobs", ":1\r\n")
	got := make(chan string)
	for _, name := range []string{"b", "c"} {
		consumer := c.dial(name)
		consumer.Send("XREADGROUP GROUP g %s COUNT 1 BLOCK 0 STREAMS jobs >\r\n", name)
		go func() {
			frame, _ := consumer.Frame() // what is missing shows in what comes
			got <- string(frame)
		}()
	}
	for _, name := range []string{"b", "c"} {
		conn := c.dial(name)
		harness.Eventually(t, func() bool {
			conn.Send("INFO clients\r\n")
			frame, err := conn.Frame()
			require.NoError(t, err)
			return strings.Contains(string(frame), "\r\nblocked_clients:1\r\n")
		}, "a consumer waits")
	}
	a.Send("XADD jobs 1-1 n 1\r\nXADD jobs 2-1 n 2\r\n")
	a.Expect("$3\r\n1-1\r\n$3\r\n2-1\r\n")
	all := <-got + <-got
	assert.Equal(t, 1, strings.Count(all, "1-1"), all)
	assert.Equal(t, 1, strings.Count(all, "2-1"), all)
}

// What depends on one node alone is refused, and changes nothing.
func TestWhatANodeRefuses(t *testing.T) {
	c := startCluster(t, "a")
	a := c.dial("a")
	for _, command := range []string{"SOURCE", "SINK"} {
		a.Command(command, "ADD", "x", "topic", "nats://127.0.0.1")
		a.Expect("-ERR " + command + " ADD is not possible on a node of a cluster; add the connector to the files of all nodes, and send each SIGHUP\r\n")
	}
	a.Command("CONFIG", "SET", "durable", "x", "loglevel", "debug")
	a.Expect("-ERR loglevel is a setting of this node alone: set it by a command of its own\r\n")
	a.Command("SUBSCRIBE", "news")
	a.Expect("*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n")
	a.Command("XADD", "s", "*", "a", "b")
	a.Expect("-ERR Can't execute 'xadd': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context\r\n")
	c.eventually("a", "EXISTS s", ":0\r\n")
}

// Nodes that are stopped one after the other come back with what was answered meanwhile, in one sequence.
func TestNodesComeBack(t *testing.T) {
	c := startCluster(t, "a", "b", "c")
	sequence := 0
	publish := func(name string) {
		p := c.dial(name)
		p.Send("SEQ ON\n")
		p.Line()
		p.Send("XADD s * n 1\r\n") // it may be the first one behind an election
		harness.Eventually(t, func() bool {
			frame, err := p.Frame()
			require.NoError(t, err)
			if frame[0] == '$' {
				sequence++
				return true
			}
			p.Send("XADD s * n 1\r\n")
			return false
		}, "an answer")
	}
	for round, name := range c.names {
		c.stop(name)
		for _, other := range c.names {
			if other != name {
				publish(other)
			}
		}
		c.start(name)
		for _, each := range c.names {
			c.eventually(each, "XLEN s", fmt.Sprintf(":%d\r\n", 2*(round+1)))
		}
	}
	for _, name := range c.names {
		p := c.dial(name)
		p.Send("SEQ ON\n")
		p.Line()
		p.Send("PUB news hi\n")
		sequence++
		assert.Equal(t, fmt.Sprintf("OK PUB news #%d", sequence), strings.TrimSpace(p.Line()))
	}
}

// A node with damage in its streams does not start: it would serve another state than the others. What is not proven to be damage is the end of
// the log, and is applied again.
func TestANodeWithDamageDoesNotStart(t *testing.T) {
	c := newNodes(t, "a")
	c.start("a", "--segment-size=64KiB")
	a := c.dial("a")
	for _, text := range []string{"first", "second", strings.Repeat("third", 20<<10)} { // the last one begins a segment, which proves the other
		a.Send("%s", harness.RESP("XADD", "s", "*", "n", text+"-entry"))
		_, err := a.Frame()
		require.NoError(t, err)
	}
	harness.Eventually(t, func() bool { // an answer does not wait for these files
		segments, err := filepath.Glob(filepath.Join(c.dirs["a"], "*.log"))
		require.NoError(t, err)
		first, err := os.Stat(segments[0])
		require.NoError(t, err)
		isSealed := first.Size() < 64<<10 // what was allocated behind its end is given back; before that nothing proves that it was synced
		return isSealed && slices.ContainsFunc(segments[1:], func(name string) bool {
			content, err := os.ReadFile(name)
			require.NoError(t, err)
			return bytes.Contains(content, []byte("third-entry"))
		})
	}, "the last entry is written, and the segment before it sealed")
	damaged := filepath.Join(t.TempDir(), "copy")
	require.NoError(t, faulty.CopyLive(damaged, c.dirs["a"]))
	c.stop("a")
	checkpoints, err := filepath.Glob(filepath.Join(damaged, "checkpoint-*"))
	require.NoError(t, err)
	for _, name := range checkpoints { // a start reads nothing of what one covers
		require.NoError(t, os.Remove(name))
	}
	segments, err := filepath.Glob(filepath.Join(damaged, "*.log"))
	require.NoError(t, err)
	require.Greater(t, len(segments), 1)
	content, err := os.ReadFile(segments[0])
	require.NoError(t, err)
	at := bytes.Index(content, []byte("second-entry"))
	require.Positive(t, at)
	content[at] ^= 1
	require.NoError(t, os.WriteFile(segments[0], content, 0o600))
	flags := []string{"--listen=127.0.0.1:0", "--dir=" + damaged, "--cluster-name=a", "--cluster-listen=" + c.addresses["a"], "--segment-size=64KiB"}
	signals := make(chan os.Signal, 1)
	time.AfterFunc(harness.Patience, func() { signals <- syscall.SIGTERM }) // for a node that serves it
	err = Serve(load(t, flags...), io.Discard, signals)
	assert.ErrorContains(t, err, "is damaged at offset")
	assert.ErrorContains(t, err, "other nodes have what is lost; remove this node, and add it anew with an empty directory")
}
