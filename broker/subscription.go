package broker

// audience is everyone who subscribed to one name: a topic or a pattern. It exists while it has a member.
type audience struct {
	name    string
	kind    Kind
	members list[*Subscription] // those without a predicate, in subscription order, which is the order of delivery
	pattern *pattern            // what Broker.patterns knows of it, for a pattern
	narrow  *narrow             // those with one, who come behind the others; nil while there are none

	published uint64 // messages that reached the name since it has had a member
}

// Subscription joins one subscriber to one name. Owned by the core; an Owner may read it during a call. It fills one cache
// line, which is what a delivery to a thousand of them waits for.
type Subscription struct {
	Form     Form
	Note     any // the owner's own, which the core does not look at; the owner may set it in [Owner.Message]
	to       *audience
	in       *seat // if it has a predicate
	by       *Subscriber
	inMember int32  // its place in the members of its circle, or of to
	inHeld   int32  // its place in by.held
	since    uint64 // messages that had come to the name before it; see seat for who has a predicate
}

// seat is a subscription's place in a circle.
type seat struct {
	circle  *circle
	reached uint64 // what had come to circle.of before it
	said    tally  // what the predicate had said before it
}

// Kind tells whether the subscription is to a topic or to a pattern.
func (s *Subscription) Kind() Kind { return s.to.kind }

// Name is what was subscribed to, as it was given: a topic or a glob, and perhaps a predicate.
func (s *Subscription) Name() string {
	if s.in != nil {
		return s.in.circle.name
	}
	return s.to.name
}

// Topic is the topic or the glob in the name.
func (s *Subscription) Topic() string { return s.to.name }

// Conditional tells whether the subscription has a predicate.
func (s *Subscription) Conditional() bool { return s.in != nil }

// Tally is what has come to a subscription since it was made.
type Tally struct {
	Published  uint64 // messages to its topics
	Matched    uint64 // of these, those queued for it, or dropped at once
	Filtered   uint64 // of these, those that its predicate kept back: the rest
	Unreadable uint64 // of the filtered, those that lacked what the predicate reads
}

// Tally counts. It is the core's state: only for Owner methods.
func (s *Subscription) Tally() Tally {
	if s.in == nil {
		n := s.to.published - s.since
		return Tally{Published: n, Matched: n}
	}
	c := s.in.circle
	t := Tally{
		Published: c.of.reached - s.in.reached, Matched: c.said.matched - s.in.said.matched,
		Unreadable: c.said.unreadable - s.in.said.unreadable,
	}
	t.Filtered = t.Published - t.Matched
	return t
}

// Owner is who gets its messages.
func (s *Subscription) Owner() Owner { return s.by.owner }

// live is how many subscriptions there are to the name.
func (a *audience) live() int {
	if a.narrow == nil {
		return a.members.live
	}
	return a.members.live + a.narrow.members
}

func movedMember(s *Subscription, place int) { s.inMember = int32(place) } //nolint:gosec // memory ends before that does
func movedHeld(s *Subscription, place int)   { s.inHeld = int32(place) }   //nolint:gosec // the same

// find returns the audience of a name, or nil.
func (b *Broker) find(k Kind, name []byte) *audience {
	return b.audiences[k][string(name)] // no allocation: the compiler sees that the string does not outlive the look-up
}

// open returns the audience of a name, which it makes if need be. The name is copied then.
func (b *Broker) open(k Kind, name []byte) *audience {
	if a := b.find(k, name); a != nil {
		return a
	}
	a := &audience{name: string(name), kind: k}
	a.members.moved = movedMember
	b.audiences[k][a.name] = a
	if k == Pattern {
		b.patterns.add(a)
	}
	return a
}

// leave takes s out of its audience, and frees the audience with its last member: nobody can fill the memory with
// names that no one listens to.
func (b *Broker) leave(s *Subscription) {
	a := s.to
	if s.in != nil {
		b.leaveCircle(s)
	} else if a.members.remove(int(s.inMember)); a.members.live == 0 && a.kind == Pattern {
		b.patterned--
	}
	if a.members.live > 0 || a.narrow != nil {
		return
	}
	delete(b.audiences[a.kind], a.name)
	if a.kind == Pattern {
		b.patterns.remove(a)
	}
}
