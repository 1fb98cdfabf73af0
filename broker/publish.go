package broker

// publication sees to it that a publish can take effect.
func (b *Broker) publication(s *Subscriber, r *Request) outcome {
	b.match(r.Kind, r.Names[0])
	if b.predicateCount > 0 && !b.committing && b.needs(s, r) {
		b.letGo()
		return returned
	}
	if len(r.Payloads) > 1 {
		if parts, whole := s.conn.AcceptsRun(r); !whole {
			b.parts(s, parts)
			return done
		}
	}
	if s.conn.Admit(r) {
		b.publish(s, r)
	}
	b.message = Message{}
	b.letGo()
	return done
}

// publish is the instant of clause 1, or as many instants with nothing between them as there are messages. The reply
// comes before the deliveries (clause 4), and counts just those that follow: between the count and the last delivery
// nothing else can happen.
func (b *Broker) publish(s *Subscriber, r *Request) {
	if b.predicateCount > 0 && b.hasFilters() {
		b.publishFiltered(s, r)
		return
	}
	r.Stale = len(r.Verdicts) > 0
	receivers := 0
	for _, set := range b.matched {
		set.published += uint64(len(r.Payloads))
		receivers += set.members.live
	}
	b.message = Message{b.sequence + 1, r.Names[0], r.Payloads, receivers, r.Tag}
	b.sequence += uint64(len(r.Payloads))
	if len(r.Payloads) == 1 {
		s.conn.Published(r, 1, b.message.Sequence, receivers)
		b.deliver(everyone)
	} else {
		b.run(s, r)
	}
	b.deliveries += uint64(receivers * len(r.Payloads)) //nolint:gosec // both are counts
}

// parts applies the messages of a run as requests of their own. Evictions come between them as between all requests.
func (b *Broker) parts(s *Subscriber, parts []Request) {
	for i := range parts {
		b.request(s, &parts[i])
		b.evict()
		if s.ended {
			return
		}
	}
}

// run queues several messages to one topic. Whoever they reach through one subscription gets them in one piece, which
// costs as much as one message; with 64 messages in a run and 100 receivers that is a sixth of the time. Two kinds of
// receivers must have them one by one: who has several subscriptions that match (clause 2: all copies of a message come
// before the next one), and the publisher itself (clause 4: its replies and its messages take turns).
func (b *Broker) run(s *Subscriber, r *Request) {
	tangled := b.mark(s)
	own := s.reached.times > 1 // mark has counted it
	receivers := b.message.Receivers
	if !own {
		s.conn.Published(r, len(r.Payloads), b.message.Sequence, receivers)
	}
	b.deliver(once)
	if !tangled {
		return
	}
	for i := range r.Payloads {
		if own {
			s.conn.Published(r, 1, b.message.Sequence, receivers)
		}
		b.message.Payloads = r.Payloads[i : i+1]
		b.deliver(severalTimes)
		b.message.Sequence++
	}
}

// reach counts how often a run reaches a subscriber.
type reach struct {
	run   uint64 // the sequence number of the run's first message: older counts are void
	times int
}

// mark counts for each receiver how often the run in flight reaches it, and tells whether anyone must have it message
// by message. A publisher counts as if it were reached once more.
func (b *Broker) mark(publisher *Subscriber) (tangled bool) {
	publisher.reached = reach{b.message.Sequence, 1}
	for _, set := range b.matched {
		for _, sub := range set.members.items {
			if sub == nil {
				continue
			}
			if r := &sub.subscriber.reached; r.run != b.message.Sequence {
				*r = reach{b.message.Sequence, 1}
			} else {
				r.times++
				tangled = true
			}
		}
	}
	return tangled
}

// match gathers whom a topic reaches into b.matched: the exact subscriber set, then patterns in the order in which they
// were first subscribed (clause 2).
func (b *Broker) match(k Kind, topic []byte) {
	b.matched = b.matched[:0]
	if set := b.lookup(k, topic); set != nil {
		b.matched = append(b.matched, set)
	}
	if k != Topic {
		return
	}
	b.matched = b.patterns.gather(b.matched, topic)
}

// letGo forgets whom the topic in flight reaches: nothing that is freed may be kept alive from here.
func (b *Broker) letGo() {
	clear(b.matched)
	clear(b.said)
	b.said = b.said[:0]
}

// to says which receivers are meant.
type to uint8

const (
	everyone     to = iota
	once            // those whom the run in flight reaches once
	severalTimes    // the others
)

// deliver queues the message in flight to the receivers meant. Evictions wait until all have it: the subscriber sets must
// not change under the walk, and the publisher has been told the count.
func (b *Broker) deliver(meant to) {
	for _, set := range b.matched {
		b.work += set.members.live
		for _, sub := range set.members.items {
			if sub == nil || meant != everyone && (sub.subscriber.reached.times > 1) != (meant == severalTimes) {
				continue
			}
			if sub.subscriber.conn.Deliver(&b.message, sub) {
				b.condemn(sub.subscriber, nil)
			}
			b.touch(sub.subscriber)
		}
	}
}
