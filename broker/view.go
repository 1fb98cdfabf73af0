package broker

import (
	"iter"
	"slices"
)

// View is a look at the core, valid during the [Owner.Answer] call that got it and nowhere else.
type View struct{ b *Broker }

// Evict ends a subscriber as soon as the request being answered is done, as an Evict request with that call would.
// It is not ended twice.
func (v View) Evict(s *Subscriber, call any) { v.b.condemn(s, call) }

// Counts are the core's own numbers at one instant.
type Counts struct {
	Topics      int    // names with at least one exact subscription
	Shards      int    // the same for shards
	Patterns    int    // distinct patterns subscribed to, predicates and all
	Subscribers int    // subscribers that hold at least one subscription
	Published   uint64 // messages taken since the start: the place of the last in the one order
	Matched     uint64 // messages times the subscriptions that they were queued to, since the start
	Filtered    uint64 // messages times the subscriptions whose predicate kept them back
	Unreadable  uint64 // those of them that lacked what the predicate reads
	Predicates  int    // distinct names with a predicate
	Waiting     int    // batches in the inbox just now
}

// Counts takes all numbers of one instant.
func (v View) Counts() Counts {
	return Counts{
		Topics:      len(v.b.audiences[Topic]),
		Shards:      len(v.b.audiences[Shard]),
		Patterns:    v.b.patterned,
		Filtered:    v.b.filtered,
		Unreadable:  v.b.unreadable,
		Predicates:  v.b.circles,
		Subscribers: v.b.subscribers,
		Published:   v.b.sequence,
		Matched:     v.b.matches,
		Waiting:     len(v.b.inbox),
	}
}

// Names yields every topic, pattern or shard that is subscribed to, in no order, each with how many messages have come
// to it since its first subscription.
func (v View) Names(k Kind) iter.Seq2[string, uint64] {
	return func(yield func(string, uint64) bool) {
		for name, a := range v.b.audiences[k] {
			if !yield(name, a.published) {
				return
			}
		}
	}
}

// Subscriptions yields those to one name, those with a predicate last, each group in the order of delivery.
func (v View) Subscriptions(k Kind, name string) iter.Seq[*Subscription] {
	return func(yield func(*Subscription) bool) {
		if a := v.b.audiences[k][name]; a != nil {
			a.each(yield)
		}
	}
}

// Reached yields the subscriptions that a message to a topic, or to a shard, is held against now, in the order of
// delivery.
func (v View) Reached(k Kind, topic []byte) iter.Seq[*Subscription] {
	return func(yield func(*Subscription) bool) {
		v.b.match(k, topic)
		reached := slices.Clone(v.b.matched)
		v.b.letGo()
		for _, a := range reached {
			if !a.each(yield) {
				return
			}
		}
	}
}

// each walks over all subscriptions to the name. False means that yield wanted no more.
func (a *audience) each(yield func(*Subscription) bool) bool {
	walk := func(members *list[*Subscription]) bool {
		for _, s := range members.items {
			if s != nil && !yield(s) {
				return false
			}
		}
		return true
	}
	if !walk(&a.members) {
		return false
	}
	if a.narrow == nil {
		return true
	}
	for _, c := range a.narrow.circles.items {
		if c != nil && !walk(&c.members) {
			return false
		}
	}
	return true
}

// Members is how many subscriptions one name has.
func (v View) Members(k Kind, name []byte) int {
	if a := v.b.find(k, name); a != nil {
		return a.live()
	}
	return 0
}
