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

func deliverAndAcknowledge(b *testing.B, consumers, count int) {
	s, c, name := New(), &Change{}, []byte("s")
	for i := range uint64(100_000) {
		c.Reset()
		_, err := s.PlanAdd(c, name, &AddOptions{ID: ID{Ms: i + 1}, Fields: [][]byte{name, name}})
		require.NoError(b, err)
		s.Apply(c)
	}
	st := s.Lookup(name)
	c.Reset()
	s.PlanCreateGroup(c, nil, st, name, ID{}, -1)
	s.Apply(c)
	g, held := st.Group(name), make([][]ID, consumers)
	for i := range consumers {
		c.Reset()
		s.PlanCreateConsumer(c, st, g, fmt.Append(nil, i))
		s.Apply(c)
	}
	entries := 0
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
