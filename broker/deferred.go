package broker

import "github.com/conchmq/conch/internal/invariant"

// A subscription that starts in the past is deferred: it is held and confirmed, and no message reaches it. Its
// connection gives it what was published so far, at its own pace, and joins it at an instant of its choice. From there on it is
// a subscription like any other. The connection knows both instants by the sequence, so that nothing is left out between
// them, and nothing comes twice.
//
// A predicate has its grace period before the confirmation, and stays in the index until the Join, which therefore
// never waits.

// deferredSet holds the subscriptions to one name that have not joined.
type deferredSet struct{ orderedSet[*Subscription] }

// deferJoin keeps a subscription from getting messages until its Join.
func (b *Broker) deferJoin(sub *Subscription) {
	set := sub.set
	if set.waiting == nil {
		set.waiting = &deferredSet{}
		set.waiting.onMove = memberMoved
	}
	set.waiting.add(sub)
	sub.state = deferred
	b.deferred++
	if sub.Filtered() {
		sub.membership.predicateSet.claims++
	}
	sub.publishedAtStart = b.sequence
}

// removeDeferred takes a subscription that is dropped out of those that wait.
func (b *Broker) removeDeferred(sub *Subscription) {
	b.endDeferred(sub)
	if sub.Filtered() {
		b.dropUnused(sub.membership.predicateSet)
	}
	sub.subscriber.conn.Dropped(sub)
}

// endDeferred takes a subscription out of those that wait.
func (b *Broker) endDeferred(sub *Subscription) {
	set := sub.set
	if set.waiting.remove(int(sub.setIndex)); set.waiting.size == 0 {
		set.waiting = nil
	}
	b.deferred--
	if sub.Filtered() {
		sub.membership.predicateSet.claims--
	}
}

// recordDeferred notes the number of the message in flight for the predicates of subscriptions that it would reach, had they joined.
func (b *Broker) recordDeferred(judgements []Judgement) {
	for i := range judgements {
		if j := &judgements[i]; j.verdict == Yes {
			j.set.last = b.message.Sequence
		}
	}
}

// Join is the instant from which on a subscription gets messages: those behind last, the last message that was published. Of
// those since [Replayer.Deferred], previous is the number of the newest that the subscription would have got, 0 if there was none. Not ok
// means that the subscription is dropped, or its connection is ending, or that it has joined before.
func (v View) Join(sub *Subscription) (last, previous uint64, ok bool) {
	b, s := v.b, sub.subscriber
	if sub.state != deferred || s.ended || s.leaving || s.evicting {
		return 0, 0, false
	}
	previous = sub.set.last
	if sub.Filtered() {
		previous = sub.membership.predicateSet.last
	}
	if previous <= sub.publishedAtStart { // older than the subscription
		previous = 0
	}
	b.endDeferred(sub)
	sub.state = joined
	b.join(sub)
	b.work++
	invariant.Check(previous <= b.sequence, "message %d is yet to come", previous)
	return b.sequence, previous, true
}
