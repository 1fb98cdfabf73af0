package stream

import (
	"cmp"
	"encoding/binary"
	"strings"
)

// Cursor is the position of a subscriber, kept under the name of a group and the text of a topic or a pattern: FROM GROUP of a
// subscription. It does not change: another one takes its place. It has nothing to do with consumer groups, which belong to streams.
type Cursor struct {
	group, topic string
	position     uint64
	holder       string
}

// Group is the name under which it is kept.
func (c *Cursor) Group() string { return c.group }

// Topic is the text of the topic or the pattern.
func (c *Cursor) Topic() string { return c.topic }

// Position is the sequence number up to which all is delivered.
func (c *Cursor) Position() uint64 { return c.position }

// Holder is the connection that moves it on a node of a cluster; empty if there is none, and for a broker alone.
func (c *Cursor) Holder() string { return c.holder }

func (c *Cursor) memSize() int64 {
	return cursorBytes + int64(len(c.group)+len(c.topic)+len(c.holder))
}

const (
	// MaxCursors bounds the cursors: each checkpoint has them all.
	MaxCursors = 10_000
	// MaxCursorName bounds the name of a group, in bytes.
	MaxCursorName = 255
	// MaxCursorHolder bounds a holder, in bytes.
	MaxCursorHolder = 1024
	// cursorBytes is about what a cursor takes besides its texts.
	cursorBytes = 136
)

// ErrManyCursors refuses another cursor.
const ErrManyCursors Error = "there are 10000 positions of groups already; remove some: CURSOR LIST, CURSOR DEL group topic"

func newCursors() order[*Cursor] {
	return newOrder(func(a, b *Cursor) int {
		return cmp.Or(strings.Compare(a.group, b.group), strings.Compare(a.topic, b.topic))
	})
}

// Cursor returns the cursor of a group and a topic, or nil.
func (s *Streams) Cursor(group, topic string) *Cursor {
	at, found := s.cursors.find(&Cursor{group: group, topic: topic})
	if !found {
		return nil
	}
	c, _ := s.cursors.at(at)
	return c
}

// Cursors returns how many there are.
func (s *Streams) Cursors() int { return s.cursors.count }

// EachCursor calls f for the cursors from those of a group on, in the order of their names, until it returns false. f must not
// change them.
func (s *Streams) EachCursor(group string, f func(*Cursor) bool) {
	at, _ := s.cursors.find(&Cursor{group: group})
	s.cursors.from(at, f)
}

// PlanSetCursor plans that a cursor has a position, and no holder. It returns false if nothing changes.
func (s *Streams) PlanSetCursor(c *Change, group, topic string, position uint64) (bool, error) {
	return s.PlanHoldCursor(c, group, topic, position, "")
}

// PlanHoldCursor plans that a cursor has a position and a holder. It returns false if nothing changes.
func (s *Streams) PlanHoldCursor(c *Change, group, topic string, position uint64, holder string) (bool, error) {
	old := s.Cursor(group, topic)
	switch {
	case old != nil && old.position == position && old.holder == holder:
		return false, nil
	case old == nil && s.cursors.count >= MaxCursors:
		return false, ErrManyCursors
	}
	c.Kind, c.Text, c.Name, c.Position = SetCursor, []byte(group), []byte(topic), position
	if holder != "" {
		c.Kind, c.Holder = HoldCursor, []byte(holder)
	}
	return true, nil
}

// PlanRemoveCursor plans that a cursor is gone. It returns false if there is none.
func (s *Streams) PlanRemoveCursor(c *Change, group, topic string) bool {
	c.Kind, c.Text, c.Name = RemoveCursor, []byte(group), []byte(topic)
	return s.Cursor(group, topic) != nil
}

// applyCursor applies SetCursor, HoldCursor and RemoveCursor.
func (s *Streams) applyCursor(c *Change) {
	x := &Cursor{string(c.Text), string(c.Name), c.Position, string(c.Holder)}
	if old := s.Cursor(x.group, x.topic); old != nil {
		s.cursorBytes -= old.memSize()
	}
	if c.Kind == RemoveCursor {
		s.cursors.remove(x)
		return
	}
	s.cursors.insert(x)
	s.cursorBytes += x.memSize()
}

// misfitCursor returns why a change of a cursor cannot have been planned, or nothing.
func (s *Streams) misfitCursor(c *Change) string {
	old := s.Cursor(string(c.Text), string(c.Name))
	switch {
	case c.Kind == RemoveCursor && old == nil:
		return "there is no such cursor"
	case c.Kind != RemoveCursor && old == nil && s.cursors.count >= MaxCursors:
		return "there are too many cursors"
	case c.Position > c.Sequence:
		return "its position is yet to come"
	}
	return ""
}

// isCursor reports whether a change is that of a cursor.
func (k Kind) isCursor() bool { return k == SetCursor || k == HoldCursor || k == RemoveCursor }

// appendCursor appends what a change of a cursor has.
func (c *Change) appendCursor(b []byte) []byte {
	b = appendText(appendText(append(b, byte(c.Kind)), c.Text), c.Name)
	b = binary.AppendUvarint(b, c.Position)
	if c.Kind == HoldCursor {
		b = appendText(b, c.Holder)
	}
	return b
}

// cursor reads what a change of a cursor has, behind its kind.
func (in *input) cursor(c *Change) {
	if c.Text, c.Name, c.Position = in.text(), in.text(), in.uvarint(); c.Kind == HoldCursor {
		c.Holder = in.text()
	}
	if len(c.Text) > MaxCursorName || len(c.Holder) > MaxCursorHolder {
		in.fail()
	}
}

// writeCursors writes all cursors: a delta has them all too.
func (h *checkpointHead) writeCursors(out *sections) {
	for i := range h.cursors {
		for _, x := range h.cursors[i].items {
			kind := itemCursor
			if x.holder != "" {
				kind = itemHeldCursor
			}
			out.item(kind, sectionSize)
			out.b = binary.AppendUvarint(appendText(appendText(out.b, x.group), x.topic), x.position)
			if x.holder != "" {
				out.b = appendText(out.b, x.holder)
			}
		}
	}
}

// readCursor reads one, behind the head, which has removed all.
func (l *loader) readCursor(in *input, kind Kind) error {
	c := Change{Kind: kind, Sequence: l.streams.sequence}
	in.cursor(&c)
	if in.bad || l.streams.Cursor(string(c.Text), string(c.Name)) != nil || l.streams.misfitCursor(&c) != "" {
		return l.corrupt("a cursor that cannot be")
	}
	l.streams.applyCursor(&c)
	return nil
}

func (d *digester) cursors(s *Streams) {
	d.numbers(uint64(s.cursors.count))
	s.cursors.each(func(x *Cursor) bool {
		d.text(x.group)
		d.text(x.topic)
		d.text(x.holder)
		d.numbers(x.position)
		return true
	})
}
