package daemon

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
)

// carriers is a cluster with a source from a stream of another conch, and a sink to another stream there, all by durable topics.
func carriers(t *testing.T, other *process) *nodes {
	c := newNodes(t, "a", "b", "c")
	for _, name := range c.names {
		c.startCarrier(name, other)
	}
	return c
}

func (c *nodes) startCarrier(name string, other *process) {
	file := filepath.Join(c.t.TempDir(), "conch.toml")
	harness.WriteFile(c.t, file, fmt.Appendf(nil, "durable = 'd.*'\n[[source]]\nname = 'in'\nfrom = 'redis://%[1]s?stream=in'\ntopic = 'd.in'\n"+
		"[[sink]]\nname = 'out'\ntopic = 'd.*'\nto = 'redis://%[1]s?stream=out'\n", other.Address))
	c.start(name, "--config="+file, "--enable-connect-command=yes")
}

// runsOn waits until the connectors run on one node, and returns its name. All nodes name it.
func (c *nodes) runsOn() (name string) {
	c.t.Helper()
	harness.Eventually(c.t, func() bool {
		named := map[string]int{}
		for each := range c.running {
			conn := c.dial(each)
			for _, direction := range []string{"SOURCE", "SINK"} {
				conn.Send("%s LIST\n", direction)
				row := conn.Line()
				conn.Line()
				_, node, _ := strings.Cut(row, " node=")
				node, _, _ = strings.Cut(node, " ")
				if state := map[bool]string{true: "running", false: "standby"}[node == each]; strings.Contains(row, " state="+state+" ") {
					named[node]++
					name = node
				}
			}
		}
		return len(named) == 1 && name != "" && named[name] == 2*len(c.running)
	}, "the connectors run on one node")
	return name
}

// addNumbers adds numbers to a stream.
func addNumbers(t *testing.T, p *process, from, to int) {
	conn := harness.Use(t, p.Dial())
	for n := from; n <= to; n++ {
		conn.Send("XADD in * message %d\r\n", n)
	}
	for n := from; n <= to; n++ {
		_, err := conn.Frame()
		require.NoError(t, err)
	}
}

// numbers are the messages of a stream, in its order.
func numbers(t *testing.T, p *process, stream string) (all []string) {
	conn := harness.Use(t, p.Dial())
	conn.Send("XRANGE %s - +\r\n", stream)
	frame, err := conn.Frame()
	require.NoError(t, err)
	parts := strings.Split(string(frame), "\r\nmessage\r\n")
	for _, part := range parts[1:] {
		all = append(all, strings.Split(part, "\r\n")[1])
	}
	return all
}

func count(from, to int) (all []string) {
	for n := from; n <= to; n++ {
		all = append(all, fmt.Sprint(n))
	}
	return all
}

// Connectors run on one node, and go on at another one when that stops: each message of the other side is in the topic once, and comes out.
func TestConnectorsMoveWithTheLeader(t *testing.T) {
	other := start(t)
	c := carriers(t, other)
	first := c.runsOn()
	const rounds, each = 3, 400
	for round := range rounds {
		holder := c.runsOn()
		addNumbers(t, other, round*each+1, round*each+each/2)
		var others []string
		for _, name := range c.names {
			if name != holder {
				others = append(others, name)
			}
		}
		c.stop(holder)
		delete(c.running, holder)
		addNumbers(t, other, round*each+each/2+1, (round+1)*each)
		for _, name := range others {
			c.eventually(name, "XLEN d.in", fmt.Sprintf(":%d\r\n", (round+1)*each))
		}
		c.startCarrier(holder, other)
	}
	last := c.runsOn()
	want := count(1, rounds*each)
	for _, name := range c.names {
		c.eventually(name, "XLEN d.in", fmt.Sprintf(":%d\r\n", rounds*each))
		assert.Equal(t, want, numbers(t, c.running[name], "d.in"), name)
	}
	t.Log("the connectors ran on", first, "and then on", last)
	c.eventually(last, "XPENDING d.in connect:out", "*4\r\n:0\r\n$-1\r\n$-1\r\n*-1\r\n")
	seen := map[string]bool{}
	for _, n := range numbers(t, other, "out") {
		seen[n] = true
	}
	assert.Len(t, seen, rounds*each)
}

// A connector that is paused on one node is so on all, also once another one leads; and it goes on likewise.
func TestAPausedConnectorStaysSoOnAnotherNode(t *testing.T) {
	other := start(t)
	c := carriers(t, other)
	holder := c.runsOn()
	var away []string
	for _, name := range c.names {
		if name != holder {
			away = append(away, name)
		}
	}
	rests := func(name, want string) {
		conn := c.dial(name)
		harness.Eventually(t, func() bool {
			conn.Send("SOURCE LIST\n")
			row := conn.Line()
			conn.Line()
			return strings.Contains(row, " state="+want+" ")
		}, want+" on "+name)
	}
	conn := c.dial(away[0])
	conn.Send("SOURCE PAUSE none\nSOURCE PAUSE in\n")
	conn.Expect("-ERR SOURCE PAUSE: there is none of that name\r\nOK SOURCE PAUSE in\n")
	for _, name := range c.names {
		rests(name, "paused")
	}
	c.stop(holder)
	delete(c.running, holder)
	addNumbers(t, other, 1, 10)
	conn = c.dial(away[0])
	harness.Eventually(t, func() bool { // the sink has moved, so the source has, too
		conn.Send("SINK LIST\n")
		row := conn.Line()
		conn.Line()
		return row != "" && !strings.Contains(row, " node="+holder+" ")
	}, "another node runs the connectors")
	for _, name := range away {
		rests(name, "paused")
	}
	c.eventually(away[0], "EXISTS d.in", ":0\r\n")
	c.startCarrier(holder, other)
	rests(holder, "paused")
	conn = c.dial(holder)
	conn.Send("SOURCE RESUME in\n")
	conn.Expect("OK SOURCE RESUME in\n")
	c.runsOn()
	c.eventually(holder, "XLEN d.in", ":10\r\n")
}

// Each node logs that the file of another has other connectors. A reload is compared, too.
func TestNodesWithOtherConnectors(t *testing.T) {
	other := start(t)
	c := newCluster(t, "a", "b")
	c.startCarrier("a", other)
	c.start("b")
	c.dial("a")
	log := c.running["b"].Log
	const differs = "the setting source and sink differs"
	harness.Eventually(t, func() bool { return strings.Contains(log.Text(), differs) }, differs)
	assert.NotContains(t, log.Text(), "redis://")
}

// Of a connector that the files have no more, SOURCE DEL and SINK DEL remove what the nodes keep: how far it has read, and that it is paused.
func TestNothingIsKeptOfAConnectorThatIsGone(t *testing.T) {
	other := start(t)
	c := newNodes(t, "a", "b")
	stop := func() {
		c.stop("a")
		c.stop("b")
	}
	for _, name := range c.names {
		c.startCarrier(name, other)
	}
	addNumbers(t, other, 1, 10)
	c.eventually("b", "XLEN d.in", ":10\r\n")
	b := c.dial("b")
	b.Send("SOURCE DEL in\nSOURCE PAUSE in\nSINK PAUSE out\n")
	b.Expect("-ERR source in is of the config file: remove it there, and send SIGHUP\r\nOK SOURCE PAUSE in\nOK SINK PAUSE out\n")
	stop()
	for _, name := range c.names {
		c.start(name, "--enable-connect-command=yes")
	}
	b = c.dial("b")
	b.Send("SOURCE DEL in\nSOURCE DEL in\nSINK DEL in\nSINK DEL out\nSINK DEL out\n")
	b.Expect("OK SOURCE DEL in\n-ERR SOURCE DEL: there is none of that name\r\n-ERR SINK DEL: there is none of that name\r\n" +
		"OK SINK DEL out\n-ERR SINK DEL: there is none of that name\r\n")
	stop()
	for _, name := range c.names {
		c.startCarrier(name, other)
	}
	c.runsOn()
	c.eventually("a", "XLEN d.in", ":20\r\n")
	requireOneSequence(t, c)
}
