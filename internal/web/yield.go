package web

import (
	"net"
	"runtime"
	"syscall"
)

// yieldListener accepts connections for TLS that yield the processor between reads.
type yieldListener struct{ net.Listener }

func (l yieldListener) Accept() (net.Conn, error) {
	sock, err := l.Listener.Accept()
	if tcp, ok := sock.(*net.TCPConn); ok {
		return yieldConn{tcp}, err //nolint:wrapcheck // net/http looks at it
	}
	return sock, err //nolint:wrapcheck // the same
}

// yieldConn is the socket of a connection over TLS.
//
// HTTP/2 reads and handles frames in two goroutines of net/http, each of which wakes the other. To the scheduler of Go the two are one
// turn, until it interrupts them after 10 ms, and other goroutines may have to wait for 61 such turns. So eight clients that sent
// small frames as fast as they could delayed a PING by 0.6 to 2 s. Now a turn ends with each TLS record, of 16 KiB at most.
type yieldConn struct{ *net.TCPConn }

// manyBytes is from how many bytes on a read has work for long.
const manyBytes = 2 << 10

func (c yieldConn) Read(b []byte) (int, error) {
	n, err := c.TCPConn.Read(b)
	if n >= manyBytes {
		runtime.Gosched()
	}
	return n, err //nolint:wrapcheck // it stands for the socket
}

var _ syscall.Conn = yieldConn{}
