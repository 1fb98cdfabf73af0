package stream

// Has reports whether the stream with that number has a live entry with that ordinal, and whether the id is that of the entry.
func (s *Streams) Has(number, ordinal uint64, id ID) (alive, same bool) {
	st := s.ByNumber(number)
	if st == nil {
		return false, false
	}
	v := st.ids.view()
	if !v.alive(ordinal) {
		return false, false
	}
	return true, v.idAt(ordinal) == id
}
