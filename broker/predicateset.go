package broker

import "slices"

// predicateSets holds the subscriptions to one name that have predicates, a set for each predicate. The verdict on a message
// is thus needed once for each predicate, however many subscriptions share it. It exists while it has a set.
type predicateSets struct {
	name        filteredName
	sets        orderedSet[*predicateSet]   // those with a member, in the order of delivery
	claimed     orderedSet[*predicateSet]   // those without, which subscriptions wait for: see grace.go
	size        int                         // subscriptions in all sets
	byPredicate map[Predicate]*predicateSet // nil up to indexThreshold sets
	published   uint64                      // messages to the name since it has had a predicate
	listed      [][]Candidate               // for the index. Publishers share the chunks: they are appended to, and not changed
	numListed   int                         // in all chunks, without those that have gone
	stale       []int                       // chunks with predicates that have gone
	changed     bool                        // in Broker.changed
	position    int                         // in Broker.matched, while a message is in flight
}

type filteredName struct {
	kind Kind
	name string
}

// predicateSet holds the subscriptions to one name with one predicate.
type predicateSet struct {
	name      string // as subscribed to, predicate and all
	predicate Predicate
	cost      int // of the filter, for each member
	members   orderedSet[*Subscription]
	parent    *predicateSets
	index     int    // in parent.sets or parent.claimed
	chunk     int    // in parent.listed
	since     uint64 // the version of the first index that lists it
	claims    int    // subscribes that wait and subscriptions that have not joined, which keep it
	counts    matchCounts
	last      uint64 // the number of the last message that matched

	lastFiltered uint64 // the number of the last message before that one that did not
}

// countMatched counts a message with that number that the predicate lets through; previous is the last message to the name before
// it. So the last one that was rejected is known, although the core touches no set for a No.
func (ps *predicateSet) countMatched(number, previous uint64) {
	ps.counts.matched++
	if previous > ps.last {
		ps.lastFiltered = previous
	}
	ps.last = number
}

// matchCounts counts verdicts. Messages in neither count had a No: the core does not touch a set for that.
type matchCounts struct{ matched, unreadable uint64 }

func predicateSetMoved(ps *predicateSet, index int) { ps.index = index }

// find returns the set of a predicate, or nil.
func (n *predicateSets) find(p Predicate) *predicateSet {
	if n.byPredicate != nil {
		return n.byPredicate[p]
	}
	for _, sets := range [...][]*predicateSet{n.sets.items, n.claimed.items} {
		for _, ps := range sets {
			if ps != nil && ps.predicate == p {
				return ps
			}
		}
	}
	return nil
}

// findSet returns the predicate set of a name of a Subscribe, or nil.
func (b *Broker) findSet(r *Request, i int) *predicateSet {
	f := &r.Filters[i]
	if filters := b.filtered[filteredName{r.Kind, string(r.Names[i][:f.TopicLen])}]; filters != nil {
		return filters.find(f.Predicate)
	}
	return nil
}

// newSet makes the predicate set of a name of a Subscribe, without members. The next index lists it, as a new version.
func (b *Broker) newSet(r *Request, i int) *predicateSet {
	f := &r.Filters[i]
	name := filteredName{r.Kind, string(r.Names[i][:f.TopicLen])}
	filters := b.filtered[name]
	if filters == nil {
		filters = &predicateSets{name: name}
		filters.sets.onMove, filters.claimed.onMove = predicateSetMoved, predicateSetMoved
		b.filtered[name] = filters
	}
	ps := &predicateSet{name: string(r.Names[i]), predicate: f.Predicate, cost: f.Cost, parent: filters, since: b.index.version + 1}
	ps.members.onMove = memberMoved
	filters.claimed.add(ps)
	filters.list(ps)
	b.markChanged(filters)
	switch {
	case filters.byPredicate != nil:
		filters.byPredicate[f.Predicate] = ps
	case filters.sets.size+filters.claimed.size > indexThreshold:
		filters.byPredicate = make(map[Predicate]*predicateSet)
		for _, ps := range slices.Concat(filters.sets.items, filters.claimed.items) {
			if ps != nil {
				filters.byPredicate[ps.predicate] = ps
			}
		}
	}
	return ps
}

// addMember adds sub to its predicate set. With the first member the set takes effect, as the youngest of its name.
func (b *Broker) addMember(sub *Subscription) {
	ps := sub.membership.predicateSet
	if ps.members.size == 0 {
		ps.parent.claimed.remove(ps.index)
		ps.parent.sets.add(ps)
		sub.set.filters = ps.parent
		b.countPredicates(ps, 1)
	}
	ps.members.add(sub)
	ps.parent.size++
}

// removeMember removes sub from its predicate set. Without members the set is gone, unless a subscriber waits for it.
func (b *Broker) removeMember(sub *Subscription) {
	ps := sub.membership.predicateSet
	filters := ps.parent
	ps.members.remove(int(sub.setIndex))
	filters.size--
	if ps.members.size > 0 {
		return
	}
	b.countPredicates(ps, -1)
	filters.sets.remove(ps.index)
	filters.claimed.add(ps)
	if filters.sets.size == 0 {
		sub.set.filters = nil
	}
	b.dropUnused(ps)
}

// dropUnused drops a predicate set that has no members if no subscriber waits for it.
func (b *Broker) dropUnused(ps *predicateSet) {
	if ps.used() {
		return
	}
	ps.parent.claimed.remove(ps.index)
	delete(ps.parent.byPredicate, ps.predicate)
	ps.parent.stale = append(ps.parent.stale, ps.chunk)
	ps.parent.numListed--
	b.markChanged(ps.parent)
}

func (b *Broker) countPredicates(ps *predicateSet, n int) {
	b.predicateCount += n
	if ps.parent.name.kind == Pattern {
		b.patternCount += n
	}
}

// chunkSize is how many predicates of a name the index has in one piece. When one of ten thousand goes, the core copies one
// piece, and not all.
const chunkSize = 256

// list adds a predicate set to the list for the index.
func (n *predicateSets) list(ps *predicateSet) {
	last := len(n.listed) - 1
	if last < 0 || len(n.listed[last]) == chunkSize {
		n.listed = append(n.listed, nil)
		last++
	}
	n.listed[last] = append(n.listed[last], Candidate{ps.predicate, ps.cost, ps})
	ps.chunk = last
	n.numListed++
}

// chunks returns the list for the index. Chunks with predicates that have gone are made anew: publishers hold the old ones.
func (n *predicateSets) chunks() [][]Candidate {
	if n.numListed < len(n.listed)*chunkSize/4 {
		all := slices.Concat(n.listed...)
		n.listed, n.numListed, n.stale = nil, 0, nil
		for _, c := range all {
			if c.set.used() {
				n.list(c.set)
			}
		}
	}
	slices.Sort(n.stale)
	for _, i := range slices.Compact(n.stale) {
		n.listed[i] = slices.DeleteFunc(slices.Clone(n.listed[i]), func(c Candidate) bool { return !c.set.used() })
	}
	n.stale = n.stale[:0]
	return slices.Clone(n.listed)
}

// used reports whether the predicate set has a member, or a subscriber waits for it.
func (ps *predicateSet) used() bool { return ps.members.size > 0 || ps.claims > 0 }
