package broker

import "github.com/conchmq/conch/internal/invariant"

// A publish to a topic with predicates takes effect with their verdicts, and the core does not work those out: decoding a
// payload would keep all connections waiting. Each publisher evaluates them before it submits, by the index that the core
// has handed out last (Broker.OnIndex), and the batch carries the version of that index.
//
// So a subscription with a new predicate has a grace period. The core hands out an index that lists the predicate. The
// subscription takes effect once no batch judged by an older index is outstanding: neither with a publisher nor in the
// inbox. Its subscriber is parked meanwhile, and no other connection waits. One grace period is under way at a time; what comes
// meanwhile waits for the next, all together. So no batch is ever judged twice, and none comes back.

// grace is the state of grace periods.
type grace struct {
	effective uint64             // versions of the index up to this one are over: no batch judged by an older one comes
	unused    bool               // no publisher has a batch judged by an index older than the last; the inbox may
	taken     uint64             // batches taken from the inbox
	last      uint64             // of these, the last that may have been judged by an older index
	waiting   orderedSet[*Batch] // each stands at a Subscribe that waits
	changed   []*predicateSets   // since the last index was handed out
}

func batchMoved(batch *Batch, index int) { batch.waiting = index }

// waits reports whether a Subscribe must wait, for a predicate that some outstanding batch does not know of.
func (b *Broker) waits(r *Request) bool {
	for i := range r.Filters {
		if r.Filters[i].Predicate == nil {
			continue
		}
		if ps := b.findSet(r, i); ps == nil || ps.since > b.grace.effective {
			return true
		}
	}
	return false
}

// park stops a batch before its request i, a Subscribe that waits. All of its predicates are kept until then.
func (b *Broker) park(batch *Batch, i int) {
	clear(batch.Requests[:i])
	batch.Requests = batch.Requests[i:]
	r := &batch.Requests[0]
	for i := range r.Filters {
		if r.Filters[i].Predicate == nil {
			continue
		}
		ps := b.findSet(r, i)
		if ps == nil {
			ps = b.newSet(r, i)
		}
		ps.claims++
	}
	r.Waited = true
	batch.From.parked = batch
	b.grace.waiting.add(batch)
	b.markDirty(batch.From)
}

// unpark ends the wait of a subscriber. The claims end when its Subscribe has taken effect, or never will.
func (b *Broker) unpark(s *Subscriber) *Batch {
	batch := s.parked
	s.parked = nil
	b.grace.waiting.remove(batch.waiting)
	return batch
}

func (b *Broker) unclaim(r *Request) {
	for i := range r.Filters {
		if r.Filters[i].Predicate != nil {
			ps := b.findSet(r, i)
			ps.claims--
			b.dropUnused(ps)
		}
	}
}

// abandon hands back the batch of a subscriber that ends while it waits.
func (b *Broker) abandon(s *Subscriber) {
	if s.parked == nil {
		return
	}
	batch := b.unpark(s)
	b.unclaim(&batch.Requests[0])
	b.markDirty(s)
	s.conn.Applied(batch)
}

// markChanged has the next index list the predicates of a name anew.
func (b *Broker) markChanged(n *predicateSets) {
	if !n.changed {
		n.changed = true
		b.grace.changed = append(b.grace.changed, n)
	}
}

// refresh comes at the end of a round. It ends the grace period that is over, hands out an index if predicates have changed,
// and begins the next grace period.
func (b *Broker) refresh() {
	for b.endGrace() || b.publishIndex() {
	}
}

// endGrace lets the subscriptions of the last version take effect if no older batch can come. False means that nothing has
// happened.
func (b *Broker) endGrace() bool {
	g := &b.grace
	if g.effective == b.index.version || !g.unused || g.taken < g.last {
		return false
	}
	g.effective = b.index.version
	var over []*Subscriber // collected first: an eviction may end the wait of others
	for _, batch := range g.waiting.items {
		if batch != nil && !b.waits(&batch.Requests[0]) {
			over = append(over, batch.From)
		}
	}
	for _, s := range over {
		if s.parked != nil {
			b.apply(b.unpark(s))
		}
	}
	return true
}

// publishIndex hands out a new index, if there is anything new. It has a new version if subscriptions wait for one and no
// grace period is under way.
func (b *Broker) publishIndex() bool {
	g := &b.grace
	begins := g.effective == b.index.version && g.waiting.size > 0
	if len(g.changed) == 0 && !begins {
		return false
	}
	next := *b.index
	for i, n := range g.changed {
		n.changed, g.changed[i] = false, nil
		chunks := n.chunks()
		next.set(n.name.kind, n.name.name, chunks)
		if len(chunks) == 0 {
			delete(b.filtered, n.name)
		}
	}
	g.changed = g.changed[:0]
	if begins {
		next.version++
	}
	b.index = &next
	unused := b.onIndex == nil || b.onIndex(b.index)
	if begins {
		g.unused, g.last = unused, g.taken+uint64(len(b.inbox))
	}
	return begins
}

// OnIndex has f get each new index of predicates, on the core's goroutine. Until then there is an empty one, of version 0.
// Publishers judge by the last index: see Batch.Version. f returns true if no publisher has a batch that was judged by an older
// version and is not submitted yet; otherwise Unused must be called when that is so. What it returns for an index with the
// version of the one before does not count. OnIndex is called once, before Run.
func (b *Broker) OnIndex(f func(x *Index) (unused bool)) {
	invariant.Check(b.onIndex == nil, "OnIndex is called twice")
	b.onIndex = f
}

// Unused tells the core that no batch judged by an index older than this version is on its way to Submit. It is called once
// for a version that OnIndex has returned false for, by any goroutine but the core's.
func (b *Broker) Unused(version uint64) { b.Submit(&Batch{unused: version}) }

// markUnused applies Unused: all older batches have come through the inbox before.
func (b *Broker) markUnused(version uint64) {
	invariant.Check(version == b.index.version, "version %d is reported unused, and the last is %d", version, b.index.version)
	b.grace.unused = true
}
