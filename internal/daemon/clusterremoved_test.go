package daemon

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
)

// leads returns the node that leads, and one that does not, as another sees it.
func (c *nodes) leads() (leader, follower string) {
	c.t.Helper()
	reply := c.until(c.names[0], "INFO cluster", `\r\nnode_leader:\w+\r\n`)
	for _, name := range c.names {
		if strings.Contains(reply, "\r\nnode_leader:"+name+"\r\n") {
			leader = name
		} else {
			follower = name
		}
	}
	return leader, follower
}

// change sends a command about another node to those that may lead, until the reply of one matches. The other one hands the leadership over if it leads.
func (c *nodes) change(members []string, other, want string, words ...string) {
	c.t.Helper()
	harness.Eventually(c.t, func() bool {
		return slices.ContainsFunc(members, func(name string) bool {
			conn := c.dial(name)
			defer func() { require.NoError(c.t, conn.Close()) }()
			conn.Command(words...)
			frame, err := conn.Frame()
			require.NoError(c.t, err)
			if strings.Contains(string(frame), "send it to "+other+" at ") {
				c.handOver(other)
			}
			return regexp.MustCompile(want).Match(frame)
		})
	}, strings.Join(words, " "))
}

// handOver makes another node lead than one that may have stopped meanwhile.
func (c *nodes) handOver(name string) {
	conn, err := net.Dial("tcp", c.running[name].Address)
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, "NODE TRANSFER\r\n"); err == nil {
		_, _ = harness.ReadFrame(bufio.NewReader(conn)) // what comes of it shows in the next reply
	}
}

// Replies to NODE REMOVE and NODE ADD that have taken effect, the former perhaps by a leader that could not answer any more.
const (
	isRemoved = `^(\+OK|-ERR no node is named)`
	isAdded   = `^\+OK`
)

// A node that was removed serves no clients: those that it has go on at a member, and others get an error that names one. So it is behind a restart, also
// if the node did not run when it was removed. Once it is added again, with its directory, it serves clients.
func TestANodeThatWasRemoved(t *testing.T) {
	c := newNodes(t, "a", "b", "c")
	flags := func(name string) []string {
		return []string{"--http=127.0.0.1:0", "--cluster-clients=" + name + ".example:7000"}
	}
	for _, name := range c.names {
		c.start(name, flags(name)...)
	}
	c.awaitAll()
	_, gone := c.leads()
	members := slices.DeleteFunc(slices.Clone(c.names), func(name string) bool { return name == gone })
	one := "(" + strings.Join(members, "|") + ")" // any of them may lead, and another one later
	refusal := "LOADING this node was removed from the cluster; use " + one + `\.example:7000, or add this one again by NODE ADD`
	change := func(want string, words ...string) { c.change(members, gone, want, words...) }
	expectRemoved := func() {
		c.running[gone].Log.Await(t, "this node was removed from the cluster, and serves no clients: stop it, or add it again by NODE ADD", 1)
		conn := harness.Use(t, c.running[gone].Dial())
		conn.Send("HELLO 3\r\n")
		_, err := conn.Frame()
		require.NoError(t, err)
		harness.Eventually(t, func() bool {
			conn.Command("PING")
			frame, err := conn.Frame()
			require.NoError(t, err)
			return regexp.MustCompile("^-" + refusal + "\r\n$").Match(frame)
		}, refusal)
		for command, want := range map[string]string{
			"XADD s * a b": "-" + refusal, "SUBSCRIBE news": "-" + refusal, "INFO replication": "\r\nnode_state:removed\r\n",
			"INFO persistence": "\r\nloading:1\r\n",
			"INFO cluster":     "\r\nnode_role:removed\r\nnode_leader:" + one + "\r\nnode_majority:0\r\nnode_healthy:0\r\n", "NODE STATUS": "removed",
		} {
			conn.Send("%s\r\n", command)
			frame, err := conn.Frame()
			require.NoError(t, err)
			assert.Regexp(t, want, string(frame), command)
		}
		web := "http://" + c.running[gone].First["http"].(string)
		status, _, body := get(t, web+"/readyz")
		assert.Equal(t, http.StatusServiceUnavailable, status)
		assert.Regexp(t, refusal[len("LOADING "):], body)
		_, _, body = get(t, web+"/cluster")
		assert.Contains(t, body, `"role":"removed"`)
	}

	lines, resp := c.dial(gone), c.dial(gone)
	lines.Send("SUB news\n")
	lines.Expect("OK SUB news\n")
	resp.Send("HELLO 3\r\n")
	_, err := resp.Frame()
	require.NoError(t, err)
	change(isRemoved, "NODE", "REMOVE", gone)
	assert.Regexp(t, "^ERR closing connection: this node was removed from the cluster; next="+one+`\.example:7000$`, lines.Line())
	lines.ExpectEnd()
	notice, err := resp.Frame()
	require.NoError(t, err)
	assert.Regexp(t, `^>4\r\n\$7\r\nclosing\r\n\$7\r\nremoved\r\n(.|\r\n)*next=`+one+`\.example:7000`, string(notice))
	resp.ExpectEnd()
	expectRemoved()

	c.stop(gone)
	c.start(gone, flags(gone)...)
	expectRemoved()
	change(isAdded, "NODE", "ADD", gone, c.addresses[gone])
	c.eventually(gone, "PING", "+PONG\r\n")
	member := c.dial(members[0])
	member.Command("XADD", "s", "1-1", "a", "b")
	member.Expect("$3\r\n1-1\r\n")
	c.eventually(gone, "XLEN s", ":1\r\n")

	c.stop(gone)
	change(isRemoved, "NODE", "REMOVE", gone)
	c.start(gone, flags(gone)...)
	expectRemoved()
	change(isAdded, "NODE", "ADD", gone, c.addresses[gone])
	c.eventually(gone, "XLEN s", ":1\r\n")
	requireOneSequence(t, c)
}
