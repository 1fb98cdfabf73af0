package stream

// Entry is an entry as a record has it.
type Entry struct {
	Key      uint64 // the number of its stream
	Ordinal  uint64
	Sequence uint64 // its place in the one order
	Time     int64  // of the log's clock
	ID       ID
	Fields   Fields
}

// Fields are the names and values of an entry, in turn, as stored.
type Fields struct {
	text  []byte // each with its length before it
	count int
}

// Len returns how many are left, names and values together.
func (f *Fields) Len() int { return f.count }

// Size returns at least how many bytes the names and values that are left have together.
func (f *Fields) Size() int { return len(f.text) }

// Next returns the next one, a name or a value. It aliases the record.
func (f *Fields) Next() (text []byte, ok bool) {
	if f.count == 0 {
		return nil, false
	}
	f.count--
	if n := int(first(f.text)); n < 0x80 && n < len(f.text) { // nearly all are short
		text, f.text = f.text[1:1+n:1+n], f.text[1+n:]
		return text, true
	}
	in := input{b: f.text}
	text = in.text()
	f.text = in.b
	return text, !in.bad
}

// first returns the first byte, and one that no short length has if there is none.
func first(b []byte) byte {
	if len(b) == 0 {
		return 0xff
	}
	return b[0]
}

// EachEntry calls f for the entries that a payload has of the stream with that number, in their order, until f returns false. Key 0
// stands for all streams. An entry is valid during the call.
func EachEntry(payload []byte, key uint64, f func(e *Entry) bool) error {
	var e Entry
	return split(payload, func(raw *rawChange) bool {
		if Kind(raw.flags&kindMask) != Add {
			return true
		}
		in := &raw.body
		if e.Key = in.uvarint(); key != 0 && e.Key != key {
			return true
		}
		raw.parseEntry(&e)
		return !raw.bad && f(&e)
	})
}

// parseEntry fills in an entry behind its key. Reading entries is most of what reads of streams cost, so it skips the rest.
func (raw *rawChange) parseEntry(e *Entry) {
	in := &raw.body
	e.Ordinal, e.Sequence, e.Time = in.uvarint(), raw.sequence, raw.time
	e.ID.Ms = uint64(raw.time) + uint64(in.varint())
	e.ID.Seq = in.uvarint()
	if raw.flags&flagCreate != 0 {
		in.text()
		in.settings()
	}
	if raw.flags&flagTrim != 0 {
		in.uvarint()
	}
	if raw.flags&flagUnique != 0 {
		in.bytes(2 * uint64(len(Digest{})))
	}
	e.Fields.count = in.count(1)
	e.Fields.text = in.b
	raw.bad = in.bad
}

// Spans calls add for the entries that a payload has: count ordinals from first on, of the stream with the number key.
func Spans(payload []byte, add func(key, first uint64, count int)) error {
	var key, first uint64
	n := 0
	err := split(payload, func(raw *rawChange) bool {
		if Kind(raw.flags&kindMask) != Add {
			return true
		}
		in := raw.body
		number, ordinal := in.uvarint(), in.uvarint()
		if raw.bad = in.bad; raw.bad {
			return false
		}
		if n > 0 && (number != key || ordinal != first+uint64(n)) {
			add(key, first, n)
			n = 0
		}
		if n == 0 {
			key, first = number, ordinal
		}
		n++
		return true
	})
	if n > 0 {
		add(key, first, n)
	}
	return err
}

// Keep appends to dst, which is empty, a payload with those entries alone for which live is true.
func Keep(dst, payload []byte, live func(key, ordinal uint64) bool) []byte {
	dst = append(dst, payload[:min(headerSize, len(payload))]...)
	_ = split(payload, func(raw *rawChange) bool { // what is damaged has no entries
		if Kind(raw.flags&kindMask) == Add {
			in := raw.body
			if number, ordinal := in.uvarint(), in.uvarint(); !in.bad && live(number, ordinal) {
				dst = append(dst, raw.all...)
			}
		}
		return true
	})
	return dst
}
