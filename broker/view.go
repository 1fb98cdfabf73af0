package broker

import (
	"iter"
	"slices"
)

// View is read access to the core. It is valid only during the [Conn.Reply] call that got it, on the core's goroutine:
// afterwards its iterators would read state that the core changes.
type View struct{ b *Broker }

// Evict ends a subscriber as soon as the request at hand is done, as an Evict request with that tag would. A second call
// has no effect.
func (v View) Evict(s *Subscriber, tag any) { v.b.scheduleEviction(s, tag) }

// Append takes the next number of the sequence for an entry of a stream, which takes effect at this instant (clause 7).
func (v View) Append() (sequence uint64) {
	v.b.sequence++
	v.b.appended++
	return v.b.sequence
}

// Deliver queues an entry of a stream, as a message, to the subscriptions that match its topic, in the order of a publish. Its number
// is that of the last Append. If there is a receiver, complete adds the payload. The reply to the request at hand is queued
// before, and no publish is in flight. Judgements are as those of a publish.
func (v View) Deliver(publisher *Subscriber, m *Message, complete func(*Message), judgements []Judgement) {
	b := v.b
	b.match(Topic, m.Topic)
	m.Named = len(b.matched) > 0 && b.matched[0].kind != Pattern
	filtered := b.predicateCount > 0 && b.hasFilters()
	if filtered {
		b.checkEvaluated(1)
		m.Receivers = b.countVerdicts(judgements, m.Sequence)
	}
	for _, set := range b.matched {
		set.countPublished(1, m.Sequence, publisher)
		m.Receivers += set.members.size
	}
	if m.Receivers > 0 {
		complete(m)
	}
	b.message = *m
	if b.deferred > 0 {
		b.recordDeferred(judgements)
	}
	if m.Receivers > 0 {
		b.deliveries += uint64(m.Receivers) //nolint:gosec // a count
		if filtered {
			b.deliverFiltered()
		} else {
			for _, set := range b.matched {
				b.deliver(&set.members, allReceivers)
			}
		}
	}
	b.message = Message{}
	b.clearMatched()
}

// FlushLater has the round end with a Flush for a subscriber that is not the one with the request at hand, and counts the
// work that was done for it.
func (v View) FlushLater(s *Subscriber) {
	v.b.work++
	v.b.markDirty(s)
}

// Stats are the core's counters at one instant.
type Stats struct {
	Topics      int    // names with at least one exact subscription
	Shards      int    // the same for shards
	Patterns    int    // distinct patterns; one with a predicate differs from one without
	Subscribers int    // subscribers that hold at least one subscription
	Sequence    uint64 // the number of the last publish or append
	Published   uint64 // messages since the start
	Matched     uint64 // messages times the subscriptions that they were queued to, since the start
	Filtered    uint64 // messages times the subscriptions whose predicate rejected them
	Unreadable  uint64 // of these, those that lacked a field that the predicate reads
	Predicates  int    // distinct names with a predicate
	InboxLen    int    // batches in the inbox at this instant
}

// Stats reads all counters at one instant.
func (v View) Stats() Stats {
	return Stats{
		Topics:      len(v.b.sets[Topic]),
		Shards:      len(v.b.sets[Shard]),
		Patterns:    v.b.patternCount,
		Filtered:    v.b.filteredCount,
		Unreadable:  v.b.unreadableCount,
		Predicates:  v.b.predicateCount,
		Subscribers: v.b.subscriberCount,
		Sequence:    v.b.sequence,
		Published:   v.b.sequence - v.b.first - v.b.appended,
		Matched:     v.b.deliveries,
		InboxLen:    len(v.b.inbox),
	}
}

// Names yields every topic, pattern or shard with a subscription, in no order, and the number of messages that reached it
// since its first one.
func (v View) Names(k Kind) iter.Seq2[string, uint64] {
	return func(yield func(string, uint64) bool) {
		for name, set := range v.b.sets[k] {
			if !yield(name, set.published) {
				return
			}
		}
	}
}

// Subscriptions yields the subscriptions to one name in the order of delivery: those with a predicate come behind the others, and
// those that have not joined last.
func (v View) Subscriptions(k Kind, name string) iter.Seq[*Subscription] {
	return func(yield func(*Subscription) bool) {
		if set := v.b.sets[k][name]; set != nil {
			set.each(yield)
		}
	}
}

// Matching yields the subscriptions that match a topic, or a shard, in the order of delivery. Those with a
// predicate are among them, whatever it would decide.
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

// NumMatching is the number of subscriptions that Matching yields.
func (v View) NumMatching(k Kind, topic []byte) (n int) {
	v.b.match(k, topic)
	for _, set := range v.b.matched {
		n += set.size()
	}
	v.b.clearMatched()
	return n
}

// MatchingOf yields the subscriptions of one subscriber that match a topic, or a shard. It costs as much as the names that match,
// however many the subscriber holds.
func (v View) MatchingOf(s *Subscriber, k Kind, topic []byte) iter.Seq[*Subscription] {
	return func(yield func(*Subscription) bool) {
		v.b.match(k, topic)
		matching := slices.Clone(v.b.matched)
		v.b.clearMatched()
		for _, set := range matching {
			for f := range Form(Forms) {
				if sub := s.find(set.kind, f, []byte(set.name)); sub != nil && !yield(sub) {
					return
				}
				for _, sub := range s.byTopic[subscriptionKey{set.name, set.kind, f}] {
					if !yield(sub) {
						return
					}
				}
			}
		}
	}
}

// LastPublish is the number of the last message to a topic or a shard since there are subscriptions to it by name, and the ID of
// its publisher. The number is 0 if there is none.
func (v View) LastPublish(k Kind, topic []byte) (sequence uint64, publisher int64) {
	set := v.b.lookup(k, topic)
	if set == nil {
		return 0, 0
	}
	return set.last, set.publisher
}

// IsParked reports whether a Subscribe of the subscriber waits for a grace period.
func (v View) IsParked(s *Subscriber) bool { return s.parked != nil }

// each yields all subscriptions to the name. False means that yield ended the walk.
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
	if set.filters != nil {
		for _, ps := range set.filters.sets.items {
			if ps != nil && !walk(&ps.members) {
				return false
			}
		}
	}
	return set.waiting == nil || walk(&set.waiting.orderedSet)
}

// NumSubscriptions is the number of subscriptions to one name.
func (v View) NumSubscriptions(k Kind, name []byte) int {
	if set := v.b.lookup(k, name); set != nil {
		return set.size()
	}
	return 0
}
