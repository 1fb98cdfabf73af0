package stream

// What a trim takes that groups have yet to read is kept, up to a size, or counted.

// countMissed counts the entries below an ordinal, which are about to go, for the groups that have yet to read them.
func (st *Stream) countMissed(to uint64, r *Result) {
	x := &st.ids
	if to = min(to, x.next); to <= x.first || x.live == 0 {
		return
	}
	v := x.view()
	gone := v.rank(to)
	if gone == 0 {
		return
	}
	first, last := v.idAt(x.first), v.idAt(v.at(gone-1))
	st.EachGroup(func(g *Group) bool {
		missed := gone
		switch {
		case !g.last.Less(last):
			return true
		case !g.last.Less(first): // it has read some of them
			next, _ := g.last.Next()
			missed = gone - v.rank(v.seek(next))
		}
		if g.missed == 0 {
			r.FirstMiss = append(r.FirstMiss, Miss{st.name, g.name})
		}
		g.missed += missed
		r.Missed += missed
		return true
	})
}

// Missed counts the entries that trims took before the group read them.
func (g *Group) Missed() uint64 { return g.missed }

// held returns to, or the smaller ordinal up to which a rule gives up entries, because groups have yet to read the others: these stay until
// there are as many bytes as the rule allows. A change adds so many bytes before.
func (st *Stream) held(r *Rule, to, bytes uint64) uint64 {
	if r.Unread == 0 || to <= st.ids.first || st.Groups() == 0 {
		return to
	}
	over := st.ids.beyond(r.Unread, bytes)
	if over >= to {
		return to
	}
	return max(over, min(to, st.firstUnread()))
}

// firstUnread returns the ordinal of the first entry that some group has yet to read.
func (st *Stream) firstUnread() uint64 {
	least := MaxID
	st.EachGroup(func(g *Group) bool {
		if g.last.Less(least) {
			least = g.last
		}
		return true
	})
	next, ok := least.Next()
	if !ok {
		return st.ids.next
	}
	v := st.ids.view()
	return v.seek(next)
}

// awaitReaders sets a deadline for what a rule has kept for a group, when that may have read it. One look a second takes all that was read by then.
func (s *Streams) awaitReaders(st *Stream, c *Change) {
	r := s.ruleOf(st)
	if r == nil || r.Unread == 0 || c.Kind == Acknowledge || c.Kind == Release || c.Kind == CreateConsumer {
		return
	}
	at := c.Time + minSlack
	if st.retention == nil || st.retention.index < 0 || st.retention.at > at {
		s.awaitUntil(st, at)
	}
}
