package broker

import (
	"iter"
	"slices"
)

// View is a look at the core, valid during the [Conn.Reply] call that got it and nowhere else.
type View struct{ b *Broker }

// Evict ends a subscriber as soon as the request being answered is done, as an Evict request with that call would.
// It is not ended twice.
func (v View) Evict(s *Subscriber, tag any) { v.b.scheduleEviction(s, tag) }

// Stats are the core's own numbers at one instant.
type Stats struct {
	Topics      int    // names with at least one exact subscription
	Shards      int    // the same for shards
	Patterns    int    // distinct patterns subscribed to, predicates and all
	Subscribers int    // subscribers that hold at least one subscription
	Published   uint64 // messages taken since the start: the place of the last in the one order
	Matched     uint64 // messages times the subscriptions that they were queued to, since the start
	Filtered    uint64 // messages times the subscriptions whose predicate kept them back
	Unreadable  uint64 // those of them that lacked what the predicate reads
	Predicates  int    // distinct names with a predicate
	InboxLen    int    // batches in the inbox just now
}

// Stats takes all numbers of one instant.
func (v View) Stats() Stats {
	return Stats{
		Topics:      len(v.b.sets[Topic]),
		Shards:      len(v.b.sets[Shard]),
		Patterns:    v.b.patternCount,
		Filtered:    v.b.filteredCount,
		Unreadable:  v.b.unreadableCount,
		Predicates:  v.b.predicateCount,
		Subscribers: v.b.subscriberCount,
		Published:   v.b.sequence,
		Matched:     v.b.deliveries,
		InboxLen:    len(v.b.inbox),
	}
}

// Names yields every topic, pattern or shard that is subscribed to, in no order, each with how many messages have come
// to it since its first subscription.
func (v View) Names(k Kind) iter.Seq2[string, uint64] {
	return func(yield func(string, uint64) bool) {
		for name, set := range v.b.sets[k] {
			if !yield(name, set.published) {
				return
			}
		}
	}
}

// Subscriptions yields those to one name, those with a predicate last, each group in the order of delivery.
func (v View) Subscriptions(k Kind, name string) iter.Seq[*Subscription] {
	return func(yield func(*Subscription) bool) {
		if set := v.b.sets[k][name]; set != nil {
			set.each(yield)
		}
	}
}

// Matching yields the subscriptions that a message to a topic, or to a shard, is held against now, in the order of
// delivery.
func (v View) Matching(k Kind, topic []byte) iter.Seq[*Subscription] {
	return func(yield func(*Subscription) bool) {
		v.b.match(k, topic)
		matching := slices.Clone(v.b.matched)
		v.b.clearMatched()
		for _, set := range matching {
			if !set.each(yield) {
				return
			}
		}
	}
}

// each walks over all subscriptions to the name. False means that yield wanted no more.
func (set *subscriberSet) each(yield func(*Subscription) bool) bool {
	walk := func(members *orderedSet[*Subscription]) bool {
		for _, s := range members.items {
			if s != nil && !yield(s) {
				return false
			}
		}
		return true
	}
	if !walk(&set.members) {
		return false
	}
	if set.filters == nil {
		return true
	}
	for _, ps := range set.filters.sets.items {
		if ps != nil && !walk(&ps.members) {
			return false
		}
	}
	return true
}

// NumSubscriptions is how many subscriptions one name has.
func (v View) NumSubscriptions(k Kind, name []byte) int {
	if set := v.b.lookup(k, name); set != nil {
		return set.size()
	}
	return 0
}
