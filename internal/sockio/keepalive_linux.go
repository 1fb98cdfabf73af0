package sockio

import (
	"net"
	"syscall"
	"time"
)

// tcpUserTimeout is TCP_USER_TIMEOUT of Linux, tcp(7), in milliseconds.
const tcpUserTimeout = 18

// setUserTimeout bounds how long sent bytes may stay unacknowledged before the connection ends. The kernel's own bound is a
// quarter of an hour. Keep-alive does not help: it waits until nothing is on its way.
func setUserTimeout(sock *net.TCPConn, after time.Duration) {
	raw, err := sock.SyscallConn()
	if err != nil {
		return // it is closed
	}
	_ = raw.Control(func(fd uintptr) { // if it fails, the kernel's own bound holds
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(after/time.Millisecond))
	})
}
