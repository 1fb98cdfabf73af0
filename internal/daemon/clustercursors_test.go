package daemon

import (
	"bufio"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
)

// A subscriber that moves from node to node with its group goes on where it was: to another connection that takes over, over the stop
// of its node, and over that of all.
func TestAGroupGoesOnOverNodes(t *testing.T) {
	c := startCluster(t, "a", "b", "c")
	pub := c.dial("b")
	pub.Command("CONFIG", "SET", "durable", "orders")
	pub.Expect("+OK\r\n")
	subscribe := func(name string, want ...string) *harness.Conn {
		s := c.dial(name)
		s.Send("SUB orders FROM GROUP billing\n")
		s.Expect("OK SUB orders\n")
		for _, payload := range want {
			s.Expect("UPDATE orders " + payload + "\n")
		}
		return s
	}
	publish := func(payload string) {
		pub.Command("PUB", "orders", payload)
		pub.Expect("+OK PUB orders\r\n")
	}
	c.eventually("a", "CONFIG GET durable", "*2\r\n$7\r\ndurable\r\n$6\r\norders\r\n")
	c.eventually("c", "CONFIG GET durable", "*2\r\n$7\r\ndurable\r\n$6\r\norders\r\n")

	one := subscribe("a")
	publish("1")
	one.Expect("UPDATE orders 1\n")
	c.awaitPosition("b", "1") // what other nodes know is as of the last second
	two := subscribe("c")
	assert.Contains(t, one.Line(), "ERR closing connection: another one has subscribed from the same group")
	one.ExpectEnd()
	publish("2")
	two.Expect("UPDATE orders 2\n")
	c.awaitPosition("b", "2")

	c.stop("c")
	publish("3")
	three := subscribe("a", "3")
	c.awaitPosition("b", "3")
	require.NoError(t, three.Close())
	publish("4")
	require.NoError(t, pub.Close())
	c.stop("a")
	c.stop("b")
	for _, name := range c.names {
		c.start(name)
	}
	pub = c.dial("a")
	subscribe("c", "4")
	requireOneSequence(t, c)
}

// awaitPosition waits until a node knows the position of a subscriber.
func (c *nodes) awaitPosition(name, number string) {
	c.t.Helper()
	conn := c.dial(name)
	defer func() { require.NoError(c.t, conn.Close()) }()
	harness.Eventually(c.t, func() bool {
		conn.Command("CURSOR", "LIST", "billing")
		frame, err := conn.Frame()
		require.NoError(c.t, err)
		return strings.Contains(string(frame), "-"+number+"\r\n")
	}, "the position is "+number)
}

// Over HTTP it is the same, on a node too.
func TestAGroupGoesOnOverHTTPOnANode(t *testing.T) {
	c := newNodes(t, "a")
	c.start("a", "--http=127.0.0.1:0")
	a := c.dial("a")
	a.Command("CONFIG", "SET", "durable", "orders")
	a.Expect("+OK\r\n")
	address := "http://" + c.running["a"].Log.Await(t, "listening", 1)["http"].(string)
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	subscribe := func() (body *http.Response, next func() string) {
		response, err := (&http.Client{Transport: transport}).Get(address + "/topics/orders?from=" + url.QueryEscape("GROUP web"))
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, response.StatusCode)
		lines := bufio.NewReader(response.Body)
		return response, func() string {
			for {
				line, err := lines.ReadString('\n')
				if err != nil {
					return err.Error()
				}
				if data, ok := strings.CutPrefix(line, "data: "); ok {
					return strings.TrimSpace(data)
				}
			}
		}
	}
	publish := func(payload string) {
		a.Command("PUB", "orders", payload)
		a.Expect("+OK PUB orders\r\n")
	}
	one, first := subscribe()
	publish("1")
	assert.Equal(t, "1", first())
	two, second := subscribe()
	assert.Contains(t, first(), `"reason":"taken_over"`)
	publish("2")
	assert.Equal(t, "2", second())
	for _, response := range []*http.Response{one, two} {
		require.NoError(t, response.Body.Close())
	}
	publish("3")
	three, third := subscribe()
	assert.Equal(t, "3", third())
	require.NoError(t, three.Body.Close())
}

// Connections that take a position as fast as they can, on all nodes, or that are gone before they have it, neither part the nodes nor hold
// anything in the end.
func TestTakesWithoutARest(t *testing.T) {
	c := startCluster(t, "a", "b", "c")
	a := c.dial("a")
	a.Command("CONFIG", "SET", "durable", "orders")
	a.Expect("+OK\r\n")
	for _, name := range c.names {
		c.eventually(name, "CONFIG GET durable", "*2\r\n$7\r\ndurable\r\n$6\r\norders\r\n")
	}
	const rounds, pipelined, gone = 5, 200, 50
	const subscribe, leave = "SUB orders FROM GROUP billing\n", "UNSUB orders\n"
	var tasks sync.WaitGroup
	for _, name := range c.names {
		tasks.Go(func() {
			for range rounds {
				conn := c.running[name].Dial()
				_, err := io.WriteString(conn, strings.Repeat(subscribe+leave, pipelined)+"QUIT\n")
				assert.NoError(t, err)
				_, _ = io.Copy(io.Discard, conn) // another one may have taken over
				_ = conn.Close()
			}
		})
		tasks.Go(func() {
			for range gone {
				conn := c.running[name].Dial()
				_, err := io.WriteString(conn, subscribe)
				assert.NoError(t, err)
				_ = conn.Close()
			}
		})
	}
	tasks.Wait()
	last := c.dial("b")
	last.Send(subscribe)
	last.Expect("OK SUB orders\n")
	a.Send("PUB orders hi\n")
	a.Expect("OK PUB orders\n")
	last.Expect("UPDATE orders hi\n")
	last.Send(leave)
	last.Expect("OK UNSUB orders\n")
	a.Send("%s", harness.RESP("CURSOR", "LIST"))
	harness.Eventually(t, func() bool {
		frame, err := a.Frame()
		require.NoError(t, err)
		a.Send("%s", harness.RESP("CURSOR", "LIST"))
		return strings.Contains(string(frame), "-1\r\n$6\r\nclient\r\n$0\r\n\r\n$4\r\nnode\r\n$0\r\n\r\n")
	}, "nothing holds the position")
	for _, name := range c.names {
		c.eventually(name, "EXISTS orders", ":1\r\n")
	}
	requireOneSequence(t, c)
}
