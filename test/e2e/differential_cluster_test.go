//go:build e2e

package e2e

import (
	"bufio"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
)

// startNodes starts the nodes of a cluster, and waits until all serve clients.
func startNodes(t *testing.T, names ...string) (nodes []*conch) {
	t.Helper()
	bootstrap := make([]string, len(names))
	for i, name := range names {
		bootstrap[i] = name + "=" + harness.FreeAddress(t)
	}
	for i, name := range names {
		_, address, _ := strings.Cut(bootstrap[i], "=")
		nodes = append(nodes, start(t, "", "--dir", t.TempDir(), "--cluster-name", name, "--cluster-listen", address,
			"--cluster-bootstrap", strings.Join(bootstrap, ","), "--cluster-timeout", "1m"))
	}
	for _, n := range nodes {
		harness.Eventually(t, func() bool { return n.pings() }, "a node has caught up")
	}
	return nodes
}

// pings reports whether a node serves clients. One that has just got the users of its cluster closes connections that were open before.
func (c *conch) pings() bool {
	conn := c.dial()
	defer func() { require.NoError(c.t, conn.Close()) }()
	_, _ = fmt.Fprint(conn, "PING\r\n") // a read fails too
	line, err := bufio.NewReader(conn).ReadString('\n')
	return err == nil && line == "+PONG\r\n"
}

// ofNode are families without what a node refuses: in a transaction HELLO, SELECT, AUTH and RESET, and commands with very many names.
func ofNode(all []family) (some []family) {
	for _, f := range all {
		switch f.name {
		case "hello", "version", "connection":
			f.joins, f.alone = false, true
		case "hostile":
			f.make = func(g *generator) []command {
				defer func(huge bool) { g.huge = huge }(g.huge)
				g.huge = false
				return one(hostile)(g)
			}
		}
		some = append(some, f)
	}
	return some
}

// A node of a cluster answers as Redis too: what is ordered over all nodes, and what is not.
func TestANodeAnswersAsRedis(t *testing.T) {
	nodes := startNodes(t, "a", "b", "c")
	t.Run("commands", func(t *testing.T) {
		subject := newServer(t, net.JoinHostPort(nodes[1].host, nodes[1].port))
		compareAtRandom(t, startRedis(t), subject, ofNode(present(families)), compose)
	})
	t.Run("streams and groups", func(t *testing.T) {
		reference, subject := startRedis(t), newServer(t, net.JoinHostPort(nodes[1].host, nodes[1].port))
		reference.keys, subject.keys, subject.isNode = true, true, true
		all := append(slices.Clone(streamFamilies), groupFamilies...)
		compareAtRandom(t, reference, subject, ofNode(all), composeStreams)
	})
	for _, n := range nodes {
		n.stop()
	}
}
