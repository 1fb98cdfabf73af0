package broker

import (
	"cmp"
	"slices"
)

// hasFilters reports whether the topic in flight reaches subscriptions with a predicate.
func (b *Broker) hasFilters() bool {
	for _, set := range b.matched {
		if set.filters != nil {
			return true
		}
	}
	return false
}

// publishFiltered is publish for one message to a topic that reaches subscriptions with a predicate.
func (b *Broker) publishFiltered(s *Subscriber, r *Request) {
	b.checkEvaluated(len(r.Payloads))
	receivers := b.countVerdicts(r.Judgements, b.sequence+1)
	for _, set := range b.matched {
		set.countPublished(1, b.sequence+1, s)
		receivers += set.members.size
	}
	b.begin(r, receivers)
	s.conn.Published(r, 1, &b.message)
	b.deliverFiltered()
}

// checkEvaluated panics if messages that reach predicates come without their verdicts.
func (b *Broker) checkEvaluated(messages int) {
	if b.version < b.grace.effective || messages > 1 {
		panic("broker: a message takes effect without the verdicts of predicates: see Batch.Version")
	}
}

// deliverFiltered delivers the message in flight by its verdicts.
func (b *Broker) deliverFiltered() {
	next := 0
	for _, set := range b.matched {
		b.deliver(&set.members, allReceivers)
		for ; next < len(b.verdicts) && b.verdicts[next].set.parent == set.filters; next++ {
			if j := &b.verdicts[next]; j.verdict == Yes {
				b.deliver(&j.set.members, allReceivers)
			}
		}
	}
}

// countVerdicts counts what predicates have made of the message with that number, and returns how many subscriptions with one it
// is for. It leaves in verdicts the judgements on predicates that are still there, in the order of delivery.
func (b *Broker) countVerdicts(judgements []Judgement, number uint64) (receivers int) {
	members, unreadable := 0, 0
	for i, set := range b.matched {
		if set.filters != nil {
			set.filters.published++
			set.filters.position = i
			members += set.filters.size
		}
	}
	b.verdicts = b.verdicts[:0]
	for _, j := range judgements {
		switch size := j.set.members.size; {
		case size == 0: // it has gone, or waits to take effect
			continue
		case j.verdict == Yes:
			j.set.countMatched(number, b.matched[j.set.parent.position].last)
			receivers += size
		default:
			j.set.counts.unreadable++
			unreadable += size
		}
		b.verdicts = append(b.verdicts, j)
	}
	if !slices.IsSortedFunc(b.verdicts, byDelivery) {
		slices.SortFunc(b.verdicts, byDelivery)
	}
	b.filteredCount += uint64(members - receivers) //nolint:gosec // a count
	b.unreadableCount += uint64(unreadable)        //nolint:gosec // a count
	return receivers
}

// byDelivery compares the places of two judgements in the order of delivery. The index lists predicates in another.
func byDelivery(a, b Judgement) int {
	return cmp.Or(cmp.Compare(a.set.parent.position, b.set.parent.position), cmp.Compare(a.set.index, b.set.index))
}
