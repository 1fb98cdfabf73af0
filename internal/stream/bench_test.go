package stream

import "testing"

func BenchmarkIDs(b *testing.B) {
	st := &Stream{ids: newIndex()}
	for n := range uint64(2_000_000) {
		id := ID{n + 1, 0}
		st.ids.append(st.last, id)
		st.last = id
	}
	b.Run("append", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			id := ID{st.last.Ms + 1, 0}
			st.ids.append(st.last, id)
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
