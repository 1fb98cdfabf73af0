package broker

import (
	"slices"

	"github.com/conchmq/conch/internal/invariant"
)

// said is a verdict other than No.
type said struct {
	predicateSet *predicateSet
	verdict      Verdict
}

// hasFilters reports whether the topic in flight has a subscription with a predicate.
func (b *Broker) hasFilters() bool {
	for _, set := range b.matched {
		if set.filters != nil {
			return true
		}
	}
	return false
}

// judged finds the verdicts on the message in flight: b.said are those that are not No. It returns false if the request has
// none of one of the predicates. What was asked is in the same order as the predicate sets, and may hold more: those that have
// gone since.
func (b *Broker) judged(r *Request) (all bool) {
	b.said = b.said[:0]
	next, needed := 0, 0
	for _, set := range b.matched {
		if set.filters == nil {
			continue
		}
		filters := set.filters
		filters.rebuild()
		needed += len(filters.predicates)
		if rest := r.Asked[next:]; len(r.Verdicts) == len(r.Asked) && len(rest) >= len(filters.predicates) && &rest[0] == &filters.predicates[0] {
			b.hear(filters.ordered, r.Verdicts[next:]) // it is the very list, as it mostly is: nothing has changed
			next += len(filters.predicates)
			continue
		}
		for i, p := range filters.predicates {
			for next < len(r.Verdicts) && r.Asked[next] != p {
				next++
			}
			if next == len(r.Verdicts) {
				return false
			}
			b.hear(filters.ordered[i:i+1], r.Verdicts[next:])
			next++
		}
	}
	r.Stale = needed < len(r.Verdicts)
	return true
}

// hear takes down what the predicates of some predicate sets say.
func (b *Broker) hear(sets []*predicateSet, verdicts []Verdict) {
	for i, ps := range sets {
		if v := verdicts[i]; v != No {
			b.said = append(b.said, said{ps, v})
		}
	}
}

// ask has a publish say what the predicates of the topic in flight would be asked. If they are those that were asked
// before, it shares the list: a batch may hold very many publishes to one topic.
func (b *Broker) ask(r *Request, before []Predicate) {
	r.Asked, r.Verdicts = before, nil
	if b.asks(before) {
		return
	}
	names, asked := 0, 0
	for _, set := range b.matched {
		if set.filters != nil {
			set.filters.rebuild()
			r.Asked = set.filters.predicates
			names, asked = names+1, asked+len(r.Asked)
		}
	}
	if names == 1 {
		return
	}
	r.Asked = make([]Predicate, 0, asked)
	for _, set := range b.matched {
		if set.filters != nil {
			r.Asked = append(r.Asked, set.filters.predicates...)
		}
	}
}

// asks tells whether a list is just what the predicates of the topic in flight are.
func (b *Broker) asks(list []Predicate) bool {
	for _, set := range b.matched {
		if set.filters == nil {
			continue
		}
		set.filters.rebuild()
		n := len(set.filters.predicates)
		if len(list) < n || &list[0] != &set.filters.predicates[0] && !slices.Equal(list[:n], set.filters.predicates) {
			return false
		}
		list = list[n:]
	}
	return len(list) == 0
}

// publishFiltered is publish for one message to a topic that has a subscription with a predicate.
func (b *Broker) publishFiltered(s *Subscriber, r *Request) {
	if b.inExec || invariant.On { // else publish has just made sure
		judged := b.judged(r)
		invariant.Check(judged, "a publish to %q takes effect without its verdicts", r.Names[0])
	}
	receivers := b.countVerdicts()
	for _, set := range b.matched {
		set.published++
		receivers += set.members.size
	}
	b.sequence++
	b.deliveries += uint64(receivers) //nolint:gosec // a count
	b.message = Message{b.sequence, r.Names[0], r.Payloads, receivers, r.Tag}
	s.conn.Published(r, 1, b.message.Sequence, receivers)
	next := 0
	for _, set := range b.matched {
		b.deliver(&set.members, allReceivers)
		for ; next < len(b.said) && b.said[next].predicateSet.parent == set.filters; next++ {
			if b.said[next].verdict == Yes {
				b.deliver(&b.said[next].predicateSet.members, allReceivers)
			}
		}
	}
}

// countVerdicts books what the predicates say, and returns how many subscriptions with one the message is for.
func (b *Broker) countVerdicts() (receivers int) {
	members, unreadable := 0, 0
	for _, set := range b.matched {
		if set.filters != nil {
			set.filters.published++
			members += set.filters.size
		}
	}
	for _, s := range b.said {
		if s.verdict == Yes {
			s.predicateSet.counts.matched++
			receivers += s.predicateSet.members.size
		} else {
			s.predicateSet.counts.unreadable++
			unreadable += s.predicateSet.members.size
		}
	}
	b.filteredCount += uint64(members - receivers) //nolint:gosec // a count
	b.unreadableCount += uint64(unreadable)        //nolint:gosec // a count
	return receivers
}
