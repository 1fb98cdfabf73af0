package soak

import "fmt"

// event is one thing that a subscriber was sent: a message, or that some are missing at this place.
type event struct {
	topic    string // of the message; for what is missing, the name of the subscription
	id       string // "publisher-number"
	size     int    // of the payload, in bytes
	sequence string // of the message, where the connection has sequence numbers
	missed   int    // so many messages of the subscription are lost here; unknown if the server does not know how many
}

// unknown is a number of messages: any, also none.
const unknown = -1

// order is the sequence of all messages of a round, as the witness received it, a subscriber to every topic.
type order struct {
	messages []event
	place    map[string]int // of each id
	whole    bool           // the witness stayed until the end, so nothing came after these
}

// newOrder makes the order of what a witness got. A message that came twice is a violation.
func newOrder(messages []event, whole bool) (o order, violations []string) {
	o = order{messages: messages, place: make(map[string]int, len(messages)), whole: whole}
	for i, m := range messages {
		if before, twice := o.place[m.id]; twice {
			violations = append(violations, fmt.Sprintf("message %s stands at %d and at %d of the order", m.id, before, i))
		}
		o.place[m.id] = i
	}
	return o, violations
}

// verdict is what became of the messages that one subscriber should have got.
type verdict struct {
	received    int
	reported    int // lost, and the subscriber was told so in their place
	undelivered int // lost with the connection: its end is what tells of them
	unaccounted int // lost without a word: must be 0
	violations  []string
}

// check holds what a subscriber got against the order. subscribed names the subscription that a message matches, if any.
// stayed says that the subscriber was connected until the end.
func (o *order) check(got []event, subscribed func(event) (name string, ok bool), stayed bool) (v verdict) {
	next := 0
	lost := make(map[string]int)    // told and not yet seen to be missing, by subscription
	unsaid := make(map[string]bool) // told without a number, and no message has come since
	pass := func(end int, otherwise *int) {
		for ; next < end; next++ {
			name, ours := subscribed(o.messages[next])
			switch {
			case !ours:
			case unsaid[name]:
				v.reported++
			case lost[name] > 0:
				lost[name]--
				v.reported++
			default:
				*otherwise++
			}
		}
	}
	for _, e := range got {
		switch {
		case e.missed == unknown:
			unsaid[e.topic] = true
			continue
		case e.missed > 0:
			lost[e.topic] += e.missed
			continue
		}
		place, known := o.place[e.id]
		switch {
		case !known && o.whole:
			v.violations = append(v.violations, fmt.Sprintf("message %s is in no order", e.id))
		case !known: // it came after the witness had gone
			v.received++
			pass(len(o.messages), &v.unaccounted)
		case place < next:
			v.violations = append(v.violations, fmt.Sprintf("message %s came again, or after message %s", e.id, o.messages[next-1].id))
		default:
			pass(place, &v.unaccounted)
			name, ours := subscribed(o.messages[place])
			delete(unsaid, name)
			if !ours {
				v.violations = append(v.violations, fmt.Sprintf("message %s came to a subscriber without a subscription", e.id))
			}
			v.received++
			next = place + 1
		}
	}
	rest := &v.undelivered
	if stayed {
		rest = &v.unaccounted
	}
	pass(len(o.messages), rest)
	for name, n := range lost {
		if n > 0 && o.whole {
			v.violations = append(v.violations, fmt.Sprintf("%d messages of %s were called missing and were not", n, name))
		}
	}
	return v
}

// missing finds messages that do not stand in the order in which their publisher sent them, and acknowledged messages that are
// in no order.
// With a witness that did not stay, what is acknowledged and not seen may have come after it had gone.
func (o *order) missing(acknowledged []string) (unaccounted int, violations []string) {
	last := make(map[int]int) // number, by publisher
	for _, m := range o.messages {
		var publisher, number int
		if _, err := fmt.Sscanf(m.id, "%d-%d", &publisher, &number); err != nil {
			violations = append(violations, fmt.Sprintf("no message of ours: %q", m.id))
			continue
		}
		if before, any := last[publisher]; any && number <= before {
			violations = append(violations, fmt.Sprintf("message %s after number %d of its publisher", m.id, before))
		}
		last[publisher] = number
	}
	if !o.whole {
		return 0, violations
	}
	for _, id := range acknowledged {
		if _, ok := o.place[id]; !ok {
			unaccounted++
		}
	}
	return unaccounted, violations
}
