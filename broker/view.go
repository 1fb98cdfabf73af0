package broker

import "iter"

// View is a read-only look at the core, valid during the [Owner.Answer] call that got it and nowhere else.
type View struct{ b *Broker }

// Counts are the core's own numbers at one instant.
type Counts struct {
	Topics      int    // names with at least one exact subscription
	Patterns    int    // distinct patterns subscribed to
	Subscribers int    // subscribers that hold at least one subscription
	Published   uint64 // messages taken since the start: the place of the last in the one order
	Delivered   uint64 // messages queued to subscriptions since the start
	Waiting     int    // batches in the inbox just now
}

// Counts takes all numbers of one instant.
func (v View) Counts() Counts {
	return Counts{
		Topics:      len(v.b.audiences[Topic]),
		Patterns:    len(v.b.audiences[Pattern]),
		Subscribers: v.b.subscribers,
		Published:   v.b.sequence,
		Delivered:   v.b.delivered,
		Waiting:     len(v.b.inbox),
	}
}

// Topics yields every topic that has an exact subscription, in no order.
func (v View) Topics() iter.Seq[string] {
	return func(yield func(string) bool) {
		for name := range v.b.audiences[Topic] {
			if !yield(name) {
				return
			}
		}
	}
}

// Members is how many exact subscriptions a topic has; patterns are not counted.
func (v View) Members(topic []byte) int {
	if a := v.b.find(Topic, topic); a != nil {
		return a.members.live
	}
	return 0
}
