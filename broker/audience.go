package broker

// audience is everyone who subscribed to one name: a topic or a pattern. It exists while it has a member.
type audience struct {
	name    string
	kind    Kind
	members list[*Subscription] // in subscription order, which is the order of delivery
	pattern *pattern            // what Broker.patterns knows of it, for a pattern
}

// Subscription joins one subscriber to one name. Owned by the core; an Owner may read it during a call.
type Subscription struct {
	Form     Form
	Note     any // the owner's own, which the core does not look at; the owner may set it in [Owner.Message]
	to       *audience
	by       *Subscriber
	inMember int // its place in to.members
	inHeld   int // its place in by.held
}

// Kind tells whether the subscription is to a topic or to a pattern.
func (s *Subscription) Kind() Kind { return s.to.kind }

// Name is the topic or the pattern subscribed to, as it was given.
func (s *Subscription) Name() string { return s.to.name }

func movedMember(s *Subscription, place int) { s.inMember = place }
func movedHeld(s *Subscription, place int)   { s.inHeld = place }

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
	a.members.remove(s.inMember)
	if a.members.live > 0 {
		return
	}
	delete(b.audiences[a.kind], a.name)
	if a.kind == Pattern {
		b.patterns.remove(a)
	}
}
