package faulty_test

import (
	"net"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/faulty"
	"github.com/conchmq/conch/internal/testseed"
)

// stations are a UDP socket on each island.
type stations struct {
	t       *testing.T
	islands *faulty.Islands
	sockets []*net.UDPConn // from 1
}

func newStations(t *testing.T, s *faulty.Islands, count int) *stations {
	all := &stations{t, s, make([]*net.UDPConn, count+1)}
	for i := 1; i <= count; i++ {
		require.NoError(t, s.Inside(i, func() (err error) {
			all.sockets[i], err = net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(s.Address(i)), Port: 7000})
			return err
		}))
	}
	return all
}

// send sends packets with the numbers from 0 on, and returns those that arrived, in their order. A last one that is lost shows after a second.
func (s *stations) send(from, to, count int) (arrived []byte) {
	s.t.Helper()
	for i := range count {
		_, err := s.sockets[from].WriteToUDP([]byte{byte(i)}, &net.UDPAddr{IP: net.ParseIP(s.islands.Address(to)), Port: 7000})
		if err != nil {
			break // the device is down
		}
	}
	for len(arrived) < count {
		require.NoError(s.t, s.sockets[to].SetReadDeadline(time.Now().Add(time.Second)))
		b := make([]byte, 1)
		if _, _, err := s.sockets[to].ReadFromUDP(b); err != nil {
			break
		}
		arrived = append(arrived, b[0])
	}
	return arrived
}

func (s *stations) close() {
	for _, c := range s.sockets[1:] {
		require.NoError(s.t, c.Close())
	}
}

func TestIslands(t *testing.T) {
	islands, err := faulty.NewIslands(3, testseed.New())
	if err != nil {
		t.Skip("no network namespaces with TUN devices here: ", err)
	}
	defer func() { assert.NoError(t, islands.Close()) }()
	s := newStations(t, islands, 3)
	defer s.close()
	one := []byte{0}
	assert.Equal(t, one, s.send(1, 2, 1), "nothing is wrong")

	require.NoError(t, islands.Block(2, 1))
	assert.Empty(t, s.send(1, 2, 1), "2 hears nothing of 1")
	assert.Equal(t, one, s.send(2, 1, 1), "1 hears 2")
	assert.Equal(t, one, s.send(3, 2, 1), "2 hears 3")
	require.NoError(t, islands.Unblock(2))
	assert.Equal(t, one, s.send(1, 2, 1), "2 hears 1 again")

	require.NoError(t, islands.Down(3))
	assert.Empty(t, s.send(1, 3, 1), "the device of 3 is down")
	require.NoError(t, islands.Up(3))
	assert.Equal(t, one, s.send(1, 3, 1), "the device of 3 is up")

	islands.Link(1).Set(faulty.Weather{Loss: 100})
	assert.Empty(t, s.send(1, 2, 3), "all is lost")
	_, lost, _ := islands.Link(1).Counts()
	assert.GreaterOrEqual(t, lost, 3)

	islands.Link(1).Set(faulty.Weather{Delay: 5 * time.Millisecond, Jitter: 200 * time.Millisecond, Reorder: 50})
	arrived := s.send(1, 2, 30)
	assert.Len(t, arrived, 30, "all arrive")
	assert.False(t, slices.IsSorted(arrived), "in another order: %v", arrived)
	_, _, held := islands.Link(1).Counts()
	assert.Positive(t, held)
}
