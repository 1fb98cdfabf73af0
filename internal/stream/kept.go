package stream

import "encoding/binary"

// The bytes of entries are counted by block: retention by bytes gives up whole blocks. The layout of blocks is part of the state for
// that reason.

// entryOverhead is what an entry counts beside its names and values.
const entryOverhead = 16

// entryBytes is what the entry of an Add counts: its names and values with their lengths, and the overhead.
func (c *Change) entryBytes() uint64 {
	if c.Fields == nil {
		return uint64(len(c.Stored.text)) + entryOverhead
	}
	n := entryOverhead
	for _, text := range c.Fields {
		n += len(text) + 1
		for length := len(text); length >= 0x80; length >>= 7 {
			n++
		}
	}
	return uint64(n)
}

// Bytes returns what the entries count, with deleted ones in blocks that have others.
func (st *Stream) Bytes() uint64 { return st.ids.kept }

// eachKept calls f for the full blocks from that of the first live entry on.
func (x *index) eachKept(f func(h *head)) {
	if x.full == nil {
		return
	}
	for _, p := range x.full.pages {
		for i := blocksBefore(p.heads, x.first); i < len(p.heads); i++ {
			f(&p.heads[i])
		}
	}
}

// passed returns the bytes of the blocks that end behind one ordinal, and not behind another.
func (f *sealed) passed(from, to uint64) (n uint64) {
	for _, p := range f.pages {
		if p.first() >= from && p.end() <= to {
			n += p.content
			continue
		}
		for i := blocksBefore(p.heads, from); i < len(p.heads) && p.heads[i].end() <= to; i++ {
			n += p.heads[i].bytes
		}
		if p.end() > to {
			break
		}
	}
	return n
}

// beyond returns the ordinal below which blocks can go so that the others, and so many bytes more, have at least limit bytes; 0 if
// none can. The open block stays.
func (x *index) beyond(limit, more uint64) (to uint64) {
	left := x.kept + more
	if x.full == nil || left <= limit {
		return 0
	}
	for _, p := range x.full.pages {
		if p.first() >= x.first && left-p.content >= limit {
			left -= p.content
			to = p.end()
			continue
		}
		for i := blocksBefore(p.heads, x.first); i < len(p.heads); i++ {
			h := &p.heads[i]
			if left-h.bytes < limit {
				return to
			}
			left -= h.bytes
			to = h.end()
		}
	}
	return to
}

// appendRules appends rules of retention.
func appendRules(b []byte, rules []Rule) []byte {
	b = binary.AppendUvarint(b, uint64(len(rules)))
	for i := range rules {
		r := &rules[i]
		b = appendText(b, r.Match)
		for _, n := range [...]uint64{uint64(r.Age), r.Count, r.Bytes, r.Unread} {
			b = binary.AppendUvarint(b, n)
		}
	}
	return b
}

// rules reads rules. Those that CheckRules would refuse are bad.
func (in *input) rules() []Rule {
	n := in.count(5)
	if n > maxRules {
		in.fail()
		return nil
	}
	rules := make([]Rule, 0, n)
	for range n {
		r := Rule{Match: string(in.text()), Age: int64(in.uvarint()), Count: in.uvarint(), Bytes: in.uvarint(), Unread: in.uvarint()}
		if r.Age < 0 || r.Age > maxAge {
			in.fail()
		}
		rules = append(rules, r)
	}
	return rules
}
