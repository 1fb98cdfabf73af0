package sockio

import (
	"net"
	"time"
)

// keepAliveProbes is how many questions of the kernel a silent peer may leave unanswered. As in Redis they come at a
// third of the time that it was silent before.
const keepAliveProbes = 3

// KeepAlive has the kernel find out whether a silent peer is still there, and give up on one that is not: one that was
// switched off, or cut off, says nothing. A peer that is there and says nothing for a year is left alone.
func KeepAlive(sock net.Conn, after time.Duration) {
	tcp, ok := sock.(*net.TCPConn)
	if !ok {
		return
	}
	_ = tcp.SetKeepAliveConfig(net.KeepAliveConfig{ // fails only on a closed socket: so does the read that follows
		Enable: true, Idle: after, Interval: max(time.Second, after/keepAliveProbes), Count: keepAliveProbes,
	})
	setUserTimeout(tcp, 2*after)
}
