//go:build linux

package sockio

import (
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTheKernelAsksSilentPeersWhetherTheyAreThere(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, l.Close()) }()
	peer, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	defer func() { require.NoError(t, peer.Close()) }()
	sock, err := l.Accept()
	require.NoError(t, err)
	defer func() { require.NoError(t, sock.Close()) }()

	KeepAlive(sock, 30*time.Second)

	raw, err := sock.(*net.TCPConn).SyscallConn()
	require.NoError(t, err)
	option := func(level, name int) (value int) {
		require.NoError(t, raw.Control(func(fd uintptr) {
			value, err = syscall.GetsockoptInt(int(fd), level, name)
		}))
		require.NoError(t, err)
		return value
	}
	assert.Equal(t, 1, option(syscall.SOL_SOCKET, syscall.SO_KEEPALIVE))
	assert.Equal(t, 30, option(syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE))
	assert.Equal(t, 10, option(syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL))
	assert.Equal(t, 3, option(syscall.IPPROTO_TCP, syscall.TCP_KEEPCNT))
	assert.Equal(t, 60_000, option(syscall.IPPROTO_TCP, tcpUserTimeout))
}
