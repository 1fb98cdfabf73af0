package stream

import (
	"math"
	"slices"
)

// AddOptions is what XADD gets.
type AddOptions struct {
	ID            ID
	Auto, AutoSeq bool // as ParseAddID returns them
	NoMkStream    bool
	Fields        [][]byte
	Trim          TrimOptions
	Refs          RefMode
	Idempotent    bool // with Producer and Message
	Producer      Digest
	Message       Digest
	IfLast        bool   // only behind Last, as the last id that the stream has had
	Last          ID     // 0-0 without a stream
	Fenced        bool   // only with a token that is not below that of the stream
	Fence         uint64 // the token
}

// TrimKind is what a stream is trimmed by.
type TrimKind uint8

// The kinds.
const (
	TrimNone TrimKind = iota
	TrimMaxLen
	TrimMinID
)

// DefaultTrimLimit is the limit of `~` without LIMIT, as in Redis.
const DefaultTrimLimit = 10_000

// TrimOptions says which entries are too old. An approximate trim removes the same entries as an exact one, up to the limit.
type TrimOptions struct {
	Kind   TrimKind
	Approx bool
	MaxLen uint64
	MinID  ID
	Limit  int // how many at most; 0 for all
	Refs   RefMode
}

// RefMode is what happens to references that consumer groups have to an entry. Without groups the modes are the same.
type RefMode uint8

// The modes.
const (
	KeepRef RefMode = iota
	DelRef
	Acked
)

// PlanAdd plans XADD. ok is false if there is no stream and none is to be made.
func (s *Streams) PlanAdd(c *Change, name []byte, o *AddOptions) (ok bool, err error) {
	if !o.Auto && !o.AutoSeq && o.ID.IsZero() {
		return false, ErrIDZero
	}
	st := s.Lookup(name)
	if st == nil && o.NoMkStream {
		return false, nil
	}
	if o.Idempotent {
		if st != nil {
			c.Producer, c.Message = o.Producer, o.Message
			if id, found := st.window.find(c, st.duration); found {
				c.Kind, c.Number, c.ID, c.stream = Duplicate, st.number, id, st
				return true, nil
			}
		}
		c.Idempotent, c.Producer, c.Message = true, o.Producer, o.Message
	}
	last := ID{}
	if st != nil {
		last = st.last
	}
	if err = o.permit(st, last); err != nil {
		return false, err
	}
	if c.ID, err = nextID(last, c.Time, o); err != nil {
		return false, err
	}
	c.Kind, c.Fields, c.stream = Add, o.Fields, st
	if st == nil {
		s.planNew(c, name)
		c.Ordinal = 1
		if o.Trim.Kind != TrimNone && trimsNew(&o.Trim, c.ID) {
			c.TrimTo = 2
		}
		return true, nil
	}
	c.Number, c.Ordinal = st.number, st.ids.next
	if o.Trim.Kind != TrimNone && !o.TrimsLater(st) {
		c.TrimTo, _ = st.trimTo(&o.Trim, c.ID, 1)
	}
	if r := s.ruleOf(st); r != nil {
		c.TrimTo = max(c.TrimTo, st.held(r, st.beyond(r, 1, c.entryBytes(), maxGivenUpByAdd), c.entryBytes()))
	}
	return true, nil
}

// TrimsLater reports whether the trim is a change of its own, behind that of the entry: it concerns what is pending.
func (o *AddOptions) TrimsLater(st *Stream) bool {
	return o.Trim.Kind != TrimNone && o.Refs != KeepRef && st.Groups() > 0
}

// permit returns why a condition of the client does not hold. A duplicate has been found before that: its first append held it.
func (o *AddOptions) permit(st *Stream, last ID) error {
	switch {
	case o.Fenced && st != nil && o.Fence < st.fence:
		return &FenceError{st.fence, o.Fence}
	case o.IfLast && o.Last != last:
		return &LastIDError{last, o.Last}
	}
	return nil
}

// planNew plans that a change makes its stream first.
func (s *Streams) planNew(c *Change, name []byte) {
	c.Create, c.Name, c.Number = true, name, s.next
	c.Duration, c.MaxSize = s.duration, s.maxSize
}

// nextID returns the id of an entry behind last, as Redis chooses and refuses it.
func nextID(last ID, now int64, o *AddOptions) (ID, error) {
	if last == MaxID {
		return ID{}, ErrExhausted
	}
	switch {
	case o.Auto:
		if id := (ID{uint64(now), 0}); last.Less(id) {
			return id, nil
		}
		id, _ := last.Next()
		return id, nil
	case o.AutoSeq && o.ID.Ms == last.Ms:
		if id, _ := last.Next(); id.Ms == last.Ms {
			return id, nil
		}
	case o.AutoSeq && o.ID.Ms > last.Ms:
		return ID{o.ID.Ms, 0}, nil
	case !o.AutoSeq && last.Less(o.ID):
		return o.ID, nil
	}
	return ID{}, ErrIDTooSmall
}

// trimsNew reports whether the first entry of a stream goes at once.
func trimsNew(o *TrimOptions, id ID) bool {
	return o.Kind == TrimMaxLen && o.MaxLen == 0 || o.Kind == TrimMinID && id.Less(o.MinID)
}

// trimTo returns the ordinal below which a trim removes entries, and how many; 0 for none. coming is how many entries the change
// adds before it trims, 0 or 1, with id as the last id.
func (st *Stream) trimTo(o *TrimOptions, id ID, coming uint64) (to uint64, n int) {
	have, gone := st.ids.live+coming, uint64(0)
	if o.Kind == TrimMaxLen && have <= o.MaxLen {
		return 0, 0
	}
	v := st.ids.view()
	switch {
	case o.Kind == TrimMaxLen:
		gone = have - o.MaxLen
	case o.Kind == TrimMinID && id.Less(o.MinID):
		gone = have
	case o.Kind == TrimMinID && st.ids.live > 0:
		gone = v.rank(v.seek(o.MinID))
	}
	if o.Limit > 0 {
		gone = min(gone, uint64(o.Limit))
	}
	switch {
	case gone == 0:
		return 0, 0
	case gone > st.ids.live:
		return st.ids.next + coming, int(gone)
	}
	return v.at(gone), int(gone)
}

// PlanDelete plans XDEL, and returns how many of the ids it deletes; Found has which. There is nothing to apply if none is.
func (s *Streams) PlanDelete(c *Change, st *Stream, ids []ID) (n int) {
	c.Kind, c.Number, c.stream = Delete, st.number, st
	v := st.ids.view()
	x := seeker{view: &v}
	ascending := true
	for _, id := range ids {
		ordinal, found := x.find(id)
		c.Found = append(c.Found, found)
		if !found {
			continue
		}
		if last := len(c.Ordinals) - 1; last >= 0 && c.Ordinals[last] >= ordinal {
			ascending = false
		}
		c.Ordinals = append(c.Ordinals, ordinal)
		if c.ID.Less(id) {
			c.ID = id
		}
	}
	if !ascending {
		c.sortOrdinals()
	}
	return len(c.Ordinals)
}

// sortOrdinals sorts the ordinals of ids in any order. An id that comes again is found the first time alone.
func (c *Change) sortOrdinals() {
	seen, next := make(map[uint64]struct{}, len(c.Ordinals)), 0
	for i, found := range c.Found {
		if !found {
			continue
		}
		ordinal := c.Ordinals[next]
		next++
		_, again := seen[ordinal]
		seen[ordinal] = struct{}{}
		c.Found[i] = !again
	}
	slices.Sort(c.Ordinals)
	c.Ordinals = slices.Compact(c.Ordinals)
}

// PlanTrim plans XTRIM, and returns how many entries it removes. There is nothing to apply if that is 0.
func (s *Streams) PlanTrim(c *Change, st *Stream, o *TrimOptions) (n int) {
	c.Kind, c.Number, c.stream = Trim, st.number, st
	if st.Groups() > 0 {
		if o.Refs == Acked {
			return s.planTrimAcknowledged(c, st, o)
		}
		c.Refs = o.Refs
	}
	c.TrimTo, n = st.trimTo(o, st.last, 0)
	return n
}

// SetIDOptions is what XSETID gets.
type SetIDOptions struct {
	ID           ID
	EntriesAdded int64 // -1 if it is not given
	MaxDeleted   ID    // 0-0 if it is not given
}

// PlanSetID plans XSETID.
func (s *Streams) PlanSetID(c *Change, st *Stream, o *SetIDOptions) error {
	if o.ID.Less(o.MaxDeleted) {
		return ErrSetIDProvided
	}
	if o.ID.Less(st.maxDeleted) {
		return ErrSetIDMaxDeleted
	}
	if top, ok := st.Last(); ok {
		if o.ID.Less(top) {
			return ErrSetIDTopItem
		}
		if o.EntriesAdded >= 0 && st.ids.live > uint64(o.EntriesAdded) {
			return ErrSetIDAdded
		}
	}
	c.Kind, c.Number, c.stream = SetID, st.number, st
	c.ID, c.EntriesAdded, c.MaxDeleted = o.ID, st.EntriesAdded(), st.maxDeleted
	if o.EntriesAdded >= 0 {
		c.EntriesAdded = uint64(o.EntriesAdded)
	}
	if !o.MaxDeleted.IsZero() {
		c.MaxDeleted = o.MaxDeleted
	}
	return nil
}

// PlanFence plans XFENCE. A stream that does not exist is made, so that the token is there in front of its first entry. It returns
// false if nothing changes, and a *FenceError if the token is below that of the stream: a token is never lowered.
func (s *Streams) PlanFence(c *Change, name []byte, token uint64) (bool, error) {
	st := s.Lookup(name)
	switch {
	case st != nil && token < st.fence:
		return false, &FenceError{st.fence, token}
	case st != nil && token == st.fence, st == nil && token == 0:
		return false, nil
	case st == nil:
		s.planNew(c, name)
	default:
		c.Number, c.stream = st.number, st
	}
	c.Kind, c.Token = Fence, token
	return true, nil
}

// PlanConfigure plans XCFGSET. A setting of 0 is not given. It returns false if nothing changes: then no id is removed from the
// window.
func (s *Streams) PlanConfigure(c *Change, st *Stream, duration, maxSize int) bool {
	c.Kind, c.Number, c.stream = Configure, st.number, st
	c.Duration, c.MaxSize = settings(duration, maxSize, st.duration, st.maxSize)
	return c.Duration != st.duration || c.MaxSize != st.maxSize
}

// settings returns those of a window, within the bounds. A new one of 0 is not given.
func settings(duration, maxSize int, oldDuration uint32, oldMaxSize uint16) (uint32, uint16) {
	if duration > 0 {
		oldDuration = uint32(min(duration, MaxDuration))
	}
	if maxSize > 0 {
		oldMaxSize = uint16(min(maxSize, MaxMaxSize))
	}
	return oldDuration, oldMaxSize
}

// PlanRemove plans DEL of one stream. Called again with the same change, it adds another one; each stream once.
func (s *Streams) PlanRemove(c *Change, st *Stream) {
	c.Kind = Remove
	c.Numbers = append(c.Numbers, st.number)
}

// PlanFlush plans FLUSHALL. It returns false if there is no stream.
func (s *Streams) PlanFlush(c *Change) bool {
	c.Kind = Flush
	return s.order.count > 0
}

// PlanExpiry plans the end of a key: at is the last millisecond at which it exists. A time that has come removes the key at once.
func (s *Streams) PlanExpiry(c *Change, st *Stream, at int64) {
	if at <= c.Time {
		s.PlanRemove(c, st)
		return
	}
	c.Kind, c.Number, c.At, c.stream = SetExpiry, st.number, min(at, math.MaxInt64-1), st
}

// PlanPersist plans that a key does not end. It returns false if that is so already.
func (s *Streams) PlanPersist(c *Change, st *Stream) bool {
	c.Kind, c.Number, c.stream = SetExpiry, st.number, st
	return st.expiry != nil
}

// dueAtOnce bounds how many keys one change removes because their time is up.
const dueAtOnce = 256

// PlanDue plans what is due: keys whose time is up, the ids of one window, or what rules of retention give up. It returns false if
// there is nothing. If NextDeadline has come all the same, the next call goes on.
func (s *Streams) PlanDue(c *Change) bool {
	if s.sweep.isOn() {
		s.planSweep(c)
		return true
	}
	if len(s.due) == 0 || s.due[0].at > c.Time {
		return false
	}
	switch d := s.due[0]; d.ends {
	case windowEnds:
		c.Kind, c.Number, c.stream = Prune, d.stream.number, d.stream
		return true
	case entriesEnd:
		return s.planRetain(c)
	}
	c.Expired = true
	s.due.each(c.Time, dueAtOnce, keyEnds, func(d *deadline) { s.PlanRemove(c, d.stream) })
	return true
}
