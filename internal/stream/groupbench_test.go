package stream

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// The core's part of XREADGROUP and XACK, for each entry. Consumers take turns, and each acknowledges what it got when it is its turn
// again.
func BenchmarkDeliverAndAcknowledge(b *testing.B) {
	for _, size := range [][2]int{{1, 1}, {1, 10}, {16, 1}, {16, 10}, {16, 100}} {
		b.Run(fmt.Sprintf("consumers=%d/count=%d", size[0], size[1]), func(b *testing.B) { deliverAndAcknowledge(b, size[0], size[1]) })
	}
}

// The core's part of XREADGROUP with CLAIM, for each entry: 20,000 are pending, and each twentieth is idle.
func BenchmarkClaimOldest(b *testing.B) {
	const pending, each, together = 20_000, 20, 100
	s, st, g := newGroupOf(b, pending, 2)
	c := &Change{}
	s.PlanDeliver(c, st, g, g.Consumer([]byte("0")), pending, false)
	s.Apply(c)
	var ids []ID
	g.EachPending(ID{}, MaxID, func(p *Pending) bool { ids = append(ids, p.id); return true })
	entries, now := 0, int64(0)
	b.ReportAllocs()
	for b.Loop() {
		now += 10
		b.StopTimer()
		for i := 0; i < pending; i += each {
			c.Reset()
			c.Time = now
			s.PlanClaim(c, st, g, g.Consumer([]byte("0")), ids[i:i+1], &ClaimOptions{Time: -now})
			s.Apply(c)
		}
		b.StartTimer()
		for range pending / each / together {
			c.Reset()
			c.Time = now
			s.PlanClaimOldest(c, st, g, g.Consumer([]byte("1")), together, &ClaimOptions{MinIdle: now + 1, Time: now})
			entries += len(c.IDs)
			s.Apply(c)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(entries), "ns/entry")
}

// newGroupOf makes a stream of some entries with a group, whose consumers are 0, 1 and so on.
func newGroupOf(b *testing.B, entries uint64, consumers int) (*Streams, *Stream, *Group) {
	s, c, name := New(), &Change{}, []byte("s")
	for i := range entries {
		c.Reset()
		_, err := s.PlanAdd(c, name, &AddOptions{ID: ID{Ms: i + 1}, Fields: [][]byte{name, name}})
		require.NoError(b, err)
		s.Apply(c)
	}
	st := s.Lookup(name)
	c.Reset()
	s.PlanCreateGroup(c, nil, st, name, ID{}, -1)
	s.Apply(c)
	g := st.Group(name)
	for i := range consumers {
		c.Reset()
		s.PlanCreateConsumer(c, st, g, fmt.Append(nil, i))
		s.Apply(c)
	}
	return s, st, g
}

func deliverAndAcknowledge(b *testing.B, consumers, count int) {
	s, st, g := newGroupOf(b, 100_000, consumers)
	c, held, entries := &Change{}, make([][]ID, consumers), 0
	b.ReportAllocs()
	for turn := 0; b.Loop(); turn++ {
		i := turn % consumers
		if len(held[i]) > 0 {
			c.Reset()
			s.PlanAcknowledge(c, st, g, held[i])
			s.Apply(c)
		}
		held[i] = held[i][:0]
		if !g.Last().Less(st.LastID()) {
			g.last = ID{}
		}
		c.Reset()
		r := s.PlanDeliver(c, st, g, g.Consumer(fmt.Append(nil, i)), count, false)
		s.Apply(c)
		r.Each(func(_ uint64, id ID) bool {
			held[i] = append(held[i], id)
			return true
		})
		entries += r.Len()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(entries), "ns/entry")
}
