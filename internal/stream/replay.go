package stream

import (
	"fmt"
	"math"
)

// Misfit is the error of a record with a change that does not fit to the state. The changes before it are applied.
type Misfit struct {
	Applied int // how many
	Stream  uint64
	Reason  string
}

func (m *Misfit) Error() string {
	return fmt.Sprintf("change %d of a record, of stream %d, does not fit to the state: %s", m.Applied+1, m.Stream, m.Reason)
}

// Unwrap makes it an ErrCorrupt.
func (m *Misfit) Unwrap() error { return ErrCorrupt }

// ApplyRecord applies the changes of a record: after a start, and on a replica. If one does not fit to the state, the error is a
// *Misfit.
func (s *Streams) ApplyRecord(payload []byte) error {
	var wrong error
	applied := 0
	err := Changes(payload, func(c *Change) bool {
		if why := s.misfit(c); why != "" {
			wrong = &Misfit{applied, c.Number, why}
			return false
		}
		s.Apply(c)
		applied++
		return true
	})
	if err == nil {
		err = wrong
	}
	return err
}

// misfit returns why a change cannot have been planned with this state, or nothing.
func (s *Streams) misfit(c *Change) string {
	switch c.Kind {
	case Flush, Defaults, Retention, Durable:
		return ""
	case SetCursor, HoldCursor, RemoveCursor:
		return s.misfitCursor(c)
	case SetSourcePosition, RemoveSourcePosition:
		return s.misfitSourcePosition(c)
	case Remove, Retain:
		for _, number := range c.Numbers {
			if s.ByNumber(number) == nil {
				return "it is gone"
			}
		}
		return ""
	}
	if c.Create {
		return s.misfitNew(c)
	}
	st := s.ByNumber(c.Number)
	if st == nil {
		return "it is gone"
	}
	c.stream = st
	switch {
	case c.Adds() && c.Ordinal != st.ids.next:
		return fmt.Sprintf("entry %d follows %d", c.Ordinal, st.ids.next-1)
	case c.Adds() && !st.last.Less(c.ID):
		return fmt.Sprintf("%v follows %v", c.ID, st.last)
	case c.Kind == AddRun:
		return ""
	case c.Kind == Duplicate && st.window == nil, c.Kind == Prune && st.window == nil:
		return "it has no idempotent ids"
	case c.Kind == SetID && c.ID.Less(st.top()):
		return "its last entry is larger"
	case c.Kind >= CreateGroup:
		return st.misfitGroup(c)
	case c.Kind == Fence && c.Token < st.fence:
		return "its fencing token is larger"
	case c.Kind == SetExpiry && (c.At < 0 || c.At == math.MaxInt64):
		return "an expiry that cannot be"
	}
	return ""
}

// misfitGroup is misfit for a change of a group.
func (st *Stream) misfitGroup(c *Change) string {
	if c.Kind == CreateGroup {
		if st.Group(c.Text) != nil || st.groups != nil && c.Group < st.groups.next || !isNumber(c.Group) {
			return "it has that group"
		}
		return ""
	}
	var g *Group
	if st.groups != nil {
		g = st.groups.byNumber[c.Group]
	}
	if g == nil {
		return "it has no such group"
	}
	switch c.Kind {
	case CreateConsumer:
		if g.Consumer(c.Text) != nil || c.Consumer < g.next || !isNumber(c.Consumer) {
			return "the group has that consumer"
		}
	case DeleteConsumer, Deliver, Claim:
		if g.numbered[c.Consumer] == nil {
			return "the group has no such consumer"
		}
	}
	if c.Kind == Deliver && c.Ordinal >= st.ids.next {
		return "it has no such entry"
	}
	return ""
}

// isNumber reports whether a group or a consumer may have a number. Others may follow it.
func isNumber(n uint64) bool { return n > 0 && n < math.MaxInt64 }

// misfitNew is misfit for a change that makes a stream.
func (s *Streams) misfitNew(c *Change) string {
	if c.Number != s.next || c.Kind == CreateGroup && !isNumber(c.Group) || c.Adds() && (c.Ordinal != 1 || c.ID.IsZero()) {
		return fmt.Sprintf("the next new one is %d", s.next)
	}
	if old := s.names[string(c.Name)]; old != nil && old.expiry == nil {
		return "there is one with its name"
	}
	return ""
}

// top returns the id of the newest entry, or 0-0.
func (st *Stream) top() ID {
	id, _ := st.Last()
	return id
}
