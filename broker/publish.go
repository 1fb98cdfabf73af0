package broker

// publish applies a Publish: the instant of clause 1, or one for each message of a run, with nothing between them. The reply
// comes before the deliveries (clause 4) and counts exactly those that follow: nothing else happens in between.
// It changes nothing if the connection refuses.
func (b *Broker) publish(s *Subscriber, r *Request) {
	b.match(r.Kind, r.Names[0])
	if len(r.Payloads) > 1 {
		if parts, whole := s.conn.AcceptsRun(r); !whole {
			b.publishEach(s, parts)
			return
		}
	}
	switch {
	case !s.conn.Admit(r):
	case b.predicateCount > 0 && b.hasFilters():
		b.publishFiltered(s, r)
	default:
		receivers := 0
		for _, set := range b.matched {
			set.countPublished(len(r.Payloads), b.sequence+uint64(len(r.Payloads)), s)
			receivers += set.members.size
		}
		b.begin(r, receivers)
		if len(r.Payloads) > 1 {
			b.publishRun(s, r)
			break
		}
		s.conn.Published(r, 1, &b.message)
		for _, set := range b.matched {
			b.deliver(&set.members, allReceivers)
		}
	}
	b.message = Message{}
	b.clearMatched()
}

// OnPublish has f get each publish to a topic at its instant, before the reply and the deliveries, on the core's goroutine. The
// message is f's during the call, and its number the next one of the sequence. f may set its Barrier. Publishes to shards do not
// reach it. It holds for what is submitted afterwards; it is called once.
func (b *Broker) OnPublish(f func(View, *Message)) { b.Submit(&Batch{keep: f}) }

// begin makes a publish the message in flight, shows it to all that need it besides its receivers, and takes its numbers of the
// sequence.
func (b *Broker) begin(r *Request, receivers int) {
	b.message = Message{Sequence: b.sequence + 1, Topic: r.Names[0], Payloads: r.Payloads, Receivers: receivers, Tag: r.Tag}
	b.message.Named = len(b.matched) > 0 && b.matched[0].kind != Pattern
	if b.keep != nil && r.Kind == Topic {
		b.keep(View{b}, &b.message)
	}
	if b.deferred > 0 {
		b.recordDeferred(r.Judgements)
	}
	b.sequence += uint64(len(r.Payloads))
	b.deliveries += uint64(receivers * len(r.Payloads)) //nolint:gosec // both are counts
}

// publishEach applies the messages of a run as requests of their own. Evictions happen between them, as between all requests.
func (b *Broker) publishEach(s *Subscriber, requests []Request) {
	for i := range requests {
		b.handle(s, &requests[i])
		b.evictScheduled()
		if s.ended {
			return
		}
	}
}

// publishRun delivers several messages to one topic. A subscriber with one matching subscription gets them in one Deliver,
// which costs as much as one message: with 64 messages in a run and 100 receivers that is a sixth of the time. Two kinds of
// subscribers get them one by one: those with several matching subscriptions (clause 2: all copies of a message come
// before the next one), and the publisher itself (clause 4: its replies and its messages take turns).
func (b *Broker) publishRun(s *Subscriber, r *Request) {
	anyMultiple := b.countRunMatches(s)
	own := s.runMatches.count > 1 // countRunMatches has counted it
	if !own {
		s.conn.Published(r, len(r.Payloads), &b.message)
	}
	for _, set := range b.matched {
		b.deliver(&set.members, singleMatch)
	}
	if !anyMultiple {
		return
	}
	for i := range r.Payloads {
		if own {
			s.conn.Published(r, 1, &b.message)
		}
		b.message.Payloads = r.Payloads[i : i+1]
		for _, set := range b.matched {
			b.deliver(&set.members, multipleMatches)
		}
		b.message.Sequence++
	}
}

// runMatches counts the subscriptions of one subscriber that a run matches. It needs no reset between runs.
type runMatches struct {
	firstSeq uint64 // of the run; a count for another run is void
	count    int
}

// countRunMatches counts the matching subscriptions of each subscriber for the run in flight, and reports whether any has
// several. The publisher counts as one match more, so that it gets a run of its own message by message.
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

// match collects the subscriber sets that a topic matches in b.matched: the exact one, then those of patterns in the order
// of their first subscription (clause 2). The caller ends with clearMatched.
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

// clearMatched clears the scratch slices, so that removed subscriptions can be collected.
func (b *Broker) clearMatched() {
	clear(b.matched)
	clear(b.verdicts)
	b.verdicts = b.verdicts[:0]
}

// receivers selects among the subscribers of a set, by runMatches.
type receivers uint8

const (
	allReceivers    receivers = iota
	singleMatch               // those with one match in the run in flight
	multipleMatches           // the others
)

// deliver queues the message in flight to the selected ones of some subscriptions. Evictions wait until the end of the
// request: the sets must not change under the walk, and the publisher already has the count.
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
