package broker

import (
	"iter"
	"slices"
)

// Subscriber is the core's view of one connection: what it holds. It is made outside, submits itself with its first
// batch, and from then on belongs to the core's goroutine until [Owner.Ended].
type Subscriber struct {
	owner   Owner
	held    list[*Subscription] // in subscription order
	index   map[heldKey]*Subscription
	counts  [Forms][kinds]int32
	why     any   // if it is over, the call of who asked for that
	reached reach // by the run in flight
	ended   bool  // nothing more is applied for it
	leaving bool  // nothing is but the rest of a Leave, and an Evict
	over    bool  // to be evicted before the next request
	dirty   bool  // in Broker.dirty: a Flush is owed

	conditions int32                       // how many of what it holds have predicates
	weight     int                         // of those conditions together
	narrow     map[heldKey][]*Subscription // those, by the topic alone
	parked     *Batch                      // what must be applied before anything else of it: see park.go
}

// heldKey finds a subscriber's own subscription. Its index is what makes leaving cost what is held, not what exists.
type heldKey struct {
	name string
	kind Kind
	form Form
}

// NewSubscriber makes the record that the core will keep for o. It costs the core nothing until a batch comes from it.
func NewSubscriber(o Owner) *Subscriber {
	s := &Subscriber{owner: o}
	s.held.moved = movedHeld
	return s
}

// Count is the number that Redis puts into a confirmation of this kind: topics and patterns are counted together,
// shards by themselves. Only for Owner methods: it is the core's state.
func (s *Subscriber) Count(f Form, k Kind) int {
	if k == Shard {
		return int(s.counts[f][Shard])
	}
	return int(s.counts[f][Topic] + s.counts[f][Pattern])
}

// CountKind is what the subscriber holds of one kind alone.
func (s *Subscriber) CountKind(f Form, k Kind) int { return int(s.counts[f][k]) }

// Holdings is how many subscriptions the subscriber has, of all kinds and forms.
func (s *Subscriber) Holdings() int { return s.held.live }

// Conditions is how many of them have a predicate.
func (s *Subscriber) Conditions() int { return int(s.conditions) }

// Weight is that of their conditions together.
func (s *Subscriber) Weight() int { return s.weight }

// Holds tells whether it has one.
func (s *Subscriber) Holds(k Kind, f Form, name []byte) bool { return s.holds(k, f, name) != nil }

// Held yields the subscriptions in the order in which they were made. Only for Owner methods: it is the core's state.
func (s *Subscriber) Held() iter.Seq[*Subscription] {
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
		c := Condition{Topic: len(name)}
		if r.Conditions != nil && r.Conditions[i].Predicate != nil {
			c = r.Conditions[i]
		}
		b.subscribe(s, r.Kind, r.Form, name, c)
		s.owner.Subscribed(r, name, s.Count(r.Form, r.Kind))
	}
	b.work += len(r.Names)
}

// subscribe adds one subscription; a repeated one changes nothing.
func (b *Broker) subscribe(s *Subscriber, k Kind, f Form, name []byte, c Condition) {
	if s.holds(k, f, name) != nil {
		return
	}
	a := b.open(k, name[:c.Topic])
	sub := &Subscription{Form: f, to: a, by: s}
	if c.Predicate == nil {
		if a.members.add(sub); a.members.live == 1 && k == Pattern {
			b.patterned++
		}
		sub.since = a.published
	} else {
		b.narrowTo(sub, c, name)
	}
	s.held.add(sub)
	if s.held.live == 1 {
		b.subscribers++
	}
	s.enter(sub)
	s.counts[f][k]++
}

// few is up to how many subscriptions are found by walking over them. Most connections hold one or two, and a map for
// them cost half a KiB.
const few = 8

// holds returns the subscription to a name, or nil.
func (s *Subscriber) holds(k Kind, f Form, name []byte) *Subscription {
	if s.index != nil {
		return s.index[heldKey{string(name), k, f}]
	}
	for _, sub := range s.held.items {
		if sub != nil && sub.to.kind == k && sub.Form == f && sub.Name() == string(name) {
			return sub
		}
	}
	return nil
}

// enter makes the subscription just added to held one that is found quickly when there are many.
func (s *Subscriber) enter(sub *Subscription) {
	if s.index != nil {
		s.index[heldKey{sub.Name(), sub.to.kind, sub.Form}] = sub // the audience's copy of the name, shared by all who hold it
		return
	}
	if s.held.live <= few {
		return
	}
	s.index = make(map[heldKey]*Subscription)
	for _, held := range s.held.items {
		if held != nil {
			s.enter(held)
		}
	}
}

// narrowTo gives a subscription its predicate.
func (b *Broker) narrowTo(sub *Subscription, condition Condition, name []byte) {
	a, s := sub.to, sub.by
	c := b.openCircle(a, condition, name)
	sub.in = &seat{c, c.of.reached, c.said}
	c.members.add(sub)
	a.narrow.members++
	if s.narrow == nil {
		s.narrow = make(map[heldKey][]*Subscription)
	}
	key := heldKey{a.name, a.kind, sub.Form}
	s.narrow[key] = append(s.narrow[key], sub)
	s.conditions++
	s.weight += c.weight
}

// widen forgets that a subscription had a predicate.
func (s *Subscriber) widen(sub *Subscription) {
	key := heldKey{sub.to.name, sub.to.kind, sub.Form}
	rest := s.narrow[key]
	i := slices.Index(rest, sub)
	if rest = slices.Delete(rest, i, i+1); len(rest) > 0 {
		s.narrow[key] = rest
	} else {
		delete(s.narrow, key)
	}
	s.conditions--
	s.weight -= sub.in.circle.weight
}

// dropNarrow ends all subscriptions to a name that have predicates.
func (b *Broker) dropNarrow(s *Subscriber, r *Request, name []byte) {
	for _, sub := range slices.Clone(s.narrow[heldKey{string(name), r.Kind, r.Form}]) {
		b.drop(sub)
	}
}

// drop ends one subscription in every index at once.
func (b *Broker) drop(sub *Subscription) {
	s, a := sub.by, sub.to
	delete(s.index, heldKey{sub.Name(), a.kind, sub.Form})
	if sub.in != nil {
		s.widen(sub)
	}
	s.held.remove(int(sub.inHeld))
	s.counts[sub.Form][a.kind]--
	b.leave(sub)
	if s.held.live == 0 {
		s.index, s.held.items, s.narrow = nil, nil, nil // a connection that listens to nothing costs nothing here
		b.subscribers--
	}
}

// dropSome ends at most so many subscriptions, and reports whether none is left. The walk is over the array that was
// there at its start: should the list be squeezed meanwhile, what is still to come stands there unchanged.
func (b *Broker) dropSome(s *Subscriber, most int) (none bool) {
	for _, sub := range s.held.items {
		if s.held.live == 0 || most == 0 {
			break
		}
		if sub != nil {
			b.drop(sub)
			b.work++
			most--
		}
	}
	return s.held.live == 0
}
