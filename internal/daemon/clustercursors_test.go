package daemon

import (
	"bufio"
	"net/http"
	"net/url"
	"strings"
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
