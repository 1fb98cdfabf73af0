package broker

import (
	"iter"
	"slices"
)

// Subscriber is the core's view of one connection: what it holds. It is made outside, submits itself with its first
// batch, and from then on belongs to the core's goroutine until [Conn.Ended].
type Subscriber struct {
	conn       Conn
	held       orderedSet[*Subscription] // in subscription order
	byKey      map[subscriptionKey]*Subscription
	counts     [Forms][kinds]int32
	evictTag   any        // if it is to be evicted, the tag of the request
	runMatches runMatches // by the run in flight
	ended      bool       // nothing more is applied for it
	leaving    bool       // nothing is but the rest of a Leave, and an Evict
	evicting   bool       // to be evicted before the next request
	dirty      bool       // in Broker.dirty: a Flush is owed

	numFiltered int32                               // how many of what it holds have predicates
	filterCost  int                                 // of those conditions together
	filtered    map[subscriptionKey][]*Subscription // those, by the topic alone
	parked      *Batch                              // what must be applied before anything else of it: see park.go
}

// subscriptionKey finds a subscriber's own subscription. Its index is what makes leaving cost what is held, not what exists.
type subscriptionKey struct {
	name string
	kind Kind
	form Form
}

// NewSubscriber makes the record that the core will keep for o. It costs the core nothing until a batch comes from it.
func NewSubscriber(c Conn) *Subscriber {
	s := &Subscriber{conn: c}
	s.held.onMove = heldMoved
	return s
}

// Count is the number that Redis puts into a confirmation of this kind: topics and patterns are counted together,
// shards by themselves. Only for Conn methods: it is the core's state.
func (s *Subscriber) Count(f Form, k Kind) int {
	if k == Shard {
		return int(s.counts[f][Shard])
	}
	return int(s.counts[f][Topic] + s.counts[f][Pattern])
}

// CountKind is what the subscriber holds of one kind alone.
func (s *Subscriber) CountKind(f Form, k Kind) int { return int(s.counts[f][k]) }

// NumSubscriptions is how many subscriptions the subscriber has, of all kinds and forms.
func (s *Subscriber) NumSubscriptions() int { return s.held.size }

// NumFiltered is how many of them have a predicate.
func (s *Subscriber) NumFiltered() int { return int(s.numFiltered) }

// FilterCost is that of their conditions together.
func (s *Subscriber) FilterCost() int { return s.filterCost }

// Holds tells whether it has one.
func (s *Subscriber) Holds(k Kind, f Form, name []byte) bool { return s.find(k, f, name) != nil }

// Subscriptions yields the subscriptions in the order in which they were made. Only for Conn methods: it is the core's state.
func (s *Subscriber) Subscriptions() iter.Seq[*Subscription] {
	return func(yield func(*Subscription) bool) {
		for _, sub := range s.held.items {
			if sub != nil && !yield(sub) {
				return
			}
		}
	}
}

// subscribeAll adds the subscriptions asked for, and confirms each.
func (b *Broker) subscribeAll(s *Subscriber, r *Request) {
	for i, name := range r.Names {
		filter := Filter{TopicLen: len(name)}
		if r.Filters != nil && r.Filters[i].Predicate != nil {
			filter = r.Filters[i]
		}
		b.subscribe(s, r.Kind, r.Form, name, filter)
		s.conn.Subscribed(r, name, s.Count(r.Form, r.Kind))
	}
	b.work += len(r.Names)
}

// subscribe adds one subscription; a repeated one changes nothing.
func (b *Broker) subscribe(s *Subscriber, k Kind, f Form, name []byte, filter Filter) {
	if s.find(k, f, name) != nil {
		return
	}
	set := b.getOrCreate(k, name[:filter.TopicLen])
	sub := &Subscription{Form: f, set: set, subscriber: s}
	if filter.Predicate == nil {
		if set.members.add(sub); set.members.size == 1 && k == Pattern {
			b.patternCount++
		}
		sub.publishedAtStart = set.published
	} else {
		b.attachFilter(sub, filter, name)
	}
	s.held.add(sub)
	if s.held.size == 1 {
		b.subscriberCount++
	}
	s.addToIndex(sub)
	s.counts[f][k]++
}

// indexThreshold is up to how many subscriptions are found by walking over them. Most connections hold one or two, and a map for
// them cost half a KiB.
const indexThreshold = 8

// find returns the subscription to a name, or nil.
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

// addToIndex makes the subscription just added to held one that is found quickly when there are many.
func (s *Subscriber) addToIndex(sub *Subscription) {
	if s.byKey != nil {
		s.byKey[subscriptionKey{sub.Name(), sub.set.kind, sub.Form}] = sub // the subscriber set's copy of the name, shared by all who hold it
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

// attachFilter gives a subscription its predicate.
func (b *Broker) attachFilter(sub *Subscription, filter Filter, name []byte) {
	set, s := sub.set, sub.subscriber
	ps := b.predicateSetFor(set, filter, name)
	sub.membership = &setMembership{ps, ps.parent.published, ps.counts}
	ps.members.add(sub)
	set.filters.size++
	if s.filtered == nil {
		s.filtered = make(map[subscriptionKey][]*Subscription)
	}
	key := subscriptionKey{set.name, set.kind, sub.Form}
	s.filtered[key] = append(s.filtered[key], sub)
	s.numFiltered++
	s.filterCost += ps.cost
}

// detachFilter forgets that a subscription had a predicate.
func (s *Subscriber) detachFilter(sub *Subscription) {
	key := subscriptionKey{sub.set.name, sub.set.kind, sub.Form}
	rest := s.filtered[key]
	i := slices.Index(rest, sub)
	if rest = slices.Delete(rest, i, i+1); len(rest) > 0 {
		s.filtered[key] = rest
	} else {
		delete(s.filtered, key)
	}
	s.numFiltered--
	s.filterCost -= sub.membership.predicateSet.cost
}

// dropFiltered ends all subscriptions to a name that have predicates.
func (b *Broker) dropFiltered(s *Subscriber, r *Request, name []byte) {
	for _, sub := range slices.Clone(s.filtered[subscriptionKey{string(name), r.Kind, r.Form}]) {
		b.drop(sub)
	}
}

// drop ends one subscription in every index at once.
func (b *Broker) drop(sub *Subscription) {
	s, set := sub.subscriber, sub.set
	delete(s.byKey, subscriptionKey{sub.Name(), set.kind, sub.Form})
	if sub.membership != nil {
		s.detachFilter(sub)
	}
	s.held.remove(int(sub.heldIndex))
	s.counts[sub.Form][set.kind]--
	b.remove(sub)
	if s.held.size == 0 {
		s.byKey, s.held.items, s.filtered = nil, nil, nil // a connection that listens to nothing costs nothing here
		b.subscriberCount--
	}
}

// dropSome ends at most so many subscriptions, and reports whether none is left. The walk is over the array that was
// there at its start: should it be compacted meanwhile, what is still to come stands there unchanged.
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
