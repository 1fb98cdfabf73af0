package cluster

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
)

// State is what the cluster knows behind an entry. The state machine saves it with its own, in one piece, so that no crash parts them.
type State struct {
	Index   uint64
	cluster uint64 // which one it is; 0 before its first leader
	Chain   uint64 // over all entries up to Index
	Entries uint64 // how many these are: the log has others, and so has their index
	Bytes   uint64 // of all these entries
	origins map[string]origin
	entry   []byte // at Index, until its digest is added
}

// Digest adds what the machine made of the entry at Index to the chain: what tells apart two states.
func (s *State) Digest(digest uint64) {
	s.Chain = link(s.Chain, s.Index, digest, s.entry)
	s.entry = nil
}

// CheckAge returns an error if the state is of before an index. What a node has beyond an older state, the log may have no more.
func (s *State) CheckAge(index uint64) error {
	if s.Index < index {
		return fmt.Errorf("it is of entry %d, and one of entry %d is needed", s.Index, index)
	}
	return nil
}

// origin is how far a node's proposals are applied.
type origin struct{ incarnation, last uint64 }

// accepts reports whether an entry has the next proposals of its node, and counts these if so. The first ones, of which it returns how many, may have
// been counted before. gap is true if proposals before them are missing.
func (s *State) accepts(p *proposed, without without) (before int, ok, gap bool) {
	o := s.origins[p.origin]
	same := p.incarnation == o.incarnation
	switch {
	case (p.incarnation < o.incarnation || same && p.last() <= o.last) && !without.dedup:
		return 0, false, false
	case same && p.first > o.last+1 && !without.sequence, p.incarnation > o.incarnation && p.first != 1 && !without.sequence:
		return 0, false, true
	case same && p.first <= o.last && !without.dedup:
		before = int(o.last + 1 - p.first) //nolint:gosec // fewer than the entry has
	}
	if s.origins == nil {
		s.origins = map[string]origin{}
	}
	s.origins[p.origin] = origin{p.incarnation, p.last()}
	return before, true, false
}

// Append appends the state to dst, for DecodeState. It is a few bytes for each node that ever proposed.
func (s *State) Append(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, s.Index)
	dst = binary.LittleEndian.AppendUint64(dst, s.Chain)
	dst = binary.LittleEndian.AppendUint64(dst, s.cluster)
	dst = binary.LittleEndian.AppendUint64(dst, s.Entries)
	dst = binary.LittleEndian.AppendUint64(dst, s.Bytes)
	for _, name := range slices.Sorted(maps.Keys(s.origins)) {
		o := s.origins[name]
		dst = append(append(dst, byte(len(name))), name...) //nolint:gosec // a name is at most 64 bytes
		dst = binary.LittleEndian.AppendUint64(dst, o.incarnation)
		dst = binary.LittleEndian.AppendUint64(dst, o.last)
	}
	return dst
}

// stateHeader is the length of what is in front of the origins.
const stateHeader = 40

// DecodeState reads what Append has written. Nothing is the state before the first entry.
func DecodeState(data []byte) (s State, err error) {
	if len(data) == 0 {
		return State{}, nil
	}
	if len(data) < stateHeader {
		return State{}, errEntry
	}
	s.Index, s.Chain, s.cluster = binary.LittleEndian.Uint64(data), binary.LittleEndian.Uint64(data[8:]), binary.LittleEndian.Uint64(data[16:])
	s.Entries, s.Bytes = binary.LittleEndian.Uint64(data[24:]), binary.LittleEndian.Uint64(data[32:])
	s.origins = map[string]origin{}
	for data = data[stateHeader:]; len(data) > 0; {
		n := int(data[0])
		if n > maxName || len(data) < 1+n+16 {
			return State{}, errEntry
		}
		name, rest := string(data[1:1+n]), data[1+n:]
		s.origins[name] = origin{binary.LittleEndian.Uint64(rest), binary.LittleEndian.Uint64(rest[8:])}
		data = rest[16:]
	}
	return s, nil
}
