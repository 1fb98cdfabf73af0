package broker

// narrow are those subscriptions to one name that have predicates. An audience has one while there are any.
type narrow struct {
	circles list[*circle]
	members int                   // of all circles
	index   map[Predicate]*circle // once there are more than a few

	// What list makes, nil when a circle has come or gone since.
	asked   []Predicate // of all circles, in order. Whoever publishes has it too: nobody changes what is in it
	order   []*circle   // those circles
	reached uint64      // messages that came to the name since there is a predicate
}

// circle is everyone who subscribed to one name with one predicate. It exists while it has a member.
type circle struct {
	name      string // as it was subscribed to, predicate and all
	predicate Predicate
	weight    int // of the condition
	members   list[*Subscription]
	of        *narrow
	place     int // in of.circles
	said      tally
}

// tally counts verdicts. What is not in it was a No: a circle whose predicate says so is not even looked at.
type tally struct{ matched, unreadable uint64 }

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
func (b *Broker) openCircle(a *audience, condition Condition, name []byte) *circle {
	if a.narrow == nil {
		a.narrow = new(narrow)
		a.narrow.circles.moved = movedCircle
	}
	n, p := a.narrow, condition.Predicate
	if c := n.find(p); c != nil {
		return c
	}
	c := &circle{name: string(name), predicate: p, weight: condition.Weight, of: n}
	c.members.moved = movedMember
	n.circles.add(c)
	n.asked, n.order = nil, nil
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
	n.asked, n.order = nil, nil
	b.circles--
	if s.to.kind == Pattern {
		b.patterned--
	}
	if n.circles.live == 0 {
		s.to.narrow = nil
	}
}

// list makes asked and order.
func (n *narrow) list() {
	if n.asked != nil {
		return
	}
	n.asked, n.order = make([]Predicate, 0, n.circles.live), make([]*circle, 0, n.circles.live)
	for _, c := range n.circles.items {
		if c != nil {
			n.asked, n.order = append(n.asked, c.predicate), append(n.order, c)
		}
	}
}
