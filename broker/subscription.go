package broker

// subscriberSet holds all subscriptions to one name of one kind. It exists while it has a member: names without subscribers
// take no memory.
type subscriberSet struct {
	name    string
	kind    Kind
	members orderedSet[*Subscription] // those without a predicate, in the order of subscription and of delivery
	entry   *patternEntry             // its place in Broker.patterns; nil unless kind is Pattern
	filters *predicateSets            // those with a predicate, delivered after the others; nil while there are none
	waiting *deferredSet              // those that have not joined, with a predicate or without; nil while there are none

	published uint64 // messages to the name since it has had a member
	last      uint64 // the number of the last one of these
	publisher int64  // the Subscriber.ID of its publisher
}

// countPublished counts messages to the name, the last of which has that number.
func (set *subscriberSet) countPublished(messages int, last uint64, publisher *Subscriber) {
	set.published += uint64(messages) //nolint:gosec // a count
	set.last, set.publisher = last, publisher.ID
}

// Subscription joins one subscriber to one name. The core owns it; a Conn may read it during a call. It fills one cache line:
// a delivery to a thousand subscriptions mostly waits for those lines.
type Subscription struct {
	Form             Form
	state            subscriptionState
	Data             any // the connection's own; the connection may set it in [Conn.Deliver] and [Replayer.Deferred]
	set              *subscriberSet
	membership       *setMembership // nil if the name is the topic
	subscriber       *Subscriber
	setIndex         int32  // its index in the members of its predicate set, or of set; or in set.waiting
	heldIndex        int32  // its index in subscriber.held
	publishedAtStart uint64 // messages to the name before it; unused with a predicate
}

// subscriptionState is what becomes of a subscription.
type subscriptionState uint8

const (
	joined   subscriptionState = iota // it gets messages
	deferred                          // it waits for its Join
	dropped
)

// setMembership is what a subscription has if its name is more than its topic. The counters at its start make its own
// statistics, so that a message counts once for the whole predicate set.
type setMembership struct {
	name             string        // as subscribed to
	predicateSet     *predicateSet // nil without a predicate
	publishedAtStart uint64        // messages to the name before it
	countsAtStart    matchCounts   // verdicts before it
}

// Kind is the name space of the subscription.
func (s *Subscription) Kind() Kind { return s.set.kind }

// Name is the name as the connection subscribed to it: a topic or a glob, and perhaps a predicate.
func (s *Subscription) Name() string {
	if s.membership != nil {
		return s.membership.name
	}
	return s.set.name
}

// Topic is the topic or the glob of the name, without the predicate.
func (s *Subscription) Topic() string { return s.set.name }

// Filtered reports whether the subscription has a predicate.
func (s *Subscription) Filtered() bool {
	return s.membership != nil && s.membership.predicateSet != nil
}

// Joined reports whether the core delivers to the subscription: one that starts in the past joins later.
func (s *Subscription) Joined() bool { return s.state == joined }

// SubscriptionStats are the counters of a subscription since it was made.
type SubscriptionStats struct {
	Published  uint64 // messages to its topics
	Matched    uint64 // of these, those handed to Conn.Deliver
	Filtered   uint64 // the rest: those that its predicate rejected
	Unreadable uint64 // of these, those that lacked a field that the predicate reads
}

// Stats computes the counters. Only for Conn methods: it reads the core's state.
func (s *Subscription) Stats() SubscriptionStats {
	switch {
	case s.state != joined:
		return SubscriptionStats{}
	case !s.Filtered():
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

// LastNumbers are numbers of messages: the last one to the topics of a subscription since it has joined, the last one of those
// that were handed to Conn.Deliver, and of those that its predicate rejected. 0 stands for none.
type LastNumbers struct{ Published, Matched, Filtered uint64 }

// Last computes the numbers. Only for Conn methods: it reads the core's state.
func (s *Subscription) Last() (n LastNumbers) {
	stats := s.Stats()
	if stats.Published > 0 {
		n.Published = s.set.last
	}
	if !s.Filtered() {
		n.Matched = n.Published
		return n
	}
	ps := s.membership.predicateSet
	if stats.Matched > 0 {
		n.Matched = ps.last
	}
	switch {
	case stats.Filtered == 0:
	case s.set.last > ps.last:
		n.Filtered = s.set.last
	default:
		n.Filtered = ps.lastFiltered
	}
	return n
}

// Conn is the connection that gets the messages.
func (s *Subscription) Conn() Conn { return s.subscriber.conn }

// size is the number of subscriptions to the name, with a predicate or without.
func (set *subscriberSet) size() int {
	size := set.members.size
	if set.filters != nil {
		size += set.filters.size
	}
	if set.waiting != nil {
		size += set.waiting.size
	}
	return size
}

func memberMoved(s *Subscription, index int) { s.setIndex = int32(index) }  //nolint:gosec // memory ends before that does
func heldMoved(s *Subscription, index int)   { s.heldIndex = int32(index) } //nolint:gosec // the same

// lookup returns the subscriber set of a name, or nil.
func (b *Broker) lookup(k Kind, name []byte) *subscriberSet {
	return b.sets[k][string(name)] // no allocation: the compiler sees that the string does not outlive the look-up
}

// getOrCreate returns the subscriber set of a name. A new one copies the name: the caller's bytes are only valid for the batch.
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

// remove takes sub out of its subscriber set, and the set out of the core with its last member, so that names that have lost
// their subscribers cannot fill the memory.
func (b *Broker) remove(sub *Subscription) {
	set := sub.set
	switch {
	case sub.state == deferred:
		b.removeDeferred(sub)
	case sub.Filtered():
		b.removeMember(sub)
	default:
		if set.members.remove(int(sub.setIndex)); set.members.size == 0 && set.kind == Pattern {
			b.patternCount--
		}
	}
	if set.members.size > 0 || set.filters != nil || set.waiting != nil {
		return
	}
	delete(b.sets[set.kind], set.name)
	if set.kind == Pattern {
		b.patterns.remove(set)
	}
}
