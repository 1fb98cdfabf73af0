package stream

import (
	"encoding/binary"
	"fmt"
)

// input reads what this package wrote. It is bad once that ends too early; all that is read then is zero.
type input struct {
	b   []byte
	bad bool
}

func (in *input) fail() {
	in.b, in.bad = nil, true
}

func (in *input) uvarint() uint64 {
	switch b := in.b; { // nearly all have one or two bytes
	case len(b) > 0 && b[0] < 0x80:
		in.b = b[1:]
		return uint64(b[0])
	case len(b) > 1 && b[1] < 0x80:
		in.b = b[2:]
		return uint64(b[0]&0x7f) | uint64(b[1])<<7
	}
	v, n := binary.Uvarint(in.b)
	if n <= 0 {
		in.fail()
		return 0
	}
	in.b = in.b[n:]
	return v
}

func (in *input) varint() int64 {
	v := in.uvarint()
	return int64(v>>1) ^ -int64(v&1)
}

// bytes reads n bytes. It aliases the input.
func (in *input) bytes(n uint64) []byte {
	if n > uint64(len(in.b)) {
		in.fail()
		return nil
	}
	text := in.b[:n:n]
	in.b = in.b[n:]
	return text
}

func (in *input) text() []byte { return in.bytes(in.uvarint()) }

func (in *input) id() ID { return ID{in.uvarint(), in.uvarint()} }

// count reads a number of things that take at least size bytes each.
func (in *input) count(size int) int {
	n := in.uvarint()
	if n > uint64(len(in.b)/size) {
		in.fail()
		return 0
	}
	return int(n)
}

func (in *input) digest() (d Digest) {
	copy(d[:], in.bytes(uint64(len(d))))
	return d
}

// settings reads those of a window.
func (in *input) settings() (duration uint32, maxSize uint16) {
	d, m := in.uvarint(), in.uvarint()
	if d == 0 || d > MaxDuration || m == 0 || m > MaxMaxSize {
		in.fail()
	}
	return uint32(d), uint16(m)
}

// Changes calls f for the changes of a payload, in their order, until it returns false. A change is valid during the call, and
// aliases the payload.
func Changes(payload []byte, f func(c *Change) bool) error {
	var c Change
	return split(payload, func(raw *rawChange) bool {
		c.Reset()
		return raw.parse(&c) && f(&c)
	})
}

// rawChange is a change of a payload, not yet parsed.
type rawChange struct {
	all      []byte // with its kind and length
	flags    byte   // and the kind
	sequence uint64
	time     int64
	body     input
	bad      bool
}

// split calls f for the changes of a payload.
func split(payload []byte, f func(raw *rawChange) bool) error {
	if len(payload) < headerSize {
		return fmt.Errorf("%w: a record of %d bytes", ErrCorrupt, len(payload))
	}
	first := binary.LittleEndian.Uint64(payload)
	start := binary.LittleEndian.Uint64(payload[8:])
	in := input{b: payload[headerSize:]}
	var raw rawChange // one for all: f makes it escape
	for len(in.b) > 0 {
		before := in.b
		raw.flags = in.b[0]
		in.b = in.b[1:]
		raw.body.b = in.bytes(in.uvarint())
		raw.all = before[:len(before)-len(in.b)]
		raw.sequence = first + raw.body.uvarint()
		raw.time = int64(start)
		if raw.flags&flagTime != 0 {
			raw.time = int64(start + raw.body.uvarint())
		}
		if in.bad || raw.body.bad {
			raw.bad = true
		} else if !f(&raw) && !raw.bad {
			return nil
		}
		if raw.bad {
			return fmt.Errorf("%w: change at byte %d of a record of %d", ErrCorrupt, len(payload)-len(before), len(payload))
		}
	}
	return nil
}

// parse fills in a change. It returns false, and is bad, if the bytes are not those of a change.
func (raw *rawChange) parse(c *Change) bool {
	in := &raw.body
	c.Kind, c.Sequence, c.Time = Kind(raw.flags&kindMask), raw.sequence, raw.time
	switch c.Kind {
	case Add:
		raw.parseAdd(c)
	case Delete:
		c.Number, c.ID = in.uvarint(), in.id()
		raw.parseRefs(c)
		last := uint64(0)
		for range in.count(1) {
			last += in.uvarint()
			c.Ordinals = append(c.Ordinals, last)
		}
	case Trim:
		c.Number, c.TrimTo = in.uvarint(), in.uvarint()
		raw.parseRefs(c)
	case SetID:
		c.Number, c.ID, c.EntriesAdded, c.MaxDeleted = in.uvarint(), in.id(), in.uvarint(), in.id()
	case Configure:
		c.Number = in.uvarint()
		c.Duration, c.MaxSize = in.settings()
	case SetExpiry:
		c.Number, c.At = in.uvarint(), int64(in.uvarint())
	case Remove:
		c.Expired = raw.flags&flagOver != 0
		for range in.count(1) {
			c.Numbers = append(c.Numbers, in.uvarint())
		}
	case Duplicate, Prune:
		c.Number = in.uvarint()
	case Defaults:
		c.Duration, c.MaxSize = in.settings()
		c.Given = settingSet(in.uvarint())
	case Retention:
		c.Rules = in.rules()
	case Retain:
		c.Sweeps, c.Number = raw.flags&flagSweeps != 0, in.uvarint()
		last := uint64(0)
		for range in.count(2) {
			last += in.uvarint()
			c.Numbers = append(c.Numbers, last)
		}
		for range c.Numbers {
			c.Ordinals = append(c.Ordinals, in.uvarint())
		}
	case Flush:
	case further:
		raw.parseFurther(c)
	default:
		in.fail()
	}
	raw.bad = in.bad || len(in.b) > 0
	return !raw.bad
}

// parseFurther parses the kinds from further on.
func (raw *rawChange) parseFurther(c *Change) {
	in := &raw.body
	if kind := in.bytes(1); len(kind) > 0 {
		c.Kind = Kind(kind[0])
	}
	if c.Kind.isCursor() {
		in.cursor(c)
		return
	}
	if c.Kind.isSourcePosition() {
		in.sourcePosition(c)
		return
	}
	c.Number = in.uvarint()
	if raw.parseNew(c); c.Create && c.Kind != Fence && c.Kind != CreateGroup && c.Kind != AddRun {
		in.fail()
	}
	switch c.Kind {
	case Fence:
		c.Token = in.uvarint()
		return
	case Durable:
		if c.Text = in.text(); in.bad || !isGlobs(string(c.Text)) {
			in.fail()
		}
		return
	case AddRun:
		raw.parseRun(c)
		return
	}
	c.Group = in.uvarint()
	in.group(c)
	c.NoAck = c.Kind == Deliver && raw.flags&flagNoAck != 0
}

func (raw *rawChange) parseRefs(c *Change) {
	if raw.flags&flagRefs != 0 {
		c.Refs = DelRef
	}
}

// group reads what follows the number of a group.
func (in *input) group(c *Change) {
	switch c.Kind {
	case CreateGroup:
		c.Text, c.ID, c.EntriesAdded = in.text(), in.id(), in.uvarint()
	case DestroyGroup:
	case SetGroup:
		c.ID, c.EntriesAdded = in.id(), in.uvarint()
	case CreateConsumer:
		c.Consumer, c.Text = in.uvarint(), in.text()
	case DeleteConsumer:
		c.Consumer = in.uvarint()
	case Deliver:
		c.Consumer, c.Ordinal = in.uvarint(), in.uvarint()
	case Acknowledge:
		c.IDs = in.ids(c.IDs)
	case Claim:
		c.Consumer, c.At = in.uvarint(), c.Time+in.varint()
		in.counting(c)
		c.ID = in.id()
		c.IDs, c.Gone = in.ids(c.IDs), in.ids(c.Gone)
	case Release:
		in.counting(c)
		c.IDs = in.ids(c.IDs)
	default:
		in.fail()
	}
}

func (in *input) counting(c *Change) {
	if kind := in.bytes(1); len(kind) > 0 && Counting(kind[0]) <= CountLess {
		c.Counting, c.Count = Counting(kind[0]), in.uvarint()
		return
	}
	in.fail()
}

// ids reads ids in any order, and appends them to a list.
func (in *input) ids(list []ID) []ID {
	last := uint64(0)
	for range in.count(2) {
		last += uint64(in.varint())
		list = append(list, ID{last, in.uvarint()})
	}
	return list
}

// parseNew parses what the change has of a stream that it makes.
func (raw *rawChange) parseNew(c *Change) {
	if raw.flags&flagCreate != 0 {
		c.Create, c.Name = true, raw.body.text()
		c.Duration, c.MaxSize = raw.body.settings()
	}
}

func (raw *rawChange) parseAdd(c *Change) {
	in := &raw.body
	c.Number, c.Ordinal = in.uvarint(), in.uvarint()
	c.ID.Ms = uint64(raw.time) + uint64(in.varint())
	c.ID.Seq = in.uvarint()
	raw.parseNew(c)
	if raw.flags&flagTrim != 0 {
		c.TrimTo = in.uvarint()
	}
	if raw.flags&flagUnique != 0 {
		c.Idempotent, c.Producer, c.Message = true, in.digest(), in.digest()
	}
	c.Stored.count = in.count(1)
	c.Stored.text, in.b = in.b, nil
}
