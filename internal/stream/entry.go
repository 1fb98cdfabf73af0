package stream

import (
	"encoding/binary"
	"fmt"
)

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
	text      []byte // each with its length before it
	count     int
	isMessage bool // an entry of a run: text is the one value, without its length
}

// Len returns how many are left, names and values together.
func (f *Fields) Len() int { return f.count }

// Size returns at least how many bytes the names and values that are left have together.
func (f *Fields) Size() int {
	if f.isMessage {
		return len(f.text) + len(MessageField)
	}
	return len(f.text)
}

// Next returns the next one, a name or a value. It aliases the record.
func (f *Fields) Next() (text []byte, ok bool) {
	if f.count == 0 {
		return nil, false
	}
	f.count--
	if f.isMessage {
		return f.nextOfMessage(), true
	}
	if n := int(first(f.text)); n < 0x80 && n < len(f.text) { // nearly all are short
		text, f.text = f.text[1:1+n:1+n], f.text[1+n:]
		return text, true
	}
	in := input{b: f.text}
	text = in.text()
	f.text = in.b
	return text, !in.bad
}

// messageField is MessageField as a name that is stored. It is not changed.
var messageField = []byte(MessageField)

// nextOfMessage is Next for the entry of a run.
func (f *Fields) nextOfMessage() (text []byte) {
	if f.count == 1 {
		return messageField[:len(messageField):len(messageField)]
	}
	text, f.text = f.text, nil
	return text
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
//
// It is most of what a read of a stream costs, so it splits and parses at once, without a call for each number.
func EachEntry(payload []byte, key uint64, f func(e *Entry) bool) error {
	if len(payload) < headerSize {
		return fmt.Errorf("%w: a record of %d bytes", ErrCorrupt, len(payload))
	}
	var e Entry
	first, start := binary.LittleEndian.Uint64(payload), binary.LittleEndian.Uint64(payload[8:])
	for at := headerSize; at < len(payload); {
		flags := payload[at]
		size, n := number(payload[at+1:])
		begin := at + 1 + n
		if n <= 0 || size > uint64(len(payload)-begin) {
			return corruptAt(payload, at)
		}
		end := begin + int(size)
		switch Kind(flags & kindMask) {
		case Add:
			matches, ok := e.parse(payload[begin:end], flags, first, start, key)
			if !ok {
				return corruptAt(payload, at)
			}
			if matches && !f(&e) {
				return nil
			}
		case further:
			more, ok := e.eachOfRun(payload[begin:end], flags, first, start, key, f)
			if !ok {
				return corruptAt(payload, at)
			}
			if !more {
				return nil
			}
		}
		at = end
	}
	return nil
}

func corruptAt(payload []byte, at int) error {
	return fmt.Errorf("%w: change at byte %d of a record of %d", ErrCorrupt, at, len(payload))
}

// number reads a varint. Nearly all have three bytes at most. n is not positive if there is none.
func number(b []byte) (v uint64, n int) {
	if len(b) > 2 {
		switch {
		case b[0] < 0x80:
			return uint64(b[0]), 1
		case b[1] < 0x80:
			return uint64(b[0]&0x7f) | uint64(b[1])<<7, 2
		case b[2] < 0x80:
			return uint64(b[0]&0x7f) | uint64(b[1]&0x7f)<<7 | uint64(b[2])<<14, 3
		}
	}
	return binary.Uvarint(b)
}

// parse fills in an entry from the body of an Add, if it is one of the stream with the number key.
func (e *Entry) parse(b []byte, flags byte, first, start, key uint64) (matches, ok bool) {
	sequence, n := number(b)
	if n <= 0 {
		return false, false
	}
	b = b[n:]
	later := uint64(0)
	if flags&flagTime != 0 {
		if later, n = number(b); n <= 0 {
			return false, false
		}
		b = b[n:]
	}
	stream, n := number(b)
	if n <= 0 {
		return false, false
	}
	if key != 0 && stream != key {
		return false, true
	}
	b = b[n:]
	ordinal, n := number(b)
	if n <= 0 {
		return false, false
	}
	b = b[n:]
	ms, n := number(b)
	if n <= 0 {
		return false, false
	}
	e.Key, e.Ordinal, e.Sequence, e.Time = stream, ordinal, first+sequence, int64(start+later)
	e.ID.Ms = start + later + (ms>>1 ^ -(ms & 1))
	return true, e.parseRest(b[n:], flags)
}

// parseRest fills in what stands behind the milliseconds.
func (e *Entry) parseRest(b []byte, flags byte) bool {
	seq, n := number(b)
	if n <= 0 {
		return false
	}
	in := input{b: b[n:]}
	if flags&(flagCreate|flagTrim|flagUnique) != 0 {
		in.skipOptions(flags)
	}
	e.ID.Seq = seq
	count, n := number(in.b)
	if n <= 0 || count > uint64(len(in.b)) {
		return false
	}
	e.Fields = Fields{text: in.b[n:], count: int(count)}
	return !in.bad
}

// skipOptions reads what stands in front of the fields in some changes.
func (in *input) skipOptions(flags byte) {
	if flags&flagCreate != 0 {
		in.text()
		in.settings()
	}
	if flags&flagTrim != 0 {
		in.uvarint()
	}
	if flags&flagUnique != 0 {
		in.bytes(2 * uint64(len(Digest{})))
	}
}

// Spans calls add for the entries that a payload has: count ordinals from first on, of the stream with the number key.
func Spans(payload []byte, add func(key, first uint64, count int)) error {
	var key, first uint64
	n := 0
	err := split(payload, func(raw *rawChange) bool {
		number, ordinal, count := raw.span()
		if count == 0 {
			return !raw.bad
		}
		if n > 0 && (number != key || ordinal != first+uint64(n)) {
			add(key, first, n)
			n = 0
		}
		if n == 0 {
			key, first = number, ordinal
		}
		n += count
		return true
	})
	if n > 0 {
		add(key, first, n)
	}
	return err
}

// span returns the entries that a change adds: the number of their stream, the first ordinal, and how many.
func (raw *rawChange) span() (number, ordinal uint64, count int) {
	in := raw.body
	switch {
	case Kind(raw.flags&kindMask) == Add:
		number, ordinal, count = in.uvarint(), in.uvarint(), 1
	case raw.isRun():
		var r run
		in.bytes(1)
		number = in.uvarint()
		in.skipOptions(raw.flags & flagCreate)
		in.run(&r, raw.flags, raw.time)
		ordinal, count = r.ordinal, r.count
	}
	if raw.bad = in.bad; raw.bad {
		return 0, 0, 0
	}
	return number, ordinal, count
}

// Keep appends to dst, which is empty, a payload with those entries alone for which live is true.
func Keep(dst, payload []byte, live func(key, ordinal uint64) bool) []byte {
	var run Change
	dst = append(dst, payload[:min(headerSize, len(payload))]...)
	_ = split(payload, func(raw *rawChange) bool { // what is damaged has no entries
		switch number, ordinal, count := raw.span(); {
		case count == 0:
		case raw.isRun():
			dst = raw.keepRun(dst, &run, live)
		case live(number, ordinal):
			dst = append(dst, raw.all...)
		}
		return true
	})
	return dst
}
