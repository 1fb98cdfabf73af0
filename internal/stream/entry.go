package stream

import "encoding/binary"

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

// Next returns the next one, a name or a value. It aliases the record.
func (f *Fields) Next() (text []byte, ok bool) {
	if f.count == 0 {
		return nil, false
	}
	in := input{b: f.text}
	text = in.text()
	f.text = in.b
	f.count--
	return text, !in.bad
}

// EachEntry calls f for the entries that a payload has of the stream with that number, in their order, until f returns false. Key 0
// stands for all streams. An entry is valid during the call.
func EachEntry(payload []byte, key uint64, f func(e *Entry) bool) error {
	var c Change
	var e Entry
	return split(payload, func(raw *rawChange) bool {
		if !raw.isAdd(key) {
			return true
		}
		c.Reset()
		if !raw.parse(&c) {
			return false
		}
		e = Entry{c.Number, c.Ordinal, c.Sequence, c.Time, c.ID, c.Stored}
		return f(&e)
	})
}

// isAdd reports whether it adds an entry to a stream; 0 stands for all of them.
func (raw *rawChange) isAdd(key uint64) bool {
	if Kind(raw.flags&kindMask) != Add {
		return false
	}
	number, _ := binary.Uvarint(raw.body.b)
	return key == 0 || number == key
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
