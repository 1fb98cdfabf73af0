package stream

import "encoding/binary"

// Present returns the stream with that number, or nil if it is gone, or over and not yet removed.
func (s *Streams) Present(number uint64) *Stream {
	st := s.ByNumber(number)
	if st == nil || s.isOver(st) {
		return nil
	}
	return st
}

// IsLive reports whether the entry with that ordinal exists.
func (st *Stream) IsLive(ordinal uint64) bool {
	x := &st.ids
	if ordinal < x.first || ordinal >= x.next {
		return false
	}
	if x.isDense() {
		return true
	}
	v := x.view()
	return v.alive(ordinal)
}

// RecordStart returns the sequence number and the time of the first change of a payload. All changes in front of that payload have a
// sequence number that is not larger.
func RecordStart(payload []byte) (sequence uint64, time int64) {
	if len(payload) < headerSize {
		return 0, 0
	}
	return binary.LittleEndian.Uint64(payload), int64(binary.LittleEndian.Uint64(payload[8:])) //nolint:gosec // as it was written
}

// CopyTo appends the fields to b, and returns a copy that does not alias the record.
func (f Fields) CopyTo(b []byte) (Fields, []byte) {
	at := len(b)
	b = append(b, f.text...)
	f.text = b[at:len(b):len(b)]
	return f, b
}
