//go:build cluster

package cluster

import (
	"cmp"
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/conchmq/conch/client"
	"github.com/conchmq/conch/internal/faulty"
	"github.com/conchmq/conch/internal/harness"
)

// nodes are a cluster of three, each on an island, and the island of all clients.
type nodes struct {
	t       *testing.T
	islands *faulty.Islands
	all     []*node
	options []string // flags of each node
	tls     map[string][]string
}

const (
	count         = 3
	clientsIsland = count + 1
	diskSize      = 192 << 20 // of a node whose disk has a limit
)

// startNodes starts a cluster. Its nodes have disks in memory with a limit, or directories in dir.
func startNodes(t *testing.T, seed uint64, dir string, options ...string) *nodes {
	t.Helper()
	own := t.TempDir() // removed behind close
	islands, err := faulty.NewIslands(count+1, seed)
	require.NoError(t, err)
	c := &nodes{t: t, islands: islands, options: options, tls: map[string][]string{}}
	t.Cleanup(c.close)
	authority := harness.NewAuthority(t)
	for i := range count {
		n := &node{nodes: c, name: string(rune('a' + i)), island: i + 1, host: islands.Address(i + 1)}
		c.all = append(c.all, n)
		n.disk = filepath.Join(cmp.Or(dir, own), n.name)
		require.NoError(t, os.Mkdir(n.disk, 0o700))
		if dir == "" {
			require.NoError(t, unix.Mount("conch-"+n.name, n.disk, "tmpfs", 0, "size="+strconv.Itoa(diskSize)))
		}
		n.log, err = os.Create(filepath.Join(own, n.name+".log"))
		require.NoError(t, err)
		c.tls[n.name] = certify(t, authority, n, own)
	}
	for _, n := range c.all {
		require.NoError(t, n.start(false))
	}
	for _, n := range c.all {
		require.NoError(t, n.awaitReady())
	}
	return c
}

// certify gives a node the certificate by which others know it.
func certify(t *testing.T, authority *harness.Authority, n *node, own string) []string {
	dir := filepath.Join(own, n.name+"-tls")
	require.NoError(t, os.Mkdir(dir, 0o700))
	cert, key := authority.Valid(t, n.name, net.ParseIP(n.host)).Write(t, dir)
	ca := filepath.Join(dir, "ca.crt")
	harness.WriteFile(t, ca, authority.PEM)
	return []string{"--cluster-tls-cert", cert, "--cluster-tls-key", key, "--cluster-tls-client-ca", ca}
}

func (c *nodes) flags(n *node) []string { return slices.Concat(c.tls[n.name], c.options) }

// members is what a new cluster begins with.
func (c *nodes) members() string {
	var all []string
	for _, n := range c.all {
		all = append(all, n.name+"="+n.between())
	}
	return strings.Join(all, ",")
}

// close ends all. What a node has logged is kept where the test failed.
func (c *nodes) close() {
	end := syscall.SIGKILL
	if c.t.Failed() {
		end = syscall.SIGQUIT // its stacks are in the log then
	}
	for _, n := range c.all {
		if n.process != nil && !n.hasEnded() {
			assert.NoError(c.t, errors.Join(n.signal(syscall.SIGCONT), n.end(end)))
		}
		if n.log != nil {
			c.keepLog(n)
		}
		_ = unix.Unmount(n.disk, unix.MNT_DETACH) // a directory on the disk of all is not mounted
	}
	assert.NoError(c.t, c.islands.Close())
}

func (c *nodes) keepLog(n *node) {
	name := n.log.Name()
	assert.NoError(c.t, n.log.Close())
	if !c.t.Failed() {
		return
	}
	kept := filepath.Join(os.TempDir(), "conch-cluster-"+strconv.Itoa(os.Getpid())+"-"+n.name+".log")
	text, err := os.ReadFile(name)
	assert.NoError(c.t, errors.Join(err, os.WriteFile(kept, text, 0o600)))
	c.t.Logf("the log of %s is in %s", n.name, kept)
}

// dial connects from the island of clients.
func (c *nodes) dial(ctx context.Context, network, address string) (sock net.Conn, err error) {
	err = c.islands.Inside(clientsIsland, func() (err error) {
		sock, err = new(net.Dialer).DialContext(ctx, network, address)
		return err
	})
	return sock, err
}

func (c *nodes) dialFor(limit time.Duration, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	return c.dial(ctx, "tcp", address)
}

// connect makes a client of some nodes, which begins with the first of them.
func (c *nodes) connect(to ...*node) *client.Client {
	o := client.Options{
		Sequences: true, Dialer: c.dial, DialTimeout: time.Second, MinBackoff: 20 * time.Millisecond, MaxBackoff: 500 * time.Millisecond,
		PingAfter: time.Second,
	}
	for _, n := range to {
		o.Addresses = append(o.Addresses, n.address())
	}
	var made *client.Client
	harness.Eventually(c.t, func() bool {
		var err error
		made, err = client.Dial(context.Background(), o)
		return err == nil
	}, "a connection")
	return made
}

// from returns all nodes, beginning with the i-th.
func (c *nodes) from(i int) []*node {
	i %= len(c.all)
	return slices.Concat(c.all[i:], c.all[:i])
}

// leader returns the node that leads, or nil.
func (c *nodes) leader() *node {
	for _, n := range c.all {
		if !n.hasEnded() && n.status("role") == "leader" {
			return n
		}
	}
	return nil
}

// defects are what no node may log.
func (c *nodes) defects() (all []string) {
	for _, n := range c.all {
		all = append(all, n.defects()...)
	}
	return all
}

// await waits until something holds.
func await(what string, holds func() bool) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); time.Now().Before(end); <-tick.C {
		if holds() {
			return nil
		}
	}
	return errors.New("it takes too long: " + what)
}
