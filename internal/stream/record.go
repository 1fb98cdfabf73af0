package stream

import (
	"encoding/binary"
)

// A payload is a header, the sequence number and the time of its first change, and changes. A change is a byte of its kind and
// flags, the length of what follows, and the fields of its kind. Numbers are varints. A kind from further on stands in front of the
// fields of its kind, and further in its place.
const (
	headerSize = 16

	kindMask   = 0x0f
	further    = 15
	flagTime   = 0x10 // the time is not that of the header: it follows, relative to that
	flagCreate = 0x20 // Add, and kinds from further on
	flagTrim   = 0x40 // Add, AddRun
	flagUnique = 0x80 // Add: it has an idempotent id
	flagOver   = 0x20 // Remove: their time was up
	flagRefs   = 0x20 // Delete, Trim: pending entries too
	flagNoAck  = 0x40 // Deliver
	flagSweeps = 0x20 // Retain
)

// BeginRecord appends the header of a payload.
func BeginRecord(b []byte, sequence uint64, time int64) []byte {
	b = binary.LittleEndian.AppendUint64(b, sequence)
	return binary.LittleEndian.AppendUint64(b, uint64(time))
}

// AppendChange appends a change to a payload, which is b from its beginning. Neither its sequence number nor its time is below
// that of the header.
func AppendChange(b []byte, c *Change) []byte {
	sequence := c.Sequence - binary.LittleEndian.Uint64(b)
	later := uint64(c.Time) - binary.LittleEndian.Uint64(b[8:])
	start := len(b)
	width := c.lengthWidth()
	b = append(b, byte(min(c.Kind, further)), 0, 0, 0, 0, 0)[:start+1+width]
	b = binary.AppendUvarint(b, sequence)
	if later != 0 {
		b[start] |= flagTime
		b = binary.AppendUvarint(b, later)
	}
	var flags byte
	b, flags = c.appendBody(b)
	b[start] |= flags
	putUvarint(b[start+1:start+1+width], uint64(len(b)-start-1-width))
	return b
}

// lengthWidth returns how many bytes the length of the change takes: enough for what it can be.
func (c *Change) lengthWidth() int {
	most := 160 + len(c.Name) + len(c.Text) + len(c.Mark) + 10*(len(c.Ordinals)+len(c.Numbers)) + 20*(len(c.IDs)+len(c.Gone)) + len(c.Stored.text)
	for i := range c.Rules {
		most += len(c.Rules[i].Match) + 40
	}
	for _, text := range c.Fields {
		most += len(text) + 5
	}
	most += int(c.size) //nolint:gosec // more than the messages and their lengths have
	switch {
	case most < 1<<14:
		return 2
	case most < 1<<21:
		return 3
	case most < 1<<28:
		return 4
	}
	return 5
}

// putUvarint fills b with a varint, which has leading zeros if it is shorter.
func putUvarint(b []byte, v uint64) {
	for i := range b {
		b[i] = byte(v) | 0x80
		v >>= 7
	}
	b[len(b)-1] &= 0x7f
}

func (c *Change) appendBody(b []byte) (_ []byte, flags byte) {
	switch c.Kind {
	case Add:
		return c.appendAdd(b)
	case Delete:
		b = appendID(binary.AppendUvarint(b, c.Number), c.ID)
		b, flags = appendAscending(b, c.Ordinals), c.refsFlag()
	case Trim:
		flags = c.refsFlag()
		b = binary.AppendUvarint(binary.AppendUvarint(b, c.Number), c.TrimTo)
	case SetID:
		b = appendID(binary.AppendUvarint(b, c.Number), c.ID)
		b = appendID(binary.AppendUvarint(b, c.EntriesAdded), c.MaxDeleted)
	case Configure:
		b = c.appendSettings(binary.AppendUvarint(b, c.Number))
	case SetExpiry:
		b = binary.AppendUvarint(binary.AppendUvarint(b, c.Number), uint64(c.At))
	case Remove:
		b = binary.AppendUvarint(b, uint64(len(c.Numbers)))
		for _, n := range c.Numbers {
			b = binary.AppendUvarint(b, n)
		}
		if c.Expired {
			flags = flagOver
		}
	case Duplicate, Prune:
		b = binary.AppendUvarint(b, c.Number)
	case Defaults:
		b = binary.AppendUvarint(c.appendSettings(b), uint64(c.Given))
	case Retention:
		b = appendRules(b, c.Rules)
	case Retain:
		b = appendAscending(binary.AppendUvarint(b, c.Number), c.Numbers)
		for _, to := range c.Ordinals {
			b = binary.AppendUvarint(b, to)
		}
		if c.Sweeps {
			flags = flagSweeps
		}
	case Fence:
		b, flags = c.appendFurther(b)
		b = binary.AppendUvarint(b, c.Token)
	case SetCursor, HoldCursor, RemoveCursor:
		b = c.appendCursor(b)
	case SetSourcePosition, RemoveSourcePosition:
		b = c.appendSourcePosition(b)
	case Durable:
		b, flags = c.appendFurther(b)
		b = appendText(b, c.Text)
	case AddRun:
		b, flags = c.appendFurther(b)
		var more byte
		b, more = c.appendRun(b)
		flags |= more
	case Flush:
	default:
		b, flags = c.appendFurther(b)
		b = c.appendGroup(binary.AppendUvarint(b, c.Group))
		if c.NoAck {
			flags |= flagNoAck
		}
	}
	return b, flags
}

func (c *Change) refsFlag() byte {
	if c.Refs == DelRef {
		return flagRefs
	}
	return 0
}

// appendGroup appends what follows the number of the group.
func (c *Change) appendGroup(b []byte) []byte {
	switch c.Kind {
	case CreateGroup:
		return binary.AppendUvarint(appendID(appendText(b, c.Text), c.ID), c.EntriesAdded)
	case SetGroup:
		return binary.AppendUvarint(appendID(b, c.ID), c.EntriesAdded)
	case CreateConsumer:
		return appendText(binary.AppendUvarint(b, c.Consumer), c.Text)
	case DeleteConsumer:
		return binary.AppendUvarint(b, c.Consumer)
	case Deliver:
		return binary.AppendUvarint(binary.AppendUvarint(b, c.Consumer), c.Ordinal)
	case Acknowledge:
		return appendIDs(b, c.IDs)
	case Claim:
		b = binary.AppendVarint(binary.AppendUvarint(b, c.Consumer), c.At-c.Time)
		b = appendID(c.appendCounting(b), c.ID)
		return appendIDs(appendIDs(b, c.IDs), c.Gone)
	case Release:
		return appendIDs(c.appendCounting(b), c.IDs)
	}
	return b
}

func (c *Change) appendCounting(b []byte) []byte {
	return binary.AppendUvarint(append(b, byte(c.Counting)), c.Count)
}

// appendIDs appends ids in any order.
func appendIDs(b []byte, ids []ID) []byte {
	b = binary.AppendUvarint(b, uint64(len(ids)))
	last := uint64(0)
	for _, id := range ids {
		b = binary.AppendUvarint(binary.AppendVarint(b, int64(id.Ms-last)), id.Seq)
		last = id.Ms
	}
	return b
}

// appendFurther appends what changes of the kinds from further on begin with.
func (c *Change) appendFurther(b []byte) (_ []byte, flags byte) {
	b = binary.AppendUvarint(append(b, byte(c.Kind)), c.Number)
	if c.Create {
		return c.appendSettings(appendText(b, c.Name)), flagCreate
	}
	return b, 0
}

func (c *Change) appendAdd(b []byte) (_ []byte, flags byte) {
	b = binary.AppendUvarint(binary.AppendUvarint(b, c.Number), c.Ordinal)
	b = binary.AppendVarint(b, int64(c.ID.Ms-uint64(c.Time)))
	b = binary.AppendUvarint(b, c.ID.Seq)
	if c.Create {
		flags |= flagCreate
		b = c.appendSettings(appendText(b, c.Name))
	}
	if c.TrimTo > 0 {
		flags |= flagTrim
		b = binary.AppendUvarint(b, c.TrimTo)
	}
	if c.Idempotent {
		flags |= flagUnique
		b = append(append(b, c.Producer[:]...), c.Message[:]...)
	}
	if c.Fields == nil {
		b = binary.AppendUvarint(b, uint64(c.Stored.count))
		return append(b, c.Stored.text...), flags
	}
	b = binary.AppendUvarint(b, uint64(len(c.Fields)))
	for _, text := range c.Fields {
		b = appendText(b, text)
	}
	return b, flags
}

func (c *Change) appendSettings(b []byte) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(b, uint64(c.Duration)), uint64(c.MaxSize))
}

func appendText[T string | []byte](b []byte, text T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

func appendID(b []byte, id ID) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(b, id.Ms), id.Seq)
}

// appendAscending appends a list of ascending numbers.
func appendAscending(b []byte, list []uint64) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	last := uint64(0)
	for _, n := range list {
		b = binary.AppendUvarint(b, n-last)
		last = n
	}
	return b
}
