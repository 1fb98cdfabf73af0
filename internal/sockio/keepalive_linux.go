package sockio

import (
	"net"
	"syscall"
	"time"
)

// tcpUserTimeout is TCP_USER_TIMEOUT of Linux, tcp(7), in milliseconds.
const tcpUserTimeout = 18

// setUserTimeout sets after which time a connection is over whose peer does not acknowledge what was sent to it. Left alone the
// kernel tries for a quarter of an hour; keep-alive does not help, because it waits until nothing is on its way.
func setUserTimeout(sock *net.TCPConn, after time.Duration) {
	raw, err := sock.SyscallConn()
	if err != nil {
		return // it is closed
	}
	_ = raw.Control(func(fd uintptr) { // should it fail, the kernel's own patience is what there is
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(after/time.Millisecond))
	})
}
