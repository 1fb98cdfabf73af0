package cluster

import (
	"context"
	"crypto/tls"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A connection to another node ends when the kernel there is silent for two elections' times, also beneath TLS.
func TestTheKernelGivesUpOnANodeThatIsCutOff(t *testing.T) {
	network, err := Listen("127.0.0.1:0", nil)
	require.NoError(t, err)
	defer func() { require.NoError(t, network.Close()) }()
	n := &Node{options: Options{Name: "a", Network: network, Election: time.Second}}
	n.applier = newApplier(n, State{})
	answered := make(chan error)
	go func() {
		c, err := network.Accept()
		if err == nil {
			_, err = c.Write([]byte("OK\n"))
			defer func() { _ = c.Close() }() // the other end is read to here
		}
		answered <- err
	}()
	c, err := n.dial(context.Background(), Member{Name: "b", Address: network.Addr().String()}, carriesRaft)
	require.NoError(t, err)
	require.NoError(t, <-answered)
	assert.Equal(t, 2000, userTimeout(t, c), "milliseconds")

	giveUpAfter(tls.Client(c, &tls.Config{MinVersion: tls.VersionTLS13}), 3*time.Second)
	assert.Equal(t, 6000, userTimeout(t, c), "milliseconds")
	require.NoError(t, c.Close())
}

// userTimeout returns the TCP_USER_TIMEOUT of a connection.
func userTimeout(t *testing.T, c net.Conn) (value int) {
	raw, err := c.(*net.TCPConn).SyscallConn()
	require.NoError(t, err)
	var failure error
	require.NoError(t, raw.Control(func(fd uintptr) {
		value, failure = syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, 18) // TCP_USER_TIMEOUT of tcp(7)
	}))
	require.NoError(t, failure)
	return value
}
