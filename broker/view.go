package broker

import "iter"

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
		Filtered:    v.b.filtered.messages,
		Unreadable:  v.b.filtered.unreadable,
		Predicates:  v.b.circles,
		Subscribers: v.b.subscribers,
		Published:   v.b.sequence,
		Matched:     v.b.matches,
		Waiting:     len(v.b.inbox),
	}
}

// Names yields every topic, pattern or shard that is subscribed to, in no order.
func (v View) Names(k Kind) iter.Seq[string] {
	return func(yield func(string) bool) {
		for name := range v.b.audiences[k] {
			if !yield(name) {
				return
			}
		}
	}
}

// Members is how many subscriptions one name has.
func (v View) Members(k Kind, name []byte) int {
	if a := v.b.find(k, name); a != nil {
		return a.live()
	}
	return 0
}
