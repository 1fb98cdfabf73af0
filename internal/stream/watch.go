package stream

import "encoding/binary"

// Watched counts the changes of a name, while a client watches it. It is no part of the state.
type Watched struct {
	name    string
	version uint64
	watches int
}

// Name returns the key.
func (w *Watched) Name() string { return w.name }

// Version differs after each change of the key: its making and its removal too.
func (w *Watched) Version() uint64 { return w.version }

// Watch begins to count the changes of a name. Each Watch has its Unwatch.
func (s *Streams) Watch(name []byte) *Watched {
	w := s.watched[string(name)]
	if w == nil {
		w = &Watched{name: string(name)}
		s.watched[w.name] = w
	}
	w.watches++
	return w
}

// Unwatch ends one Watch.
func (s *Streams) Unwatch(w *Watched) {
	if w.watches--; w.watches == 0 {
		delete(s.watched, w.name)
	}
}

// Watches returns how many names are watched.
func (s *Streams) Watches() int { return len(s.watched) }

// touch counts a change of a stream.
func (s *Streams) touch(st *Stream) {
	if len(s.watched) == 0 {
		return
	}
	if w := s.watched[st.name]; w != nil {
		w.version++
	}
}

// AppendVersion appends what differs after each change of a key that a client can watch, as long as the key does not come to be the same again.
// It is part of the state. A key that is not there has no bytes.
func (s *Streams) AppendVersion(b, name []byte) []byte {
	st := s.names[string(name)]
	if st == nil {
		return b
	}
	// In one stream, entries that are added raise next, and those that go lower live: equal numbers are equal entries.
	for _, n := range [...]uint64{
		st.number, st.ids.next, st.ids.live, st.last.Ms, st.last.Seq, st.addedMore, st.maxDeleted.Ms, st.maxDeleted.Seq,
		uint64(st.Expiry()), uint64(st.duration), uint64(st.maxSize), st.fence, //nolint:gosec // to compare
	} {
		b = binary.AppendUvarint(b, n)
	}
	return b
}
