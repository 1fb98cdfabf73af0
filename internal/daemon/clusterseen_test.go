package daemon

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
)

// until sends a command until its reply matches, and returns that.
func (c *nodes) until(name, command, pattern string) (reply string) {
	c.t.Helper()
	conn := c.dial(name)
	harness.Eventually(c.t, func() bool {
		conn.Send("%s\r\n", command)
		frame, err := conn.Frame()
		require.NoError(c.t, err)
		reply = string(frame)
		return regexp.MustCompile(pattern).MatchString(reply)
	}, command+" has "+pattern)
	return reply
}

// Each node shows how the cluster does, and logs how it changes.
func TestAClusterIsSeen(t *testing.T) {
	c := startCluster(t, "a", "b", "c")
	for _, name := range c.names {
		c.until(name, "INFO cluster", `\r\nnode_majority:1\r\nnode_healthy:1\r\n`)
		info := c.until(name, "INFO replication", `\r\nnode_state:ok\r\nnode_lag_entries:0\r\nnode_lag_bytes:0\r\nnode_snapshot:\d+\r\n`)
		assert.Contains(t, info, "\r\nrole:master\r\nconnected_slaves:0\r\n")
		line := c.running[name].Log.Await(t, "a node leads the cluster", 1)
		assert.NotEmpty(t, line["leader"])
		log := c.running[name].Log
		harness.Eventually(t, func() bool { return strings.Contains(log.Text(), `"node":"c","state":"ok"`) }, "the log has that it is ok")
	}
	c.stop("c")
	for _, name := range []string{"a", "b"} {
		c.until(name, "INFO cluster", `\r\nnode_majority:1\r\nnode_healthy:0\r\n`)
		info := c.until(name, "INFO cluster", `\r\nnode_member_2:name=c,address=[^\r]*,vote=voter,role=[a-z]*,state=away,lag_entries=\d+,lag_bytes=\d+,`)
		for i, member := range []string{"a", "b"} {
			assert.Contains(t, info, fmt.Sprintf("\r\nnode_member_%d:name=%s,address=%s,vote=voter,", i, member, c.addresses[member]))
		}
		c.until(name, "NODE STATUS", `\$7\r\nmembers\r\n\*3\r\n`)
		log := c.running[name].Log
		// On a busy machine it may be behind before, or seen without its clients while it stops.
		away := regexp.MustCompile(`"node":"c","state":"away","before":"(ok|behind|catching-up)"`)
		harness.Eventually(t, func() bool { return away.MatchString(log.Text()) }, "the log has it")
	}
}
