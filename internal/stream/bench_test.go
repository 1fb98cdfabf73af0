package stream

import (
	"fmt"
	"testing"
)

func BenchmarkIDs(b *testing.B) {
	st := &Stream{ids: newIndex()}
	for n := range uint64(2_000_000) {
		id := ID{n + 1, 0}
		st.ids.append(st.last, id, 10)
		st.last = id
	}
	b.Run("append", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			id := ID{st.last.Ms + 1, 0}
			st.ids.append(st.last, id, 10)
			st.last = id
		}
	})
	b.Run("seek", func(b *testing.B) {
		for n := uint64(0); b.Loop(); n++ {
			v := st.ids.view()
			v.seek(ID{1 + n*7919%2_000_000, 0})
		}
	})
	b.Run("range100", func(b *testing.B) {
		b.ReportAllocs()
		for n := uint64(0); b.Loop(); n++ {
			r := st.Range(ID{1 + n*7919%1_000_000, 0}, MaxID, 100, false)
			r.Each(func(uint64, ID) bool { return true })
		}
	})
}

// XADD with an id of the server's: planned, applied, and put into the record.
func BenchmarkAdd(b *testing.B) {
	value := make([]byte, 100)
	for _, streams := range []int{1, 1000} {
		for _, trim := range []TrimOptions{{}, {Kind: TrimMaxLen, MaxLen: 1000}} {
			b.Run(fmt.Sprintf("streams=%d/trim=%v", streams, trim.Kind == TrimMaxLen), func(b *testing.B) {
				s, payload, c := New(), BeginRecord(nil, 1, 1), &Change{}
				o := &AddOptions{Auto: true, Fields: [][]byte{[]byte("message"), value}, Trim: trim}
				names := make([][]byte, streams)
				for i := range names {
					names[i] = fmt.Appendf(nil, "stream:%d", i)
				}
				b.ReportAllocs()
				for n := 0; b.Loop(); n++ {
					c.Reset()
					c.Time = int64(1 + n/20)
					c.Sequence = uint64(n) + 2
					if _, err := s.PlanAdd(c, names[n%streams], o); err != nil {
						b.Fatal(err)
					}
					if len(payload) > 64<<10 {
						payload = BeginRecord(payload[:0], c.Sequence, c.Time)
					}
					payload = AppendChange(payload, c)
					s.Apply(c)
				}
			})
		}
	}
}
