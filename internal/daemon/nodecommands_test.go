package daemon

import (
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/cluster"
	"github.com/conchmq/conch/internal/harness"
)

// A conch that ran alone becomes the first node of a cluster with its streams; a node that is added gets them, and goes on with the order.
func TestANodeIsAdded(t *testing.T) {
	c := newNodes(t, "a", "b")
	c.names = []string{"a"} // it begins alone
	alone := start(t, "--dir="+c.dirs["a"])
	a := harness.Use(t, alone.Dial())
	a.Send("XADD old 1-1 n 1\r\nXGROUP CREATE old g 0\r\n")
	a.Expect("$3\r\n1-1\r\n+OK\r\n")
	alone.Signals <- syscall.SIGTERM
	require.NoError(t, alone.wait())

	c.start("a")
	a = c.dial("a")
	a.Send("XREADGROUP GROUP g bob STREAMS old >\r\n")
	a.Expect("*1\r\n*2\r\n$3\r\nold\r\n*1\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\nn\r\n$1\r\n1\r\n")
	a.Send("NODE LIST\r\n")
	assert.Regexp(t, ` snapshot=[1-9]`, a.Line(), "its log has lost the entries that build on its streams alone")
	assert.Equal(t, "OK NODE LIST 1", strings.TrimSpace(a.Line()))
	c.names = nil // b joins without a bootstrap
	c.running["b"] = start(t, "--dir="+c.dirs["b"], "--cluster-name=b", "--cluster-listen="+c.addresses["b"], "--cluster-election=2s", "--cluster-timeout=1m")
	a.Command("NODE", "ADD", "b", c.addresses["b"])
	a.Expect("+OK\r\n")
	c.running["b"].Log.Await(t, "this node was too far behind, and has got the state of another one: it starts again with it", 1)
	line := c.running["b"].Log.Await(t, "listening", 2) // it listens on another port now
	c.running["b"].Address = line["address"].(string)
	c.eventually("b", "XPENDING old g", "*4\r\n:1\r\n$3\r\n1-1\r\n$3\r\n1-1\r\n*1\r\n*2\r\n$3\r\nbob\r\n$1\r\n1\r\n")
	a.Command("NODE", "ADD", "b", c.running["a"].Address) // a port of clients
	frame, err := a.Frame()
	require.NoError(t, err)
	assert.Contains(t, string(frame), "-ERR not added: b at "+c.running["a"].Address+": ")
	typo := harness.FreeAddress(t)
	a.Command("NODE", "ADD", "b", typo)
	a.Expect("-ERR b stays at " + c.addresses["b"] + ": no node answers at " + typo + ": dial tcp " + typo +
		": connect: connection refused; first start it at its new address, with its directory\r\n")
	c.eventually("b", "NODE REMOVE a", "-ERR this node does not lead; send it to a at "+c.addresses["a"]+"\r\n")
	a.Command("NODE", "REMOVE", "nobody")
	a.Expect("-ERR no node is named \"nobody\"; NODE LIST has them\r\n")
	a.Command("NODE", "ADD", "x y", "h:1")
	a.Expect("-ERR \"x y\" is not a name of a node: 1 to 64 letters, digits, dots, dashes and underscores\r\n")
	a.Command("NODE", "ADD", "d", "nowhere")
	a.Expect("-ERR expected HOST:PORT, as the other nodes dial it, not \"nowhere\"\r\n")
	a.Command("NODE", "ADD", "d", "192.0.2.1:9001")
	a.Expect("-ERR 192.0.2.1:9001: " + cluster.ErrNeedsTLS.Error() + "\r\n")

	a.Command("NODE", "ADD", "d", typo)
	a.Expect("+OK\r\n") // it may start later
	a.Command("NODE", "PROMOTE", "d")
	a.Expect("-ERR d gets no vote: no node answers at " + typo + ": dial tcp " + typo + ": connect: connection refused; try again once it is ok in NODE LIST\r\n")
	a.Command("NODE", "REMOVE", "d")
	a.Expect("+OK\r\n")
	c.change([]string{"a", "b"}, "", "^\\+OK", "NODE", "PROMOTE", "b") // from here on either may lead
	b := c.dial("b")
	b.Send("XADD old 2-1 n 2\r\n")
	b.Expect("$3\r\n2-1\r\n")
	b.Send("NODE LIST\r\n") // the vote came before the entry
	for _, want := range []string{`^# a ` + c.addresses["a"] + ` voter (\S+ )?state=`, `^# b ` + c.addresses["b"] + ` voter (leader )?this-node state=\S+ lag_entries=`, `^OK NODE LIST 2`} {
		assert.Regexp(t, want, b.Line())
	}
}

// A conch with streams begins a cluster alone: with others, one of these might lead first, and its state would be that of all.
func TestANodeWithStreamsBeginsAlone(t *testing.T) {
	c := newNodes(t, "a", "b", "c")
	alone := start(t, "--dir="+c.dirs["a"])
	a := harness.Use(t, alone.Dial())
	a.Send("XADD old 1-1 n 1\r\n")
	a.Expect("$3\r\n1-1\r\n")
	alone.Signals <- syscall.SIGTERM
	require.NoError(t, alone.wait())
	bootstrap := "--cluster-bootstrap=a=" + c.addresses["a"] + ",b=" + c.addresses["b"] + ",c=" + c.addresses["c"]
	signals := make(chan os.Signal, 1)
	time.AfterFunc(harness.Patience, func() { signals <- syscall.SIGTERM }) // for a node that serves them
	err := Serve(load(t, "--listen=127.0.0.1:0", "--dir="+c.dirs["a"], "--cluster-name=a", "--cluster-listen="+c.addresses["a"], bootstrap), io.Discard, signals)
	require.ErrorContains(t, err, "begin the cluster with this node alone, cluster-bootstrap=a="+c.addresses["a"]+", and add the others, with empty directories, by NODE ADD")
	c.names = []string{"a"}
	c.start("a")
	a = c.dial("a")
	a.Send("XLEN old\r\n")
	a.Expect(":1\r\n")
	c.stop("a")
	c.names = []string{"a", "b", "c"} // what is given has no effect any more
	c.start("a")
	c.dial("a")
}

// A node's directory without its cluster is served, with a warning: what changes there is a state that the other nodes do not have.
func TestANodesDirectoryAlone(t *testing.T) {
	const warning = "the directory is of a node of a cluster, and conch runs alone: what changes here keeps the node out of its cluster"
	c := newNodes(t, "a")
	c.start("a")
	c.dial("a")
	c.stop("a")
	assert.NotContains(t, c.running["a"].Log.Text(), warning)
	assert.NotContains(t, c.running["a"].Log.Text(), "could not be handed over", "no other node has a vote")
	start(t, "--dir="+c.dirs["a"]).Log.Await(t, warning, 1)
}

// A conch that runs alone refuses commands about nodes with a way out.
func TestNodeCommandsOfAConchAlone(t *testing.T) {
	p := start(t)
	for _, command := range []string{"NODE LIST", "NODE STATUS", "NODE ADD a h:1", "NODE TRANSFER"} {
		p.Request(p.Dial(), command+"\r\n", "-ERR this conch runs alone; start it with --cluster-name to make it a node of a cluster\r\n")
	}
}

// A node that stops names another one to its clients.
func TestANodeThatStopsNamesAnother(t *testing.T) {
	c := newNodes(t, "a", "b", "c")
	for _, name := range c.names {
		c.start(name, "--cluster-clients="+name+".example:7000")
	}
	c.awaitAll()
	a := c.dial("a")
	a.Send("SUB news\nPUB news hi\n")
	a.Expect("OK SUB news\nOK PUB news\nUPDATE news hi\n")
	c.stop("a")
	assert.Regexp(t, `^ERR closing connection: the server stops; next=[bc]\.example:7000$`, strings.TrimSpace(a.Line()))
}

// A leader that is stopped with the others, or right behind them, warns of nothing: none is left that could lead.
func TestAllNodesAreStopped(t *testing.T) {
	c := startCluster(t, "a", "b", "c")
	c.awaitAll()
	leader, _ := c.leads()
	for _, name := range c.names {
		if name != leader {
			c.running[name].Signals <- syscall.SIGTERM
		}
	}
	for _, name := range c.names {
		if name != leader {
			require.NoError(t, c.running[name].wait())
		}
	}
	c.stop(leader)
	assert.NotContains(t, c.running[leader].Log.Text(), "could not be handed over")
}
