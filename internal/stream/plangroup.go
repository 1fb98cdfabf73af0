package stream

import "math"

// PlanCreateGroup plans XGROUP CREATE: a group that has read all up to an id, and read entries of the stream; less than 0: they are
// counted. A stream that does not exist is made if st is nil. The name must be a new one.
func (s *Streams) PlanCreateGroup(c *Change, key []byte, st *Stream, name []byte, last ID, read int64) {
	c.Kind, c.Text, c.ID = CreateGroup, name, last
	if st == nil {
		s.planNew(c, key)
		c.Group, c.EntriesAdded = 1, uint64(max(read, 0))
		return
	}
	c.Number, c.stream, c.Group = st.number, st, 1
	if st.groups != nil {
		c.Group = st.groups.next
	}
	c.EntriesAdded = st.readUpTo(last, read)
}

// readUpTo is the number of entries up to an id, unless a client has given one.
func (st *Stream) readUpTo(id ID, given int64) uint64 {
	if given >= 0 {
		return uint64(given)
	}
	return st.ordinalUpTo(id) + st.addedMore
}

// ordinalUpTo is the ordinal of the newest entry up to an id. Those that were trimmed count as before it.
func (st *Stream) ordinalUpTo(id ID) uint64 {
	next, ok := id.Next()
	if !ok {
		return st.ids.next - 1
	}
	v := st.ids.view()
	return v.seek(next) - 1
}

// planGroup begins a change of a group.
func (c *Change) planGroup(kind Kind, st *Stream, g *Group) {
	c.Kind, c.Number, c.stream, c.Group = kind, st.number, st, g.number
}

// PlanDestroyGroup plans XGROUP DESTROY.
func (s *Streams) PlanDestroyGroup(c *Change, st *Stream, g *Group) {
	c.planGroup(DestroyGroup, st, g)
}

// PlanSetGroup plans XGROUP SETID. read is as in PlanCreateGroup.
func (s *Streams) PlanSetGroup(c *Change, st *Stream, g *Group, last ID, read int64) {
	c.planGroup(SetGroup, st, g)
	c.ID, c.EntriesAdded = last, st.readUpTo(last, read)
}

// PlanCreateConsumer plans a consumer with a new name.
func (s *Streams) PlanCreateConsumer(c *Change, st *Stream, g *Group, name []byte) {
	c.planGroup(CreateConsumer, st, g)
	c.Text, c.Consumer = name, g.next
}

// PlanDeleteConsumer plans XGROUP DELCONSUMER. Its pending entries are no longer so.
func (s *Streams) PlanDeleteConsumer(c *Change, st *Stream, g *Group, consumer *Consumer) {
	c.planGroup(DeleteConsumer, st, g)
	c.Consumer = consumer.number
}

// PlanDeliver plans the delivery of entries behind the last one of the group, count at most, and returns them. Without any there is
// nothing to apply.
func (s *Streams) PlanDeliver(c *Change, st *Stream, g *Group, consumer *Consumer, count int, noAck bool) Range {
	r := st.rangeBehind(g, count)
	c.planGroup(Deliver, st, g)
	c.Consumer, c.Ordinal, c.NoAck = consumer.number, r.Last(), noAck
	return r
}

// PlanAcknowledge plans XACK, and returns how many of the ids are pending. Found has which.
func (s *Streams) PlanAcknowledge(c *Change, st *Stream, g *Group, ids []ID) int {
	c.planGroup(Acknowledge, st, g)
	for _, id := range ids {
		found := g.lookup(id) != nil && !c.has(id)
		if c.Found = append(c.Found, found); found {
			c.addID(id)
		}
	}
	return len(c.IDs)
}

// has reports whether the change has an id. Most come in ascending order.
func (c *Change) has(id ID) bool {
	n := len(c.IDs)
	if c.given == nil {
		if n == 0 || c.IDs[n-1].Less(id) {
			return false
		}
		c.given = make(map[ID]struct{}, n)
		for _, other := range c.IDs {
			c.given[other] = struct{}{}
		}
	}
	_, ok := c.given[id]
	return ok
}

func (c *Change) addID(id ID) {
	c.IDs = append(c.IDs, id)
	if c.given != nil {
		c.given[id] = struct{}{}
	}
}

// Counting is what a claim makes of the number of deliveries.
type Counting uint8

// The countings.
const (
	CountOne  Counting = iota // one more
	CountKeep                 // as it is
	CountSet                  // a number that was given
	CountLess                 // one less, not below 0
)

// ClaimOptions is what XCLAIM gets.
type ClaimOptions struct {
	MinIdle  int64
	Time     int64 // of the delivery, in milliseconds
	Counting Counting
	Count    uint64 // of CountSet
	Force    bool   // entries that are not pending become so
	Last     ID     // the group has read up to it at least; 0-0: not given
}

// PlanClaim plans XCLAIM. IDs are those that are claimed, in their order, Gone the pending ones whose entries were deleted. It returns
// false if there is nothing to apply.
func (s *Streams) PlanClaim(c *Change, st *Stream, g *Group, consumer *Consumer, ids []ID, o *ClaimOptions) bool {
	c.planClaim(st, g, consumer, o)
	if g.last.Less(o.Last) {
		c.ID = o.Last
	}
	for _, id := range ids {
		p := g.lookup(id)
		switch {
		case !st.Exists(id):
			if p != nil {
				c.Gone = append(c.Gone, id)
			}
		case p == nil && !o.Force:
		case o.MinIdle > 0 && (p != nil && !p.isIdle(c.Time, o.MinIdle) || c.has(id) && c.Time-o.Time < o.MinIdle):
		default:
			c.addID(id)
		}
	}
	return len(c.IDs)+len(c.Gone) > 0 || !c.ID.IsZero()
}

func (c *Change) planClaim(st *Stream, g *Group, consumer *Consumer, o *ClaimOptions) {
	c.planGroup(Claim, st, g)
	c.Consumer, c.At, c.Counting, c.Count = consumer.number, o.Time, o.Counting, o.Count
}

// claimScan is how many pending entries XAUTOCLAIM looks at for each that it may claim, as in Redis.
const claimScan = 10

// PlanAutoClaim plans XAUTOCLAIM: from an id on, count entries at most. next is where to go on; false at the end.
func (s *Streams) PlanAutoClaim(c *Change, st *Stream, g *Group, consumer *Consumer, from ID, count int, o *ClaimOptions) (next ID, more bool) {
	c.planClaim(st, g, consumer, o)
	looks := count * claimScan
	g.EachPending(from, MaxID, func(p *Pending) bool {
		if looks == 0 || count == 0 {
			next, more = p.id, true
			return false
		}
		looks--
		switch {
		case !st.Exists(p.id):
			c.Gone = append(c.Gone, p.id)
			count--
		case p.isIdle(c.Time, o.MinIdle):
			c.IDs = append(c.IDs, p.id)
			count--
		}
		return true
	})
	return next, more
}

// PlanClaimOldest plans the claim of entries that have waited longest, of XREADGROUP with CLAIM: released ones first, then those that
// are idle for so long. claimed is what they were before, in the order of IDs.
func (s *Streams) PlanClaimOldest(c *Change, st *Stream, g *Group, consumer *Consumer, count int, o *ClaimOptions) (claimed []*Pending) {
	c.planClaim(st, g, consumer, o)
	looks, v := count*claimScan, st.ids.view()
	x := seeker{view: &v}
	g.oldest.each(func(p *Pending) bool {
		if looks--; looks < 0 || len(c.IDs) == count || !p.isIdle(c.Time, o.MinIdle) {
			return false
		}
		if _, ok := x.find(p.id); !ok {
			c.Gone = append(c.Gone, p.id)
			return true
		}
		c.IDs = append(c.IDs, p.id)
		claimed = append(claimed, p)
		return true
	})
	return claimed
}

// PlanHistory plans that a consumer reads again what it has from an id on, count entries at most. pending is all of it, in the order
// of ids; IDs are those whose entries exist: they count as delivered once more.
func (s *Streams) PlanHistory(c *Change, st *Stream, g *Group, consumer *Consumer, from ID, count int) (pending []*Pending) {
	c.planClaim(st, g, consumer, &ClaimOptions{Time: c.Time})
	consumer.EachPending(from, MaxID, func(p *Pending) bool {
		pending = append(pending, p)
		if st.Exists(p.id) {
			c.IDs = append(c.IDs, p.id)
		}
		return len(pending) < count
	})
	return pending
}

// ReleaseOptions is what XNACK gets.
type ReleaseOptions struct {
	Counting Counting
	Count    uint64
	Force    bool // entries that are not pending become so, with a count from 0 on
}

// Fatal is the number of deliveries of an entry that XNACK marks as fatal.
const Fatal = math.MaxInt64

// PlanRelease plans XNACK, and returns how many ids are released.
func (s *Streams) PlanRelease(c *Change, st *Stream, g *Group, ids []ID, o *ReleaseOptions) int {
	c.planGroup(Release, st, g)
	c.Counting, c.Count = o.Counting, o.Count
	for _, id := range ids {
		if g.lookup(id) != nil || o.Force && st.Exists(id) {
			c.IDs = append(c.IDs, id)
		}
	}
	return len(c.IDs)
}

// isReferenced reports whether a group has yet to read an entry, or has it pending.
func (st *Stream) isReferenced(id ID) (referenced bool) {
	st.EachGroup(func(g *Group) bool {
		referenced = g.last.Less(id) || g.lookup(id) != nil
		return !referenced
	})
	return referenced
}

// keepReferenced leaves those entries out of a planned deletion that groups need. Kept has them, by the places of the ids.
func (c *Change) keepReferenced(st *Stream) {
	v := st.ids.view()
	kept := c.Ordinals[:0]
	c.ID = ID{}
	for _, ordinal := range c.Ordinals {
		id := v.idAt(ordinal)
		if st.isReferenced(id) {
			continue
		}
		kept = append(kept, ordinal)
		if c.ID.Less(id) {
			c.ID = id
		}
	}
	c.Ordinals = kept
}

// PlanDeleteReferenced plans XDELEX and the deletion of XACKDEL. Found has the ids that exist, Kept those that groups need, which
// stay if refs is Acked. It returns false if none is deleted.
func (s *Streams) PlanDeleteReferenced(c *Change, st *Stream, ids []ID, refs RefMode) bool {
	s.PlanDelete(c, st, ids)
	if st.Groups() == 0 || refs == KeepRef {
		return len(c.Ordinals) > 0
	}
	if refs == DelRef {
		c.Refs = DelRef
		return len(c.Ordinals) > 0
	}
	c.Kept = c.Kept[:0]
	for i, id := range ids {
		c.Kept = append(c.Kept, c.Found[i] && st.isReferenced(id))
	}
	c.keepReferenced(st)
	return len(c.Ordinals) > 0
}

// trimScan bounds the entries that a trim with ACKED looks at.
const trimScan = 10_000

// planTrimAcknowledged plans the trim of those old entries that no group needs: a deletion, since others stay between them.
func (s *Streams) planTrimAcknowledged(c *Change, st *Stream, o *TrimOptions) int {
	to, most := st.trimTo(o, st.last, 0)
	if most == 0 {
		return 0
	}
	if o.Kind == TrimMaxLen {
		to = st.ids.next // later ones go in the place of those that stay
	}
	c.Kind = Delete
	v, looks := st.ids.view(), trimScan
	v.each(v.first, to-1, func(ordinal uint64, id ID) bool {
		if !st.isReferenced(id) {
			c.Ordinals = append(c.Ordinals, ordinal)
		}
		looks--
		return looks > 0 && len(c.Ordinals) < most
	})
	return len(c.Ordinals)
}
