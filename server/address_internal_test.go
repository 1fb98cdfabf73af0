package server

import (
	"net"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/conchmq/conch/internal/command"
)

// tcpSock has two ends, and nothing else.
type tcpSock struct {
	net.Conn
	own, peer net.Addr
}

func (s tcpSock) LocalAddr() net.Addr  { return s.own }
func (s tcpSock) RemoteAddr() net.Addr { return s.peer }

// An end that a client writes is compared with thousands of connections: it must be the same as comparing texts.
func TestEndsAreComparedAsTheyAreShown(t *testing.T) {
	tcp := func(ip string, port int, zone string) net.Addr {
		return &net.TCPAddr{IP: net.ParseIP(ip), Port: port, Zone: zone}
	}
	addresses := []net.Addr{
		tcp("1.2.3.4", 5, ""), tcp("::ffff:1.2.3.4", 5, ""), tcp("::1", 5, ""), tcp("fe80::1", 65535, "eth0"), tcp("127.0.0.1", 0, ""),
		&net.UnixAddr{Name: "/run/conch.sock"}, &net.UnixAddr{Name: ""}, &net.IPAddr{IP: net.ParseIP("1.2.3.4")},
	}
	texts := []string{"", ":0", "1.2.3.4", "01.2.3.4:5", "1.2.3.4:05", "[::ffff:1.2.3.4]:5", "::1:5", "[::1]:5", "[0::1]:5", "/run/conch.sock", "x"}
	for _, a := range addresses {
		texts = append(texts, a.String(), addressOf(tcpSock{own: a, peer: a}, a).String())
	}
	for _, a := range addresses {
		var sock net.Conn = tcpSock{own: a, peer: a}
		for _, text := range texts {
			shown := addressOf(sock, a)
			assert.Equal(t, shown.String() == text, command.ParseAddress(text) == shown, "%v and %q", a, text)
		}
	}
	a := addresses[0]
	var sock net.Conn = tcpSock{own: a, peer: a}
	e := command.ParseAddress(a.String())
	same := true
	assert.Zero(t, testing.AllocsPerRun(10, func() { same = same && e == addressOf(sock, a) }), "nothing is formatted")
	assert.True(t, same)
}
