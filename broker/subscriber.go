package broker

import (
	"iter"
	"slices"
)

// Subscriber is the core's record of one connection: its subscriptions. The connection makes it; from the first batch on it
// belongs to the core's goroutine, until [Conn.Ended].
type Subscriber struct {
	ID         int64 // the connection's own; it may set it before the first batch
	conn       Conn
	held       orderedSet[*Subscription] // in subscription order
	byKey      map[subscriptionKey]*Subscription
	counts     [Forms][kinds]int32
	evictTag   any        // if it is to be evicted, the tag of the request
	runMatches runMatches // for the run in flight
	ended      bool       // no request of it is applied any more
	leaving    bool       // only the rest of its Leave, and an Evict, are still applied
	evicting   bool       // to be evicted before the next request
	dirty      bool       // in Broker.dirty: a Flush is owed

	numFiltered int32                               // subscriptions with a predicate
	filterCost  int                                 // of those filters together
	byTopic     map[subscriptionKey][]*Subscription // those whose name is more than the topic or glob, by that alone; nil while there are none
	parked      *Batch                              // the batch whose Subscribe waits: see grace.go
}

// subscriptionKey identifies a subscription among those of its subscriber. Looking there, and not in the subscriber set of the
// name, makes an unsubscribe cost the same for a topic with one subscriber and with a million.
type subscriptionKey struct {
	name string
	kind Kind
	form Form
}

// NewSubscriber makes the record of c. The core does not know it before its first batch.
func NewSubscriber(c Conn) *Subscriber {
	s := new(Subscriber)
	s.Init(c)
	return s
}

// Init makes s the subscriber of a connection. A connection that has its subscriber inside saves an allocation.
func (s *Subscriber) Init(c Conn) {
	s.conn = c
	s.held.onMove = heldMoved
}

// Count is the number in a confirmation of this kind: as in Redis, topics and patterns are counted together, shards by
// themselves. Only for Conn methods: it is the core's state, as in the methods below.
func (s *Subscriber) Count(f Form, k Kind) int {
	if k == Shard {
		return int(s.counts[f][Shard])
	}
	return int(s.counts[f][Topic] + s.counts[f][Pattern])
}

// CountKind is the number of subscriptions of one kind and form.
func (s *Subscriber) CountKind(f Form, k Kind) int { return int(s.counts[f][k]) }

// NumSubscriptions is the number of subscriptions of all kinds and forms.
func (s *Subscriber) NumSubscriptions() int { return s.held.size }

// NumFiltered is the number of subscriptions with a predicate.
func (s *Subscriber) NumFiltered() int { return int(s.numFiltered) }

// FilterCost is the sum of Filter.Cost over the subscriptions with a predicate.
func (s *Subscriber) FilterCost() int { return s.filterCost }

// Holds reports whether the subscriber has a subscription to name.
func (s *Subscriber) Holds(k Kind, f Form, name []byte) bool { return s.find(k, f, name) != nil }

// Subscriptions yields the subscriptions in the order in which they were made.
func (s *Subscriber) Subscriptions() iter.Seq[*Subscription] {
	return func(yield func(*Subscription) bool) {
		for _, sub := range s.held.items {
			if sub != nil && !yield(sub) {
				return
			}
		}
	}
}

// subscribeAll subscribes to each name and confirms it before the next: each name is an instant of its own (clause 2).
func (b *Broker) subscribeAll(s *Subscriber, r *Request) {
	for i, name := range r.Names {
		filter := Filter{TopicLen: len(name)}
		if r.Filters != nil && r.Filters[i] != (Filter{}) {
			filter = r.Filters[i]
		}
		b.subscribe(s, r, i, filter)
		s.conn.Subscribed(r, name, s.Count(r.Form, r.Kind))
	}
	if r.Waited {
		b.unclaim(r)
	}
	b.work += len(r.Names)
}

// subscribe adds one subscription to every index. A repeated one changes nothing.
func (b *Broker) subscribe(s *Subscriber, r *Request, i int, filter Filter) {
	k, f, name := r.Kind, r.Form, r.Names[i]
	if s.find(k, f, name) != nil {
		return
	}
	sub := &Subscription{Form: f, set: b.getOrCreate(k, name[:filter.TopicLen]), subscriber: s}
	if len(name) > filter.TopicLen {
		var ps *predicateSet
		if filter.Predicate != nil {
			ps = b.findSet(r, i)
		}
		s.attachFilter(sub, name, ps)
	}
	if filter.Start != nil && s.conn.Deferred(sub, filter.Start, b.sequence, View{b}) {
		b.deferJoin(sub)
	} else {
		b.join(sub)
	}
	s.held.add(sub)
	if s.held.size == 1 {
		b.subscriberCount++
	}
	s.addToIndex(sub)
	s.counts[f][k]++
}

// join adds a subscription to the members of its name: messages reach it from this instant on.
func (b *Broker) join(sub *Subscription) {
	set := sub.set
	if sub.Filtered() {
		ps := sub.membership.predicateSet
		sub.membership.publishedAtStart, sub.membership.countsAtStart = ps.parent.published, ps.counts
		b.addMember(sub)
		return
	}
	if set.members.add(sub); set.members.size == 1 && set.kind == Pattern {
		b.patternCount++
	}
	sub.publishedAtStart = set.published
}

// indexThreshold is the number of subscriptions up to which find walks over them. Most connections hold one or two, and a map
// for those cost half a KiB.
const indexThreshold = 8

// find returns the subscription to a name, predicate and all, or nil.
func (s *Subscriber) find(k Kind, f Form, name []byte) *Subscription {
	if s.byKey != nil {
		return s.byKey[subscriptionKey{string(name), k, f}]
	}
	for _, sub := range s.held.items {
		if sub != nil && sub.set.kind == k && sub.Form == f && sub.Name() == string(name) {
			return sub
		}
	}
	return nil
}

// addToIndex adds a subscription that is in held to byKey, which exists from indexThreshold on and stays.
func (s *Subscriber) addToIndex(sub *Subscription) {
	if s.byKey != nil {
		s.byKey[subscriptionKey{sub.Name(), sub.set.kind, sub.Form}] = sub // the set's copy of the name, shared by all its subscriptions
		return
	}
	if s.held.size <= indexThreshold {
		return
	}
	s.byKey = make(map[subscriptionKey]*Subscription)
	for _, held := range s.held.items {
		if held != nil {
			s.addToIndex(held)
		}
	}
}

// attachFilter keeps what the name of a subscription is besides its topic: a predicate, if ps is not nil, of whose set it is no
// member yet.
func (s *Subscriber) attachFilter(sub *Subscription, name []byte, ps *predicateSet) {
	m := &setMembership{predicateSet: ps}
	if ps != nil && ps.name == string(name) {
		m.name = ps.name // most members share one copy
	} else {
		m.name = string(name)
	}
	sub.membership = m
	if s.byTopic == nil {
		s.byTopic = make(map[subscriptionKey][]*Subscription)
	}
	key := subscriptionKey{sub.set.name, sub.set.kind, sub.Form}
	s.byTopic[key] = append(s.byTopic[key], sub)
	if ps != nil {
		s.numFiltered++
		s.filterCost += ps.cost
	}
}

// detachFilter takes a subscription out of byTopic. remove takes it out of its predicate set.
func (s *Subscriber) detachFilter(sub *Subscription) {
	key := subscriptionKey{sub.set.name, sub.set.kind, sub.Form}
	rest := s.byTopic[key]
	i := slices.Index(rest, sub)
	if rest = slices.Delete(rest, i, i+1); len(rest) > 0 {
		s.byTopic[key] = rest
	} else {
		delete(s.byTopic, key)
	}
	if sub.Filtered() {
		s.numFiltered--
		s.filterCost -= sub.membership.predicateSet.cost
	}
}

// dropFiltered drops all subscriptions whose name is that topic and something more.
func (b *Broker) dropFiltered(s *Subscriber, r *Request, name []byte) {
	for _, sub := range slices.Clone(s.byTopic[subscriptionKey{string(name), r.Kind, r.Form}]) {
		b.drop(sub)
	}
}

// drop takes one subscription out of every index at once. All ways to end a subscription come here.
func (b *Broker) drop(sub *Subscription) {
	s, set := sub.subscriber, sub.set
	delete(s.byKey, subscriptionKey{sub.Name(), set.kind, sub.Form})
	if sub.membership != nil {
		s.detachFilter(sub)
	}
	s.held.remove(int(sub.heldIndex))
	s.counts[sub.Form][set.kind]--
	b.remove(sub)
	sub.state = dropped
	if s.held.size == 0 {
		s.byKey, s.held.items, s.byTopic = nil, nil, nil // without subscriptions a connection costs the core no memory
		b.subscriberCount--
	}
}

// dropSome drops limit subscriptions at most, and reports whether none is left. The walk is over the array that was there at
// its start: compact copies to another array, so the items still to come stay where they are.
func (b *Broker) dropSome(s *Subscriber, limit int) (none bool) {
	for _, sub := range s.held.items {
		if s.held.size == 0 || limit == 0 {
			break
		}
		if sub != nil {
			b.drop(sub)
			b.work++
			limit--
		}
	}
	return s.held.size == 0
}
