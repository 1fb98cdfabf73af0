package broker

import "github.com/conchmq/conch/internal/invariant"

// Predicate is a condition that a subscription puts on messages. What it says the core does not know: whoever publishes
// asks it, and the core takes the verdicts. Equal values (==), such as the same pointer, are the same predicate.
type Predicate any

// Condition is the part of a subscription's name that is not its topic.
type Condition struct {
	Predicate Predicate // nil: there is none, and all of the name is the topic
	Topic     int       // how many bytes of the name are the topic, or the glob
}

// Verdict is what a predicate says of a message.
type Verdict uint8

// The verdicts.
const (
	No         Verdict = iota
	Yes                // the message is for whoever asked so
	Unreadable         // it is not, because it lacks what the predicate reads
)

// narrow are those subscriptions to one name that have predicates. An audience has one while there are any.
type narrow struct {
	circles list[*circle]
	members int                   // of all circles
	index   map[Predicate]*circle // once there are more than a few
	asked   []Predicate           // what asked returns, until a circle comes or goes
}

// circle is everyone who subscribed to one name with one predicate. It exists while it has a member.
type circle struct {
	name      string // as it was subscribed to, predicate and all
	predicate Predicate
	members   list[*Subscription]
	place     int     // in narrow.circles
	verdict   Verdict // of the message in flight
	seen      tally
}

// tally is what a predicate has said so far.
type tally struct {
	messages   uint64 // that it was asked about
	matched    uint64
	unreadable uint64
}

func (t *tally) count(v Verdict) {
	t.messages++
	switch v {
	case No:
	case Yes:
		t.matched++
	case Unreadable:
		t.unreadable++
	}
}

func movedCircle(c *circle, place int) { c.place = place }

// find returns the circle of a predicate, or nil.
func (n *narrow) find(p Predicate) *circle {
	if n.index != nil {
		return n.index[p]
	}
	for _, c := range n.circles.items {
		if c != nil && c.predicate == p {
			return c
		}
	}
	return nil
}

// openCircle returns the circle of a predicate in an audience, which it makes if need be.
func (b *Broker) openCircle(a *audience, p Predicate, name []byte) *circle {
	if a.narrow == nil {
		a.narrow = new(narrow)
		a.narrow.circles.moved = movedCircle
	}
	n := a.narrow
	if c := n.find(p); c != nil {
		return c
	}
	c := &circle{name: string(name), predicate: p}
	c.members.moved = movedMember
	n.circles.add(c)
	n.asked = nil
	b.circles++
	if a.kind == Pattern {
		b.patterned++
	}
	switch {
	case n.index != nil:
		n.index[p] = c
	case n.circles.live > few:
		n.index = make(map[Predicate]*circle)
		for _, c := range n.circles.items {
			if c != nil {
				n.index[c.predicate] = c
			}
		}
	}
	return c
}

// leaveCircle takes s out of its circle, and frees what is empty then.
func (b *Broker) leaveCircle(s *Subscription) {
	n, c := s.to.narrow, s.in.circle
	c.members.remove(int(s.inMember))
	n.members--
	if c.members.live > 0 {
		return
	}
	n.circles.remove(c.place)
	delete(n.index, c.predicate)
	n.asked = nil
	b.circles--
	if s.to.kind == Pattern {
		b.patterned--
	}
	if n.circles.live == 0 {
		s.to.narrow = nil
	}
}

// predicates are those that decide about messages to this audience, in the order in which they are gone through. Nobody
// changes the slice.
func (n *narrow) predicates() []Predicate {
	if n.asked == nil {
		n.asked = make([]Predicate, 0, n.circles.live)
		for _, c := range n.circles.items {
			if c != nil {
				n.asked = append(n.asked, c.predicate)
			}
		}
	}
	return n.asked
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

// judged gives each circle that the topic in flight reaches its verdict. False means that the request has none for one
// of them. What was asked is in the same order as the circles, and may hold more: those that have gone since.
func (b *Broker) judged(r *Request) (all bool) {
	next := 0
	all = true
	for _, a := range b.matched {
		if a.narrow == nil {
			continue
		}
		for _, c := range a.narrow.circles.items {
			if c == nil {
				continue
			}
			for next < len(r.Verdicts) && r.Asked[next] != c.predicate {
				next++
			}
			if c.verdict = No; next < len(r.Verdicts) {
				c.verdict = r.Verdicts[next]
				next++
			} else {
				all = false
			}
		}
	}
	return all
}

// ask has a publish say what the predicates of the topic in flight would be asked.
func (b *Broker) ask(r *Request) {
	r.Asked, r.Verdicts = nil, nil
	for _, a := range b.matched {
		switch {
		case a.narrow == nil:
		case r.Asked == nil:
			r.Asked = a.narrow.predicates()
		default: // a new array: the first one is the audience's
			r.Asked = append(r.Asked[:len(r.Asked):len(r.Asked)], a.narrow.predicates()...)
		}
	}
}

// publishNarrow is publish for one message to a topic that somebody listens to with a predicate.
func (b *Broker) publishNarrow(s *Subscriber, r *Request) {
	if b.committing || invariant.On { // else publication has just made sure
		judged := b.judged(r)
		invariant.Check(judged, "a publish to %q takes effect without its verdicts", r.Names[0])
	}
	receivers := 0
	for _, a := range b.matched {
		a.published++
		receivers += a.members.live
		if a.narrow != nil {
			receivers += b.judge(a.narrow)
		}
	}
	b.sequence++
	b.matches += uint64(receivers) //nolint:gosec // a count
	b.message = Message{b.sequence, r.Names[0], r.Payloads, receivers, r.Call}
	s.owner.Published(r, 1, b.message.Sequence, receivers)
	for _, a := range b.matched {
		b.deliverTo(&a.members)
		if a.narrow == nil {
			continue
		}
		for _, c := range a.narrow.circles.items {
			if c != nil && c.verdict == Yes {
				b.deliverTo(&c.members)
			}
		}
	}
}

// judge counts what the predicates say, and how many subscriptions the message is for.
func (b *Broker) judge(n *narrow) (receivers int) {
	for _, c := range n.circles.items {
		if c == nil {
			continue
		}
		c.seen.count(c.verdict)
		if c.verdict == Yes {
			receivers += c.members.live
			continue
		}
		b.filtered.messages += uint64(c.members.live) //nolint:gosec // a count
		if c.verdict == Unreadable {
			b.filtered.unreadable += uint64(c.members.live) //nolint:gosec // a count
		}
	}
	return receivers
}

// deliverTo queues the message in flight to all of a list.
func (b *Broker) deliverTo(members *list[*Subscription]) {
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
