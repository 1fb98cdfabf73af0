package server

import (
	"net"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestConnList(t *testing.T) {
	var l connList
	ids := func() (ids []int64) {
		for c := range l.all() {
			ids = append(ids, c.id)
		}
		return ids
	}
	conns := make(map[int64]*conn)
	for _, id := range []int64{1, 2, 4, 3, 7, 5, 6, 8} { // several listeners accept at once
		conns[id] = &conn{id: id}
		l.add(conns[id])
	}
	assert.Equal(t, []int64{1, 2, 3, 4, 5, 6, 7, 8}, ids())
	for id, c := range conns {
		assert.Same(t, c, l.find(id))
	}
	assert.Nil(t, l.find(9))
	for i, id := range []int64{3, 8, 1, 6, 5, 7, 2, 4} {
		l.remove(conns[id])
		l.remove(conns[id]) // a second time it is gone
		assert.Nil(t, l.find(id))
		assert.Equal(t, 7-i, l.len())
		assert.Len(t, ids(), 7-i)
		assert.True(t, slices.IsSorted(ids()))
		assert.LessOrEqual(t, l.gaps, len(l.slots)/2, "gaps are closed")
	}
	assert.Empty(t, l.slots)
}

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
		texts = append(texts, a.String(), peerAddress(tcpSock{own: a, peer: a}).String())
	}
	for _, a := range addresses {
		var sock net.Conn = tcpSock{own: a, peer: a}
		for _, text := range texts {
			e := newEnd(text)
			assert.Equal(t, peerAddress(sock).String() == text, e.is(sock, a), "%v and %q", a, text)
		}
	}
	a := addresses[0]
	var sock net.Conn = tcpSock{own: a, peer: a}
	e := newEnd(a.String())
	assert.Zero(t, testing.AllocsPerRun(10, func() { e.is(sock, a) }), "nothing is formatted")
}
