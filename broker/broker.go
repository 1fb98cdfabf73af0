package broker

import (
	"context"
	"runtime"

	"github.com/conchmq/conch/internal/invariant"
)

// Options are the limits of a Broker. The zero value is ready to use.
type Options struct {
	// Inbox is how many batches may wait for the core before submitters wait in turn. Default 128: enough to keep the
	// core busy while readers are woken, and bounded memory (a batch is one socket read).
	Inbox int
}

// A round ends with a flush: under load one flush, and so one lock and one wake-up, serves many batches. Bounds keep the
// first of them from waiting for long, and what waits from growing.
const (
	maxBatchesPerFlush = 64   // batches at most
	maxWorkPerFlush    = 4096 // requests, names and deliveries, about: no request begins in a round that has done so many

	fullRoundsPerYield = 4 // between two yields
)

// maxDropsPerRequest is how many subscriptions a request ends at most, if it ends all that somebody holds: a million would take
// half a second. Whoever holds more comes again: see Request.Unfinished.
const maxDropsPerRequest = 1000

// Broker is the core. Make it with New, run it with Run, speak to it with Submit.
type Broker struct {
	inbox chan *Batch
	done  chan struct{} // closed when Run has returned: nobody is left waiting in Submit

	// What follows belongs to the goroutine of Run alone.
	sets            [kinds]map[string]*subscriberSet
	patterns        patternIndex
	subscriberCount int // those that hold at least one subscription
	sequence        uint64
	deliveries      uint64
	dirty           []*Subscriber
	evicting        []*Subscriber
	matched         []*subscriberSet // whom the topic in flight reaches
	message         Message          // what is in flight; a field so that passing it on does not allocate

	predicateCount  int      // distinct names with a predicate
	patternCount    int      // distinct patterns, with a predicate or without
	filteredCount   uint64   // messages times subscriptions: what predicates kept back
	unreadableCount uint64   // of these, for want of what the predicate reads
	said            []said   // of the message in flight
	urgent          int      // batches that have run out of patience: see park.go
	waiting         []*Batch // those that wait until there is none
	ready           []*Batch // those that need not wait any more
	inExec          bool     // a transaction is being applied: nothing in it goes back or waits
	work            int      // done in this round
	fullRounds      uint     // rounds that ended with work left
}

// New makes a Broker that Run has yet to start.
func New(o Options) *Broker {
	if o.Inbox <= 0 {
		o.Inbox = 128
	}
	b := &Broker{inbox: make(chan *Batch, o.Inbox), done: make(chan struct{})}
	for k := range b.sets {
		b.sets[k] = make(map[string]*subscriberSet)
	}
	return b
}

// Submit hands a batch to the core, and waits while the inbox is full. Batches of one submitter are applied in the
// order submitted. False means that the core has stopped and will never apply it; true means that it will, unless it
// stops first: see Stopped.
func (b *Broker) Submit(batch *Batch) bool {
	select {
	case <-b.done: // first: a select with two ready cases takes either
		return false
	default:
	}
	select {
	case b.inbox <- batch:
		return true
	case <-b.done:
		return false
	}
}

// Stopped is closed when Run has returned: whoever waits for something from the core need not wait any longer.
func (b *Broker) Stopped() <-chan struct{} { return b.done }

// Run is the core's goroutine: it applies batches until ctx ends. Batches still in the inbox then are not applied, so
// whoever stops the core first sees to it that all submitters have left.
func (b *Broker) Run(ctx context.Context) {
	defer close(b.done)
	for {
		select {
		case batch := <-b.inbox:
			b.apply(batch)
			full := b.drain()
			b.flush()
			if full {
				b.yield()
			}
		case <-ctx.Done():
			return
		}
	}
}

// yield lets others have the processor after some full rounds: readers and writers need one, too, and would wait until
// the runtime interrupts the core, which is 10 ms. After each round it would cost a tenth of the throughput.
func (b *Broker) yield() {
	if b.fullRounds++; b.fullRounds%fullRoundsPerYield == 0 {
		runtime.Gosched()
	}
}

// drain applies the batches that are there by now, so that one flush serves them all. Runnable batches come first and do
// not count: they have left the inbox before. It reports whether more may be waiting.
func (b *Broker) drain() (full bool) {
	for n := 1; ; {
		if next := b.nextReady(); next != nil {
			b.apply(next)
			continue
		}
		if n++; n > maxBatchesPerFlush || b.work >= maxWorkPerFlush {
			return true
		}
		select {
		case batch := <-b.inbox:
			b.apply(batch)
		default:
			return false
		}
	}
}

// flush tells everyone who was spoken to in this round, once each.
func (b *Broker) flush() {
	for i, s := range b.dirty {
		s.dirty = false
		s.conn.Flush()
		b.dirty[i] = nil
	}
	b.dirty = b.dirty[:0]
	b.work = 0
}

// addWork counts work, and flushes what a request in the middle of others has made too much.
func (b *Broker) addWork(work int) {
	if b.work += work; b.work >= maxWorkPerFlush {
		b.flush()
	}
}

// markDirty notes that s is owed a Flush.
func (b *Broker) markDirty(s *Subscriber) {
	if !s.dirty {
		s.dirty = true
		b.dirty = append(b.dirty, s)
	}
}

// nextReady returns the first of the batches that need not wait any more, or nil.
func (b *Broker) nextReady() *Batch {
	if len(b.ready) == 0 {
		return nil
	}
	next := b.ready[0]
	b.ready[0] = nil
	if b.ready = b.ready[1:]; len(b.ready) == 0 {
		b.ready = nil
	}
	return next
}

// apply is the one way of a batch into the core.
func (b *Broker) apply(batch *Batch) {
	s := batch.From
	if b.hold(batch) {
		return
	}
	for i := range batch.Requests {
		if i > 0 {
			b.addWork(1)
		}
		if s.ended || s.leaving && !batch.Requests[i].ends() {
			b.dropRest(s, batch)
			break // evicted, or leaving: its later commands never take effect, and its connection is being closed
		}
		if o := b.handle(s, &batch.Requests[i]); o != done {
			b.park(batch, i, o)
			return
		}
		b.evictScheduled()
	}
	b.unpark(batch)
	b.markDirty(s)
	s.conn.Applied(batch)
}

// handle applies one request, but for what the connection refuses.
func (b *Broker) handle(s *Subscriber, r *Request) outcome {
	switch r.Op {
	case Leave:
		s.leaving = true
		if r.Unfinished = !b.dropSome(s, maxDropsPerRequest); !r.Unfinished {
			b.end(s, Left, nil)
		}
		return done
	case Evict:
		b.scheduleEviction(s, r.Tag)
		return done
	case Publish:
		return b.publish(s, r)
	case Subscribe:
		if b.urgent > 0 && !b.inExec && b.brings(r) {
			return deferred
		}
	case Exec:
		if b.needsKept(s, r) {
			return returned
		}
	}
	if !s.conn.Admit(r) {
		return done
	}
	switch r.Op {
	case Subscribe:
		b.subscribeAll(s, r)
	case Unsubscribe:
		b.unsubscribe(s, r)
	case Exec:
		b.exec(s, r)
	default:
		if r.Op == Reset {
			if r.Unfinished = !b.dropSome(s, maxDropsPerRequest); r.Unfinished {
				return done
			}
		}
		s.conn.Reply(r, View{b})
	}
	return done
}

// exec applies a transaction: one request of the order, whatever is in it.
func (b *Broker) exec(s *Subscriber, r *Request) {
	queued := s.conn.BeginExec(r)
	b.inExec = true
	for i := range queued {
		b.handle(s, &queued[i])
		b.addWork(1)
	}
	b.inExec = false
	if len(queued) > 0 {
		s.conn.EndExec(r)
	}
}

// scheduleEviction has s evicted as soon as the request at hand is done. The first cause stays.
func (b *Broker) scheduleEviction(s *Subscriber, tag any) {
	if !s.ended && !s.evicting {
		s.evicting, s.evictTag = true, tag
		b.evicting = append(b.evicting, s)
	}
}

// evictScheduled ends those that are to be evicted. What they hold together and is too much for one instant, their owners leave.
func (b *Broker) evictScheduled() {
	quota := maxDropsPerRequest
	for i, s := range b.evicting {
		before := s.held.size
		b.dropSome(s, quota)
		quota -= before - s.held.size
		b.end(s, Evicted, s.evictTag)
		b.evicting[i] = nil
	}
	b.evicting = b.evicting[:0]
}

// dropRest lets an evicted subscriber leave what it still holds.
func (b *Broker) dropRest(s *Subscriber, batch *Batch) {
	if r := &batch.Requests[0]; r.Op == Leave {
		r.Unfinished = !b.dropSome(s, maxDropsPerRequest)
	}
}

// unsubscribe answers each name, held or not, as Redis does; and once, with no name, if all were meant and none held.
func (b *Broker) unsubscribe(s *Subscriber, r *Request) {
	if len(r.Names) > 0 {
		b.work += len(r.Names)
		for _, name := range r.Names {
			if sub := s.find(r.Kind, r.Form, name); sub != nil {
				b.drop(sub)
			}
			if r.IncludeFiltered {
				b.dropFiltered(s, r, name)
			}
			s.conn.Unsubscribed(r, name, s.Count(r.Form, r.Kind))
		}
		return
	}
	if s.counts[r.Form][r.Kind] == 0 {
		s.conn.Unsubscribed(r, nil, s.Count(r.Form, r.Kind))
		return
	}
	b.unsubscribeAll(s, r)
}

// unsubscribeAll is one request as far as it goes. In a transaction it goes all the way: that is one instant.
func (b *Broker) unsubscribeAll(s *Subscriber, r *Request) {
	limit := s.CountKind(r.Form, r.Kind)
	if !b.inExec {
		limit = min(limit, maxDropsPerRequest)
	}
	leaving := make([]*Subscription, 0, limit)
	for _, sub := range s.held.items {
		if sub != nil && sub.Form == r.Form && sub.set.kind == r.Kind {
			if leaving = append(leaving, sub); len(leaving) == limit {
				break
			}
		}
	}
	for _, sub := range leaving {
		b.drop(sub)
		s.conn.Unsubscribed(r, []byte(sub.Name()), s.Count(r.Form, r.Kind))
	}
	b.work += len(leaving)
	r.Unfinished = s.CountKind(r.Form, r.Kind) > 0
}

// end is the one way out of the core, whoever wanted it. Nothing of s is applied afterwards, so it comes once.
func (b *Broker) end(s *Subscriber, reason EndReason, tag any) {
	invariant.Check(!s.ended, "a subscriber ends twice")
	s.ended = true
	s.conn.Ended(reason, tag)
}
