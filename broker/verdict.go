package broker

import (
	"slices"

	"github.com/conchmq/conch/internal/invariant"
)

// said is a verdict other than No.
type said struct {
	circle  *circle
	verdict Verdict
}

// narrows tells whether the topic in flight reaches anybody through a predicate.
func (b *Broker) narrows() bool {
	for _, a := range b.matched {
		if a.narrow != nil {
			return true
		}
	}
	return false
}

// judged finds the verdicts on the message in flight: b.said are those that are not No. It returns false if the request has
// none of one of the predicates. What was asked is in the same order as the circles, and may hold more: those that have
// gone since.
func (b *Broker) judged(r *Request) (all bool) {
	b.said = b.said[:0]
	next, needed := 0, 0
	for _, a := range b.matched {
		if a.narrow == nil {
			continue
		}
		n := a.narrow
		n.list()
		needed += len(n.asked)
		if rest := r.Asked[next:]; len(r.Verdicts) == len(r.Asked) && len(rest) >= len(n.asked) && &rest[0] == &n.asked[0] {
			b.hear(n.order, r.Verdicts[next:]) // it is the very list, as it mostly is: nothing has changed
			next += len(n.asked)
			continue
		}
		for i, p := range n.asked {
			for next < len(r.Verdicts) && r.Asked[next] != p {
				next++
			}
			if next == len(r.Verdicts) {
				return false
			}
			b.hear(n.order[i:i+1], r.Verdicts[next:])
			next++
		}
	}
	r.Stale = needed < len(r.Verdicts)
	return true
}

// hear takes down what the predicates of some circles say.
func (b *Broker) hear(circles []*circle, verdicts []Verdict) {
	for i, c := range circles {
		if v := verdicts[i]; v != No {
			b.said = append(b.said, said{c, v})
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
	for _, a := range b.matched {
		if a.narrow != nil {
			a.narrow.list()
			r.Asked = a.narrow.asked
			names, asked = names+1, asked+len(r.Asked)
		}
	}
	if names == 1 {
		return
	}
	r.Asked = make([]Predicate, 0, asked)
	for _, a := range b.matched {
		if a.narrow != nil {
			r.Asked = append(r.Asked, a.narrow.asked...)
		}
	}
}

// asks tells whether a list is just what the predicates of the topic in flight are.
func (b *Broker) asks(list []Predicate) bool {
	for _, a := range b.matched {
		if a.narrow == nil {
			continue
		}
		a.narrow.list()
		n := len(a.narrow.asked)
		if len(list) < n || &list[0] != &a.narrow.asked[0] && !slices.Equal(list[:n], a.narrow.asked) {
			return false
		}
		list = list[n:]
	}
	return len(list) == 0
}

// publishNarrow is publish for one message to a topic that somebody listens to with a predicate.
func (b *Broker) publishNarrow(s *Subscriber, r *Request) {
	if b.committing || invariant.On { // else publication has just made sure
		judged := b.judged(r)
		invariant.Check(judged, "a publish to %q takes effect without its verdicts", r.Names[0])
	}
	receivers := b.countVerdicts()
	for _, a := range b.matched {
		a.published++
		receivers += a.members.live
	}
	b.sequence++
	b.matches += uint64(receivers) //nolint:gosec // a count
	b.message = Message{b.sequence, r.Names[0], r.Payloads, receivers, r.Call}
	s.owner.Published(r, 1, b.message.Sequence, receivers)
	next := 0
	for _, a := range b.matched {
		b.deliverTo(&a.members)
		for ; next < len(b.said) && b.said[next].circle.of == a.narrow; next++ {
			if b.said[next].verdict == Yes {
				b.deliverTo(&b.said[next].circle.members)
			}
		}
	}
}

// countVerdicts books what the predicates say, and returns how many subscriptions with one the message is for.
func (b *Broker) countVerdicts() (receivers int) {
	members, unreadable := 0, 0
	for _, a := range b.matched {
		if a.narrow != nil {
			a.narrow.reached++
			members += a.narrow.members
		}
	}
	for _, s := range b.said {
		if s.verdict == Yes {
			s.circle.said.matched++
			receivers += s.circle.members.live
		} else {
			s.circle.said.unreadable++
			unreadable += s.circle.members.live
		}
	}
	b.filtered += uint64(members - receivers) //nolint:gosec // a count
	b.unreadable += uint64(unreadable)        //nolint:gosec // a count
	return receivers
}

// deliverTo queues the message in flight to all of a list.
func (b *Broker) deliverTo(members *list[*Subscription]) {
	b.work += members.live
	for _, sub := range members.items {
		if sub == nil {
			continue
		}
		if sub.by.owner.Message(&b.message, sub) {
			b.condemn(sub.by, nil)
		}
		b.touch(sub.by)
	}
}
