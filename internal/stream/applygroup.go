package stream

import "math"

// applyGroup applies a change of a group.
func (st *Stream) applyGroup(c *Change) {
	gs := st.groups
	if c.Kind == CreateGroup {
		st.createGroup(c)
		return
	}
	g := gs.byNumber[c.Group]
	switch c.Kind {
	case DestroyGroup:
		gs.bytes -= g.bytes()
		gs.byName.remove(g)
		delete(gs.byNumber, g.number)
	case SetGroup:
		g.last, g.read, g.ordinal = c.ID, c.EntriesAdded, st.ordinalUpTo(c.ID)
	case CreateConsumer:
		gs.addConsumer(g, &Consumer{name: string(c.Text), number: c.Consumer, seen: c.Time, active: -1})
	case DeleteConsumer:
		gs.deleteConsumer(g, g.numbered[c.Consumer])
	case Deliver:
		st.deliver(g, g.numbered[c.Consumer], c)
	case Acknowledge:
		for _, id := range c.IDs {
			gs.drop(g, id)
		}
	case Claim:
		gs.claim(g, g.numbered[c.Consumer], c)
	case Release:
		gs.release(g, c)
	}
}

func (st *Stream) createGroup(c *Change) {
	if st.groups == nil {
		st.own()
		st.groups = newGroups()
	}
	gs, g := st.groups, newGroup(string(c.Text), c.Group)
	g.last, g.read, g.ordinal = c.ID, c.EntriesAdded, st.ordinalUpTo(c.ID)
	gs.add(g)
	gs.next = g.number + 1
}

func (gs *groups) add(g *Group) {
	gs.byName.insert(g)
	gs.byNumber[g.number] = g
	gs.bytes += g.bytes()
}

func (gs *groups) addConsumer(g *Group, c *Consumer) {
	c.pending = newOrder(byID)
	g.consumers.insert(c)
	g.numbered[c.number] = c
	g.next = max(g.next, c.number+1)
	gs.bytes += int64(consumerBytes + len(c.name))
}

func (gs *groups) deleteConsumer(g *Group, c *Consumer) {
	for p, ok := c.pending.first(); ok; p, ok = c.pending.first() {
		gs.drop(g, p.id)
	}
	g.consumers.remove(c)
	delete(g.numbered, c.number)
	gs.bytes -= int64(consumerBytes + len(c.name))
}

// put makes an entry pending, in the place of what was pending under its id, which it returns.
func (gs *groups) put(g *Group, p *Pending) (old *Pending) {
	switch old = g.pending.insert(p); {
	case old == nil:
		gs.bytes += pendingBytes
	case old.consumer == nil:
		g.unowned--
	case old.consumer != p.consumer:
		old.consumer.pending.remove(old)
	}
	if old != nil {
		g.oldest.remove(old)
	}
	g.oldest.insert(p)
	if p.consumer != nil {
		p.consumer.pending.insert(p)
	} else {
		g.unowned++
	}
	return old
}

// putCounted is put for a change that counts the deliveries. The count of p is that of an entry which was not pending.
func (gs *groups) putCounted(g *Group, p *Pending, c *Change) {
	if old := gs.put(g, p); old != nil {
		p.count = old.count
	}
	p.count = c.counted(p.count)
}

// drop ends that an entry is pending.
func (gs *groups) drop(g *Group, id ID) {
	gs.probe.id = id
	p, ok := g.pending.remove(&gs.probe)
	if !ok {
		return
	}
	g.oldest.remove(p)
	if p.consumer != nil {
		p.consumer.pending.remove(p)
	} else {
		g.unowned--
	}
	gs.bytes -= pendingBytes
}

// deliver makes the entries behind the last one of the group pending, up to an ordinal.
func (st *Stream) deliver(g *Group, consumer *Consumer, c *Change) {
	v := st.ids.view()
	if st.ids.live == 0 {
		return
	}
	v.each(g.behind(&v), c.Ordinal, func(ordinal uint64, id ID) bool {
		if !c.NoAck {
			st.groups.put(g, &Pending{id, c.Time, 1, consumer})
		}
		g.last, g.delivered.id, g.delivered.ordinal = id, id, ordinal
		return true
	})
	if c.Ordinal > g.ordinal {
		g.read += c.Ordinal - g.ordinal
		g.ordinal = c.Ordinal
	}
	consumer.active = max(consumer.active, c.Time)
	consumer.See(c.Time)
}

func (gs *groups) claim(g *Group, consumer *Consumer, c *Change) {
	if g.last.Less(c.ID) {
		g.last = c.ID
	}
	for _, id := range c.Gone {
		gs.drop(g, id)
	}
	for _, id := range c.IDs {
		gs.putCounted(g, &Pending{id, c.At, 1, consumer}, c)
	}
	consumer.See(c.Time)
	if len(c.IDs) > 0 {
		consumer.active = max(consumer.active, c.Time)
	}
}

// counted returns the number of deliveries behind a change.
func (c *Change) counted(before uint64) uint64 {
	switch c.Counting {
	case CountOne:
		return min(before, math.MaxInt64-1) + 1
	case CountSet:
		return c.Count
	case CountLess:
		return max(before, 1) - 1
	}
	return before
}

// release makes entries those of no consumer. They come first when entries are claimed, in the order in which they were released.
func (gs *groups) release(g *Group, c *Change) {
	for _, id := range c.IDs {
		gs.putCounted(g, &Pending{id, math.MinInt64 + int64(g.released), 0, nil}, c)
		g.released++
	}
}

// unref ends that entries are pending, in all groups: those with the ordinals of a deletion, or those that a trim removes.
func (st *Stream) unref(c *Change) {
	v := st.ids.view()
	switch {
	case st.Groups() == 0 || st.ids.live == 0:
	case c.Kind == Trim && c.TrimTo > 0:
		v.each(v.first, c.TrimTo-1, func(_ uint64, id ID) bool {
			st.dropAll(id)
			return true
		})
	case c.Kind == Delete:
		for _, ordinal := range c.Ordinals {
			if v.alive(ordinal) {
				st.dropAll(v.idAt(ordinal))
			}
		}
	}
}

func (st *Stream) dropAll(id ID) {
	st.EachGroup(func(g *Group) bool {
		st.groups.drop(g, id)
		return true
	})
}
