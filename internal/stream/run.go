package stream

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// A run is entries of one stream that a publisher adds together: each has the field message alone, and each of their ids, ordinals and
// sequence numbers is one higher than the one before. It is one change, with its payloads side by side.
const (
	// MaxRun is how many entries a run has at most.
	MaxRun = 256
	// maxRunBytes is the size from which on a run takes no further entry: one of them is read with all of its record.
	maxRunBytes = 64 << 10
)

// MessageField is the name of the field of the entries of a run.
const MessageField = "message"

// PlanRun plans the append of the first n messages, one at least, as entries with ids of the time of the change. The caller sets the
// sequence number of the first one, and plans those behind the nth with another change.
func (s *Streams) PlanRun(c *Change, name []byte, messages [][]byte) (n int, err error) {
	st := s.Lookup(name)
	last := ID{}
	if st != nil {
		last = st.last
	}
	if c.ID, err = nextID(last, c.Time, &AddOptions{Auto: true}); err != nil {
		return 0, err
	}
	c.Kind, c.stream = AddRun, st
	if st == nil {
		s.planNew(c, name)
		c.Ordinal = 1
		if len(s.rules) > 0 {
			messages = messages[:1] // no rule gives up the first entry; those that follow it find the rule
		}
		return c.takeRun(messages), nil
	}
	n = c.takeRun(messages)
	c.Number, c.Ordinal = st.number, st.ids.next
	if r := s.ruleOf(st); r != nil {
		c.TrimTo = st.held(r, st.beyond(r, uint64(n), c.size, uint64(n)+maxGivenUpByAdd), c.size)
	}
	return n, nil
}

// takeRun takes the first messages, as many as a run has whose first id the change has, and returns how many.
func (c *Change) takeRun(messages [][]byte) int {
	most := min(len(messages), MaxRun)
	if left := math.MaxUint64 - c.ID.Seq; uint64(most)-1 > left {
		most = int(left) + 1
	}
	c.Messages = messages[:most]
	n := c.measure(maxRunBytes)
	c.Messages = messages[:n]
	return n
}

// measure sets what the entries of a run count, up to a bound, and whether each counts the same. It returns how many it has looked at.
func (c *Change) measure(bound uint64) (n int) {
	length := len(c.Messages[0])
	c.size, c.oneLength = 0, true
	for ; n < len(c.Messages) && c.size < bound; n++ {
		c.size += messageBytes(c.Messages[n])
		c.oneLength = c.oneLength && len(c.Messages[n]) == length
	}
	return n
}

// messageBytes is what an entry of a run counts: as much as an Add with the same fields.
func messageBytes(message []byte) uint64 {
	n := uint64(entryOverhead + 1 + len(MessageField) + len(message) + 1)
	if len(message) >= 0x80 {
		n += uint64(bits.Len(uint(len(message)))-1) / 7
	}
	return n
}

// Entries returns how many entries the change adds.
func (c *Change) Entries() int {
	switch c.Kind {
	case Add:
		return 1
	case AddRun:
		return len(c.Messages)
	}
	return 0
}

// Adds reports whether the change adds entries.
func (c *Change) Adds() bool { return c.Kind == Add || c.Kind == AddRun }

// newest returns the sequence number of the last entry of a change that adds some, else that of the change.
func (c *Change) newest() uint64 { return c.Sequence + uint64(max(c.Entries(), 1)) - 1 }

// LastID returns the id of the last entry that the change adds.
func (c *Change) LastID() ID { return ID{c.ID.Ms, c.ID.Seq + uint64(max(c.Entries(), 1)) - 1} }

// appendRun appends what follows the number of the stream. Lengths that are all the same are written once.
func (c *Change) appendRun(b []byte) (_ []byte, flags byte) {
	b = binary.AppendUvarint(b, c.Ordinal)
	b = binary.AppendVarint(b, int64(c.ID.Ms-uint64(c.Time)))
	b = binary.AppendUvarint(b, c.ID.Seq)
	if c.TrimTo > 0 {
		flags = flagTrim
		b = binary.AppendUvarint(b, c.TrimTo)
	}
	b = binary.AppendUvarint(b, uint64(len(c.Messages)))
	if c.oneLength {
		b = binary.AppendUvarint(b, uint64(len(c.Messages[0]))+1)
	} else {
		b = append(b, 0)
		for _, m := range c.Messages {
			b = binary.AppendUvarint(b, uint64(len(m)))
		}
	}
	for _, m := range c.Messages {
		b = append(b, m...)
	}
	return b, flags
}

// run is a run as a record has it.
type run struct {
	number, ordinal uint64
	id              ID
	trimTo          uint64
	count           int
	same            uint64 // the length of all messages, and 1; 0: each has its own
	lengths         input
	messages        input
}

// run reads what follows the kind of the change, at its time, without the name and the settings of a stream that it makes.
func (in *input) run(r *run, flags byte, time int64) {
	r.ordinal = in.uvarint()
	r.id.Ms = uint64(time) + uint64(in.varint())
	r.id.Seq = in.uvarint()
	r.trimTo = 0
	if flags&flagTrim != 0 {
		r.trimTo = in.uvarint()
	}
	n := in.uvarint()
	if r.same = in.uvarint(); n == 0 || n > MaxRun || r.id.Seq+n-1 < r.id.Seq {
		in.fail()
	}
	r.count, r.lengths, r.messages = int(n), *in, *in //nolint:gosec // it is small, or in is bad
	if r.same == 0 && !in.bad {
		for range n {
			r.messages.uvarint()
		}
	}
	in.b, in.bad = nil, in.bad || r.messages.bad
}

// next returns the next message. The run is bad if it is cut off.
func (r *run) next() []byte {
	if r.same > 0 {
		return r.messages.bytes(r.same - 1)
	}
	return r.messages.bytes(r.lengths.uvarint())
}

// isOver reports whether nothing follows the last message.
func (r *run) isOver() bool { return !r.messages.bad && len(r.messages.b) == 0 }

// parseRun parses what follows the number of the stream, and what it has of one that it makes.
func (raw *rawChange) parseRun(c *Change) {
	var r run
	raw.body.run(&r, raw.flags, c.Time)
	if raw.body.bad {
		return
	}
	c.Ordinal, c.ID, c.TrimTo = r.ordinal, r.id, r.trimTo
	for range r.count {
		c.parsed = append(c.parsed, r.next())
	}
	if c.Messages = c.parsed; !r.isOver() {
		raw.body.fail()
		return
	}
	c.measure(math.MaxUint64)
}

// eachOfRun calls f for the entries of the change with that body, if it is a run of the stream with the number key; 0 stands for all
// streams.
func (e *Entry) eachOfRun(body []byte, flags byte, first, start, key uint64, f func(e *Entry) bool) (more, ok bool) {
	in := input{b: body}
	sequence, time := first+in.uvarint(), start
	if flags&flagTime != 0 {
		time += in.uvarint()
	}
	if kind := in.bytes(1); len(kind) == 0 || Kind(kind[0]) != AddRun {
		return true, !in.bad
	}
	r := run{number: in.uvarint()}
	if key != 0 && r.number != key {
		return true, !in.bad
	}
	if flags&flagCreate != 0 {
		in.text()
		in.settings()
	}
	if in.run(&r, flags, int64(time)); in.bad { //nolint:gosec // as it was written
		return false, false
	}
	for i := range uint64(r.count) { //nolint:gosec // a count
		*e = Entry{Key: r.number, Ordinal: r.ordinal + i, Sequence: sequence + i, Time: int64(time), ID: ID{r.id.Ms, r.id.Seq + i}} //nolint:gosec // see above
		if e.Fields = (Fields{text: r.next(), count: 2, isMessage: true}); r.messages.bad {
			return false, false
		}
		if !f(e) {
			return false, true
		}
	}
	return true, r.isOver()
}

// isRun reports whether a change that is not yet parsed is a run.
func (raw *rawChange) isRun() bool {
	return Kind(raw.flags&kindMask) == further && len(raw.body.b) > 0 && Kind(raw.body.b[0]) == AddRun
}

// keepRun appends the entries of a run for which live is true, as runs.
func (raw *rawChange) keepRun(dst []byte, c *Change, live func(key, ordinal uint64) bool) []byte {
	c.Reset()
	if !raw.parse(c) {
		return dst
	}
	all := *c
	all.Create, all.TrimTo = false, 0
	for from := 0; from < len(c.Messages); {
		to := from
		for to < len(c.Messages) && live(c.Number, c.Ordinal+uint64(to)) {
			to++
		}
		switch {
		case to == len(c.Messages) && from == 0:
			return append(dst, raw.all...)
		case to > from:
			part := all
			part.Messages = all.Messages[from:to]
			part.measure(math.MaxUint64)
			part.Sequence, part.Ordinal, part.ID.Seq = all.Sequence+uint64(from), all.Ordinal+uint64(from), all.ID.Seq+uint64(from)
			dst = AppendChange(dst, &part)
		}
		from = to + 1
	}
	return dst
}
