package server

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// unixEnd is either end of a Unix connection as Redis shows it: the socket's path, and 0 for the port that it has not.
// A peer's own end has no name, so this is all there is to tell.
type unixEnd string

func (path unixEnd) String() string { return string(path) + ":0" }

// peerAddress is where a connection comes from, as CLIENT LIST and the log show it.
func peerAddress(sock net.Conn) fmt.Stringer { return endOf(sock, sock.RemoteAddr()) }

// endOf shows one end of a connection.
func endOf(sock net.Conn, end net.Addr) fmt.Stringer {
	if a, ok := sock.LocalAddr().(*net.UnixAddr); ok {
		return unixEnd(a.Name)
	}
	return end
}

// appendEnd appends what endOf shows, which for TCP needs no memory.
func appendEnd(b []byte, sock net.Conn, of net.Addr) []byte {
	if a, ok := of.(*net.TCPAddr); ok {
		ours := a.AddrPort()
		if ours.Addr().IsValid() {
			return netip.AddrPortFrom(ours.Addr().Unmap(), ours.Port()).AppendTo(b)
		}
	}
	return append(b, endOf(sock, of).String()...)
}

// monitorAddress is where a connection comes from, as MONITOR shows it: other than CLIENT LIST does, in Redis too.
func monitorAddress(sock net.Conn) string {
	if a, ok := sock.LocalAddr().(*net.UnixAddr); ok {
		return "unix:" + a.Name
	}
	return sock.RemoteAddr().String()
}

// end is an address as a client writes it, to be compared with those of connections without formatting them.
type end struct {
	text string // for addresses that are neither of a Unix socket nor of TCP
	unix bool   // the text is path and the port 0
	path string
	tcp  netip.AddrPort // not valid if the text is none
}

func newEnd(text string) *end {
	e := &end{text: text}
	e.path, e.unix = strings.CutSuffix(text, ":0")
	if a, err := netip.ParseAddrPort(text); err == nil && a.String() == text { // spelt as we would
		e.tcp = a
	}
	return e
}

// is tells whether the text is what CLIENT LIST shows for this end of a connection.
func (e *end) is(sock net.Conn, of net.Addr) bool {
	if a, ok := of.(*net.TCPAddr); ok {
		return int(e.tcp.Port()) == a.Port && e.tcp.IsValid() && e.tcp.Addr() == a.AddrPort().Addr().Unmap()
	}
	if a, ok := sock.LocalAddr().(*net.UnixAddr); ok {
		return e.unix && e.path == a.Name
	}
	return of.String() == e.text
}
