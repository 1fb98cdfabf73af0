package server

import (
	"fmt"
	"net"
)

// unixEnd is either end of a Unix connection as Redis shows it: the socket's path, and 0 for the port that it has not.
// A peer's own end has no name, so this is all there is to tell.
type unixEnd string

func (path unixEnd) String() string { return string(path) + ":0" }

// peerAddress is where a connection comes from, as CLIENT LIST and the log show it.
func peerAddress(sock net.Conn) fmt.Stringer { return endOf(sock, sock.RemoteAddr()) }

// ownAddress is our end of it.
func ownAddress(sock net.Conn) fmt.Stringer { return endOf(sock, sock.LocalAddr()) }

func endOf(sock net.Conn, end net.Addr) fmt.Stringer {
	if a, ok := sock.LocalAddr().(*net.UnixAddr); ok {
		return unixEnd(a.Name)
	}
	return end
}

// monitorAddress is where a connection comes from, as MONITOR shows it: other than CLIENT LIST does, in Redis too.
func monitorAddress(sock net.Conn) string {
	if a, ok := sock.LocalAddr().(*net.UnixAddr); ok {
		return "unix:" + a.Name
	}
	return sock.RemoteAddr().String()
}
