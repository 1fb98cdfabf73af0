package broker

// predicateSets are those subscriptions to one name that have predicates. A subscriber set has one while there are any.
type predicateSets struct {
	sets        orderedSet[*predicateSet]
	size        int                         // of all predicate sets
	byPredicate map[Predicate]*predicateSet // once there are more than a few

	// What rebuild makes, nil when a predicate set has come or gone since.
	predicates []Predicate     // of all predicate sets, in order. Whoever publishes has it too: nobody changes what is in it
	ordered    []*predicateSet // those predicate sets
	published  uint64          // messages that came to the name since there is a predicate
}

// predicateSet is everyone who subscribed to one name with one predicate. It exists while it has a member.
type predicateSet struct {
	name      string // as it was subscribed to, predicate and all
	predicate Predicate
	cost      int // of the condition
	members   orderedSet[*Subscription]
	parent    *predicateSets
	index     int // in parent.sets
	counts    matchCounts
}

// matchCounts counts verdicts. What is not in it was a No: a predicate set whose predicate says so is not even looked at.
type matchCounts struct{ matched, unreadable uint64 }

func predicateSetMoved(ps *predicateSet, place int) { ps.index = place }

// find returns the predicate set of a predicate, or nil.
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

// predicateSetFor returns the predicate set of a predicate in a subscriber set, which it makes if need be.
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

// removeFromPredicateSet takes s out of its predicate set, and frees what is empty then.
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

// rebuild makes asked and order.
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
