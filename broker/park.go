package broker

// A publish to a topic with predicates takes effect with the verdict of each of them. The core does not evaluate them:
// decoding a payload would delay all connections. The publisher's connection evaluates the predicates that it knows, ahead
// of time. If a verdict is missing at the instant of the publish, the core returns the batch. The connection evaluates the
// missing predicates and submits it again. Until then its subscriber is parked: nothing that it sent later takes effect, so
// its order stays (clause 3). Messages to it go on, and other connections are not affected.
//
// A predicate that is subscribed to while the batch is away may send it back once more. A client that subscribes to new
// ones all the time could delay a publisher for ever. So the returns are bounded: while a publish has come back that often,
// subscriptions that add a predicate wait.

// patience is how often a request goes back before new predicates must wait for it.
const patience = 2

// maxAsked bounds, for a batch that goes back, the questions that are put in advance for requests behind the first.
const maxAsked = 64 << 10

// MaxVerdicts bounds the verdicts that a transaction may need. One that comes back with more questions than that has not
// been asked all of them: its connection must refuse it.
const MaxVerdicts = 4 << 20

// outcome is what became of a request.
type outcome uint8

const (
	done     outcome = iota
	returned         // it must go back for verdicts
	deferred         // it must wait for a publish that runs out of patience
)

// parking is the core's note on a batch.
type parking struct {
	returns int  // how often its first request has gone back
	urgent  bool // it is one of those that new predicates wait for
}

// hold keeps a batch of a parked subscriber for later. An eviction does not wait: it comes from others.
func (b *Broker) hold(batch *Batch) bool {
	s := batch.From
	if s.parked == nil || s.parked == batch || len(batch.Requests) == 1 && batch.Requests[0].Op == Evict {
		return false
	}
	s.parked.behind = append(s.parked.behind, batch)
	return true
}

// park stops a batch before its request i.
func (b *Broker) park(batch *Batch, i int, why outcome) {
	s := batch.From
	s.parked = batch
	if i > 0 { // it got somewhere
		b.calm(batch)
		clear(batch.Requests[:i])
		batch.Requests = batch.Requests[i:]
	}
	b.markDirty(s)
	switch {
	case why == deferred && b.urgent > 0:
		b.waiting = append(b.waiting, batch)
		return
	case why == deferred: // what it was to wait for has stood in front of it
		b.ready = append(b.ready, batch)
		return
	}
	if batch.parking.returns++; batch.parking.returns == patience {
		batch.parking.urgent = true
		b.urgent++
	}
	b.askAhead(batch)
	s.conn.Returned(batch)
}

// askAhead puts the questions of the requests behind the first, which has them: that saves them a way back of their own.
func (b *Broker) askAhead(batch *Batch) {
	before := batch.Requests[0].Asked
	asked := len(before)
	for i := range batch.Requests[1:] {
		r := &batch.Requests[1+i]
		if r.Op != Publish {
			continue
		}
		b.match(r.Kind, r.Names[0])
		if b.hasFilters() && !b.judged(r) {
			b.ask(r, before)
			before = r.Asked
			asked += len(before) * len(r.Payloads)
		}
		if b.clearMatched(); asked > maxAsked {
			break
		}
	}
}

// unpark lets go on what waited behind a batch that is done.
func (b *Broker) unpark(batch *Batch) {
	b.calm(batch)
	if s := batch.From; s.parked == batch {
		s.parked = nil
		b.ready = append(b.ready, batch.behind...)
		batch.behind = nil
	}
}

// calm ends the urgency of a batch, and with the last one the wait of subscriptions that add predicates.
func (b *Broker) calm(batch *Batch) {
	urgent := batch.parking.urgent
	batch.parking = parking{}
	if !urgent {
		return
	}
	if b.urgent--; b.urgent == 0 {
		b.ready = append(b.ready, b.waiting...)
		b.waiting = nil
	}
}

// needs tells whether a publish must go back: if so, it now says what to ask. The topic is in flight. A run always goes
// back, to come again message by message; its connection decides whether it would be let in at all.
func (b *Broker) needs(s *Subscriber, r *Request) bool {
	if !b.hasFilters() || len(r.Payloads) == 1 && b.judged(r) || !s.conn.Takes(r) {
		return false
	}
	b.ask(r, nil)
	return true
}

// needsKept is needs for a transaction: all verdicts must be there when it begins. It stops when they are too many,
// because all connections wait for it.
func (b *Broker) needsKept(s *Subscriber, r *Request) (needs bool) {
	if b.predicateCount == 0 || !s.conn.Takes(r) {
		return false
	}
	var before []Predicate
	asked := 0
	kept := s.conn.Kept(r)
	for i := range kept {
		if kept[i].Op != Publish {
			continue
		}
		b.match(kept[i].Kind, kept[i].Names[0])
		if b.hasFilters() && !b.judged(&kept[i]) {
			b.ask(&kept[i], before)
			before = kept[i].Asked
			asked += len(before)
			needs = true
		}
		if b.clearMatched(); asked > MaxVerdicts {
			break
		}
	}
	return needs
}

// brings tells whether a Subscribe brings a predicate that its name does not have yet.
func (b *Broker) brings(r *Request) bool {
	for i := range r.Filters {
		f := &r.Filters[i]
		if f.Predicate == nil {
			continue
		}
		set := b.lookup(r.Kind, r.Names[i][:f.TopicLen])
		if set == nil || set.filters == nil || set.filters.find(f.Predicate) == nil {
			return true
		}
	}
	return false
}
