package daemon

import (
	"net/http"
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
	leader, gone := c.leads()
	refusal := "LOADING this node was removed from the cluster; use " + leader + ".example:7000, or add this one again by NODE ADD"
	change := func(words ...string) {
		conn := c.dial(leader)
		conn.Command(words...)
		_, err := conn.Frame()
		require.NoError(t, err)
	}
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
			return string(frame) == "-"+refusal+"\r\n"
		}, refusal)
		for command, want := range map[string]string{
			"XADD s * a b": "-" + refusal, "SUBSCRIBE news": "-" + refusal, "INFO replication": "\r\nnode_state:removed\r\n",
			"INFO persistence": "\r\nloading:1\r\n",
			"INFO cluster":     "\r\nnode_role:removed\r\nnode_leader:" + leader + "\r\nnode_majority:0\r\nnode_healthy:0\r\n", "NODE STATUS": "removed",
		} {
			conn.Send("%s\r\n", command)
			frame, err := conn.Frame()
			require.NoError(t, err)
			assert.Contains(t, string(frame), want, command)
		}
		web := "http://" + c.running[gone].First["http"].(string)
		status, _, body := get(t, web+"/readyz")
		assert.Equal(t, http.StatusServiceUnavailable, status)
		assert.Contains(t, body, refusal[len("LOADING "):])
		_, _, body = get(t, web+"/cluster")
		assert.Contains(t, body, `"role":"removed"`)
	}

	lines, resp := c.dial(gone), c.dial(gone)
	lines.Send("SUB news\n")
	lines.Expect("OK SUB news\n")
	resp.Send("HELLO 3\r\n")
	_, err := resp.Frame()
	require.NoError(t, err)
	change("NODE", "REMOVE", gone)
	lines.Expect("ERR closing connection: this node was removed from the cluster; next=" + leader + ".example:7000\n")
	lines.ExpectEnd()
	notice, err := resp.Frame()
	require.NoError(t, err)
	assert.Regexp(t, `^>4\r\n\$7\r\nclosing\r\n\$7\r\nremoved\r\n(.|\r\n)*next=`+leader+`\.example:7000`, string(notice))
	resp.ExpectEnd()
	expectRemoved()

	c.stop(gone)
	c.start(gone, flags(gone)...)
	expectRemoved()
	change("NODE", "ADD", gone, c.addresses[gone])
	c.eventually(gone, "PING", "+PONG\r\n")
	change("XADD", "s", "1-1", "a", "b")
	c.eventually(gone, "XLEN s", ":1\r\n")

	c.stop(gone)
	change("NODE", "REMOVE", gone)
	c.start(gone, flags(gone)...)
	expectRemoved()
	change("NODE", "ADD", gone, c.addresses[gone])
	c.eventually(gone, "XLEN s", ":1\r\n")
	requireOneSequence(t, c)
}
