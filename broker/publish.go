package broker

// publish is the instant of clause 1, or as many instants with nothing between them as there are messages. The reply
// comes before the deliveries (clause 4), and counts just those that follow: between the count and the last delivery
// nothing else can happen.
func (b *Broker) publish(s *Subscriber, r *Request) outcome {
	b.match(r.Kind, r.Names[0])
	if b.predicateCount > 0 && !b.inExec && b.needs(s, r) {
		b.clearMatched()
		return returned
	}
	if len(r.Payloads) > 1 {
		if parts, whole := s.conn.AcceptsRun(r); !whole {
			b.publishEach(s, parts)
			return done
		}
	}
	switch {
	case !s.conn.Admit(r):
	case b.predicateCount > 0 && b.hasFilters():
		b.publishFiltered(s, r)
	default:
		r.Stale = len(r.Verdicts) > 0
		receivers := 0
		for _, set := range b.matched {
			set.published += uint64(len(r.Payloads))
			receivers += set.members.size
		}
		b.message = Message{b.sequence + 1, r.Names[0], r.Payloads, receivers, r.Tag}
		b.sequence += uint64(len(r.Payloads))
		b.deliveries += uint64(receivers * len(r.Payloads)) //nolint:gosec // both are counts
		if len(r.Payloads) > 1 {
			b.publishRun(s, r)
			break
		}
		s.conn.Published(r, 1, b.message.Sequence, receivers)
		for _, set := range b.matched {
			b.deliver(&set.members, allReceivers)
		}
	}
	b.message = Message{}
	b.clearMatched()
	return done
}

// publishEach applies the messages of a run as requests of their own. Evictions come between them as between all requests.
func (b *Broker) publishEach(s *Subscriber, requests []Request) {
	for i := range requests {
		b.handle(s, &requests[i])
		b.evictScheduled()
		if s.ended {
			return
		}
	}
}

// publishRun queues several messages to one topic. Whoever they reach through one subscription gets them in one piece, which
// costs as much as one message; with 64 messages in a run and 100 receivers that is a sixth of the time. Two kinds of
// receivers must have them one by one: who has several subscriptions that match (clause 2: all copies of a message come
// before the next one), and the publisher itself (clause 4: its replies and its messages take turns).
func (b *Broker) publishRun(s *Subscriber, r *Request) {
	anyMultiple := b.countRunMatches(s)
	own := s.runMatches.count > 1 // countRunMatches has counted it
	receivers := b.message.Receivers
	if !own {
		s.conn.Published(r, len(r.Payloads), b.message.Sequence, receivers)
	}
	for _, set := range b.matched {
		b.deliver(&set.members, singleMatch)
	}
	if !anyMultiple {
		return
	}
	for i := range r.Payloads {
		if own {
			s.conn.Published(r, 1, b.message.Sequence, receivers)
		}
		b.message.Payloads = r.Payloads[i : i+1]
		for _, set := range b.matched {
			b.deliver(&set.members, multipleMatches)
		}
		b.message.Sequence++
	}
}

// runMatches counts how often a run reaches a subscriber.
type runMatches struct {
	firstSeq uint64 // the sequence number of the run's first message: older counts are void
	count    int
}

// countRunMatches counts for each receiver how often the run in flight reaches it, and tells whether anyone must have it message
// by message. A publisher counts as if it were reached once more.
func (b *Broker) countRunMatches(publisher *Subscriber) (anyMultiple bool) {
	publisher.runMatches = runMatches{b.message.Sequence, 1}
	for _, set := range b.matched {
		for _, sub := range set.members.items {
			if sub == nil {
				continue
			}
			if r := &sub.subscriber.runMatches; r.firstSeq != b.message.Sequence {
				*r = runMatches{b.message.Sequence, 1}
			} else {
				r.count++
				anyMultiple = true
			}
		}
	}
	return anyMultiple
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
	b.matched = b.patterns.appendMatches(b.matched, topic)
}

// clearMatched forgets whom the topic in flight reaches: nothing that is freed may be kept alive from here.
func (b *Broker) clearMatched() {
	clear(b.matched)
	clear(b.said)
	b.said = b.said[:0]
}

// receivers says which receivers are meant.
type receivers uint8

const (
	allReceivers    receivers = iota
	singleMatch               // those whom the run in flight reaches once
	multipleMatches           // the others
)

// deliver queues the message in flight to those receivers among some subscriptions. Evictions wait until all have it: the
// subscriber sets must not change under the walk, and the publisher has been told the count.
func (b *Broker) deliver(subscriptions *orderedSet[*Subscription], which receivers) {
	b.work += subscriptions.size
	for _, sub := range subscriptions.items {
		if sub == nil || which != allReceivers && (sub.subscriber.runMatches.count > 1) != (which == multipleMatches) {
			continue
		}
		if sub.subscriber.conn.Deliver(&b.message, sub) {
			b.scheduleEviction(sub.subscriber, nil)
		}
		b.markDirty(sub.subscriber)
	}
}
