package broker

// subscriberSet is everyone who subscribed to one name: a topic or a pattern. It exists while it has a member.
type subscriberSet struct {
	name    string
	kind    Kind
	members orderedSet[*Subscription] // those without a predicate, in subscription order, which is the order of delivery
	entry   *patternEntry             // what Broker.patterns knows of it, for a pattern
	filters *predicateSets            // those with one, who come behind the others; nil while there are none

	published uint64 // messages that reached the name since it has had a member
}

// Subscription joins one subscriber to one name. Owned by the core; a Conn may read it during a call. It fills one cache
// line, which is what a delivery to a thousand of them waits for.
type Subscription struct {
	Form             Form
	Data             any // the connection's own, which the core does not look at; the connection may set it in [Conn.Deliver]
	set              *subscriberSet
	membership       *setMembership // if it has a predicate
	subscriber       *Subscriber
	setIndex         int32  // its place in the members of its predicate set, or of to
	heldIndex        int32  // its place in by.held
	publishedAtStart uint64 // messages that had come to the name before it; see setMembership for who has a predicate
}

// setMembership is a subscription's place in a predicate set.
type setMembership struct {
	predicateSet     *predicateSet
	publishedAtStart uint64      // what had come to predicateSet.parent before it
	countsAtStart    matchCounts // what the predicate had said before it
}

// Kind tells whether the subscription is to a topic or to a pattern.
func (s *Subscription) Kind() Kind { return s.set.kind }

// Name is what was subscribed to, as it was given: a topic or a glob, and perhaps a predicate.
func (s *Subscription) Name() string {
	if s.membership != nil {
		return s.membership.predicateSet.name
	}
	return s.set.name
}

// Topic is the topic or the glob in the name.
func (s *Subscription) Topic() string { return s.set.name }

// Filtered tells whether the subscription has a predicate.
func (s *Subscription) Filtered() bool { return s.membership != nil }

// SubscriptionStats is what has come to a subscription since it was made.
type SubscriptionStats struct {
	Published  uint64 // messages to its topics
	Matched    uint64 // of these, those queued for it, or dropped at once
	Filtered   uint64 // of these, those that its predicate kept back: the rest
	Unreadable uint64 // of the filtered, those that lacked what the predicate reads
}

// Stats counts. It is the core's state: only for Conn methods.
func (s *Subscription) Stats() SubscriptionStats {
	if s.membership == nil {
		n := s.set.published - s.publishedAtStart
		return SubscriptionStats{Published: n, Matched: n}
	}
	ps := s.membership.predicateSet
	stats := SubscriptionStats{
		Published: ps.parent.published - s.membership.publishedAtStart, Matched: ps.counts.matched - s.membership.countsAtStart.matched,
		Unreadable: ps.counts.unreadable - s.membership.countsAtStart.unreadable,
	}
	stats.Filtered = stats.Published - stats.Matched
	return stats
}

// Conn is who gets its messages.
func (s *Subscription) Conn() Conn { return s.subscriber.conn }

// size is how many subscriptions there are to the name.
func (set *subscriberSet) size() int {
	if set.filters == nil {
		return set.members.size
	}
	return set.members.size + set.filters.size
}

func memberMoved(s *Subscription, place int) { s.setIndex = int32(place) }  //nolint:gosec // memory ends before that does
func heldMoved(s *Subscription, place int)   { s.heldIndex = int32(place) } //nolint:gosec // the same

// lookup returns the subscriber set of a name, or nil.
func (b *Broker) lookup(k Kind, name []byte) *subscriberSet {
	return b.sets[k][string(name)] // no allocation: the compiler sees that the string does not outlive the look-up
}

// getOrCreate returns the subscriber set of a name, which it makes if need be. The name is copied then.
func (b *Broker) getOrCreate(k Kind, name []byte) *subscriberSet {
	if set := b.lookup(k, name); set != nil {
		return set
	}
	set := &subscriberSet{name: string(name), kind: k}
	set.members.onMove = memberMoved
	b.sets[k][set.name] = set
	if k == Pattern {
		b.patterns.add(set)
	}
	return set
}

// remove takes s out of its subscriber set, and frees the subscriber set with its last member: nobody can fill the memory with
// names that no one listens to.
func (b *Broker) remove(sub *Subscription) {
	set := sub.set
	if sub.membership != nil {
		b.removeFromPredicateSet(sub)
	} else if set.members.remove(int(sub.setIndex)); set.members.size == 0 && set.kind == Pattern {
		b.patternCount--
	}
	if set.members.size > 0 || set.filters != nil {
		return
	}
	delete(b.sets[set.kind], set.name)
	if set.kind == Pattern {
		b.patterns.remove(set)
	}
}
