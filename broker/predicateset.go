package broker

// predicateSets holds the subscriptions to one name that have predicates, a set for each predicate. The verdict on a message
// is thus needed once for each predicate, however many subscriptions share it. It exists while it has a member.
type predicateSets struct {
	sets        orderedSet[*predicateSet]
	size        int                         // subscriptions in all sets
	byPredicate map[Predicate]*predicateSet // nil up to indexThreshold sets

	// The next two are made by rebuild, and nil after a set has come or gone.
	predicates []Predicate     // of all sets, in order. Publishers share the array: never written to again
	ordered    []*predicateSet // the sets of predicates, index by index
	published  uint64          // messages to the name since it has had a predicate
}

// predicateSet holds the subscriptions to one name with one predicate. It exists while it has a member.
type predicateSet struct {
	name      string // as subscribed to, predicate and all
	predicate Predicate
	cost      int // of the filter, for each member
	members   orderedSet[*Subscription]
	parent    *predicateSets
	index     int // in parent.sets
	counts    matchCounts
}

// matchCounts counts verdicts. Messages in neither count had a No: the core does not touch a set for that.
type matchCounts struct{ matched, unreadable uint64 }

func predicateSetMoved(ps *predicateSet, index int) { ps.index = index }

// find returns the set of a predicate, or nil.
func (n *predicateSets) find(p Predicate) *predicateSet {
	if n.byPredicate != nil {
		return n.byPredicate[p]
	}
	for _, ps := range n.sets.items {
		if ps != nil && ps.predicate == p {
			return ps
		}
	}
	return nil
}

// predicateSetFor returns the set of a filter's predicate within a subscriber set, and makes it for the first subscription.
func (b *Broker) predicateSetFor(set *subscriberSet, filter Filter, name []byte) *predicateSet {
	if set.filters == nil {
		set.filters = new(predicateSets)
		set.filters.sets.onMove = predicateSetMoved
	}
	filters, p := set.filters, filter.Predicate
	if ps := filters.find(p); ps != nil {
		return ps
	}
	ps := &predicateSet{name: string(name), predicate: p, cost: filter.Cost, parent: filters}
	ps.members.onMove = memberMoved
	filters.sets.add(ps)
	filters.predicates, filters.ordered = nil, nil
	b.predicateCount++
	if set.kind == Pattern {
		b.patternCount++
	}
	switch {
	case filters.byPredicate != nil:
		filters.byPredicate[p] = ps
	case filters.sets.size > indexThreshold:
		filters.byPredicate = make(map[Predicate]*predicateSet)
		for _, ps := range filters.sets.items {
			if ps != nil {
				filters.byPredicate[ps.predicate] = ps
			}
		}
	}
	return ps
}

// removeFromPredicateSet takes sub out of its predicate set, and drops the set, and all sets, when empty.
func (b *Broker) removeFromPredicateSet(sub *Subscription) {
	filters, ps := sub.set.filters, sub.membership.predicateSet
	ps.members.remove(int(sub.setIndex))
	filters.size--
	if ps.members.size > 0 {
		return
	}
	filters.sets.remove(ps.index)
	delete(filters.byPredicate, ps.predicate)
	filters.predicates, filters.ordered = nil, nil
	b.predicateCount--
	if sub.set.kind == Pattern {
		b.patternCount--
	}
	if filters.sets.size == 0 {
		sub.set.filters = nil
	}
}

// rebuild makes predicates and ordered, at the first publish after a set has come or gone. Both are new arrays: publishers
// may still hold the old ones.
func (n *predicateSets) rebuild() {
	if n.predicates != nil {
		return
	}
	n.predicates, n.ordered = make([]Predicate, 0, n.sets.size), make([]*predicateSet, 0, n.sets.size)
	for _, ps := range n.sets.items {
		if ps != nil {
			n.predicates, n.ordered = append(n.predicates, ps.predicate), append(n.ordered, ps)
		}
	}
}
