package broker

import (
	"context"
	"runtime"

	"github.com/conchmq/conch/internal/invariant"
)

// Options are the limits of a Broker. The zero value is ready to use.
type Options struct {
	// Inbox is the number of batches that may be queued for the core before Submit blocks. Default 128: enough to keep
	// the core busy while readers wake, and bounded memory (a batch is one socket read).
	Inbox int
	// Sequence is the number that the sequence goes on behind: that of the last message of an earlier start, 0 if there is none.
	Sequence uint64
}

// A round is what the core applies between two flushes. Under load one flush, and so one lock and one wake-up, serves many
// batches. The bounds keep the delay of the first one short, and the queued bytes few.
const (
	maxBatchesPerFlush = 64   // batches
	maxWorkPerFlush    = 4096 // requests, names and deliveries, about: a round that has done so many starts no further request

	fullRoundsPerYield = 4 // see yield
)

// maxDropsPerRequest bounds the subscriptions that one request ends when it ends all of a subscriber: a million would take
// half a second. The connection submits the request again for the rest: see Request.Unfinished.
const maxDropsPerRequest = 1000

// Broker is the core. New makes it, Run runs it, Submit queues requests for it.
type Broker struct {
	inbox chan *Batch
	done  chan struct{} // closed when Run has returned: it ends every blocked Submit

	// The fields below belong to the goroutine of Run alone.
	sets            [kinds]map[string]*subscriberSet
	patterns        patternIndex
	subscriberCount int // those that hold at least one subscription
	sequence        uint64
	first           uint64 // the sequence at the start
	appended        uint64 // numbers that went to entries of streams
	deliveries      uint64
	dirty           []*Subscriber
	evicting        []*Subscriber
	matched         []*subscriberSet // the sets that the topic in flight matches
	message         Message          // in flight; a field, because a local one would escape to the heap at each Deliver

	predicateCount  int    // distinct names with a predicate
	patternCount    int    // distinct patterns, with a predicate or without
	filteredCount   uint64 // messages times subscriptions: what predicates rejected
	unreadableCount uint64 // of these, those that lacked a field that the predicate reads

	filtered map[filteredName]*predicateSets // all of them
	index    *Index                          // the last one handed out
	onIndex  func(*Index) bool               // nil if there is no publisher that judges: see OnIndex
	grace    grace
	version  uint64               // of the batch that is being applied
	keep     func(View, *Message) // see OnPublish; nil if nothing is kept
	deferred int                  // subscriptions that have not joined
	verdicts []Judgement          // on the message in flight, of predicates that are still there

	inExec     bool // a transaction is being applied: nothing in it waits
	work       int  // done in this round
	fullRounds uint // rounds that ended with work left
}

// New makes a Broker. Batches wait in its inbox until Run starts.
func New(o Options) *Broker {
	if o.Inbox <= 0 {
		o.Inbox = 128
	}
	b := &Broker{
		inbox: make(chan *Batch, o.Inbox), done: make(chan struct{}),
		filtered: make(map[filteredName]*predicateSets), index: new(Index), sequence: o.Sequence, first: o.Sequence,
	}
	b.grace.waiting.onMove = batchMoved
	for k := range b.sets {
		b.sets[k] = make(map[string]*subscriberSet)
	}
	return b
}

// Submit queues a batch for the core, and blocks while the inbox is full. The core applies the batches of one submitter in
// the order submitted. False means that the core has stopped and will never apply the batch. True means that it will,
// unless it stops first: see Stopped. Any goroutine may call Submit but the core's own, which would deadlock.
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

// Stopped is closed when Run has returned: nothing comes from the core any more.
func (b *Broker) Stopped() <-chan struct{} { return b.done }

// Run is the core's goroutine: it applies batches until ctx ends. Batches still in the inbox then are not applied, so
// the caller first ends all submitters.
func (b *Broker) Run(ctx context.Context) {
	defer close(b.done)
	for {
		select {
		case batch := <-b.inbox:
			b.grace.taken++
			b.apply(batch)
			full := b.drain()
			if !full { // readers that are about to submit come first: one flush serves their batches too
				runtime.Gosched()
				full = b.drain()
			}
			b.refresh()
			b.flush()
			if full {
				b.yield()
			}
		case <-ctx.Done():
			return
		}
	}
}

// yield gives the processor to readers and writers once in fullRoundsPerYield full rounds: otherwise they would wait until the
// runtime preempts the core, which takes 10 ms. A yield after each round would cost a tenth of the throughput.
func (b *Broker) yield() {
	if b.fullRounds++; b.fullRounds%fullRoundsPerYield == 0 {
		runtime.Gosched()
	}
}

// drain takes the batches that are there by now, so that one flush serves them all. It reports whether more may be waiting.
func (b *Broker) drain() (full bool) {
	for n := 1; n < maxBatchesPerFlush && b.work < maxWorkPerFlush; n++ {
		select {
		case batch := <-b.inbox:
			b.grace.taken++
			b.apply(batch)
		default:
			return false
		}
	}
	return true
}

// flush ends the round with one Flush for each connection with output in it.
func (b *Broker) flush() {
	for i, s := range b.dirty {
		s.dirty = false
		s.conn.Flush()
		b.dirty[i] = nil
	}
	b.dirty = b.dirty[:0]
	b.work = 0
}

// addWork counts work, and flushes in the middle of a batch or a transaction when the round has done too much.
func (b *Broker) addWork(work int) {
	if b.work += work; b.work >= maxWorkPerFlush {
		b.flush()
	}
}

// markDirty schedules a Flush for s at the end of the round.
func (b *Broker) markDirty(s *Subscriber) {
	if !s.dirty {
		s.dirty = true
		b.dirty = append(b.dirty, s)
	}
}

// apply takes a batch through the core, request by request, and hands it back. A Subscribe that must wait parks it; an
// eviction ends it. Evictions happen between requests only: a walk over subscribers never sees its set change.
func (b *Broker) apply(batch *Batch) {
	switch {
	case batch.unused > 0:
		b.markUnused(batch.unused)
		return
	case batch.keep != nil:
		b.keep = batch.keep
		return
	}
	s := batch.From
	invariant.Check(s.parked == nil || batch.Requests[0].ends(), "a batch comes while an earlier one of its subscriber waits")
	b.version = batch.Version
	for i := range batch.Requests {
		if i > 0 {
			b.addWork(1)
		}
		if s.ended || s.leaving && !batch.Requests[i].ends() {
			if batch.Instead == nil {
				b.dropRest(s, batch)
				break // evicted, or leaving: its later commands never take effect, and the server closes the connection
			}
			s = batch.Instead
		}
		if b.handle(s, &batch.Requests[i]) == waits {
			b.park(batch, i)
			return
		}
		b.evictScheduled()
	}
	b.markDirty(batch.From)
	batch.From.conn.Applied(batch)
}

// outcome is what became of a request.
type outcome uint8

const (
	done  outcome = iota
	waits         // it has changed nothing, and must wait for a grace period
)

// handle applies one request, unless the connection refuses it.
func (b *Broker) handle(s *Subscriber, r *Request) outcome {
	switch r.Op {
	case Leave:
		s.leaving = true
		b.abandon(s)
		if r.Unfinished = !b.dropSome(s, maxDropsPerRequest); !r.Unfinished {
			b.end(s, Left, nil)
		}
		return done
	case Evict:
		b.scheduleEviction(s, r.Tag)
		return done
	case Publish:
		b.publish(s, r)
		return done
	}
	if !s.conn.Admit(r) {
		if r.Waited {
			b.unclaim(r)
		}
		return done
	}
	switch r.Op {
	case Subscribe:
		if r.Filters != nil && !r.Waited && b.waits(r) {
			invariant.Check(!b.inExec, "a transaction subscribes with a predicate")
			return waits
		}
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

// exec applies a transaction at one instant: no request of another connection comes between its own.
func (b *Broker) exec(s *Subscriber, r *Request) {
	queued := s.conn.BeginExec(r, View{b})
	b.inExec = true
	for i := range queued {
		b.handle(s, &queued[i])
		b.addWork(1)
	}
	b.inExec = false
	if len(queued) > 0 {
		s.conn.EndExec(r, View{b})
	}
}

// scheduleEviction evicts s as soon as the request at hand is done. The first cause stays.
func (b *Broker) scheduleEviction(s *Subscriber, tag any) {
	if !s.ended && !s.evicting {
		s.evicting, s.evictTag = true, tag
		b.evicting = append(b.evicting, s)
	}
}

// evictScheduled ends the subscribers to be evicted. They drop maxDropsPerRequest subscriptions together; the connections
// leave the rest by Leave requests of their own.
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

// dropRest applies the Leave of an evicted subscriber: it drops subscriptions that the eviction had no quota for.
func (b *Broker) dropRest(s *Subscriber, batch *Batch) {
	if r := &batch.Requests[0]; r.Op == Leave {
		r.Unfinished = !b.dropSome(s, maxDropsPerRequest)
	}
}

// unsubscribe confirms each name, held or not, as Redis does. Without names it means all; if none is held, it confirms once,
// without a name.
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

// unsubscribeAll drops maxDropsPerRequest subscriptions at most, and all of them in a transaction, which is one instant.
func (b *Broker) unsubscribeAll(s *Subscriber, r *Request) {
	limit := s.CountKind(r.Form, r.Kind)
	if !b.inExec {
		limit = min(limit, maxDropsPerRequest)
	}
	leaving := make([]*Subscription, 0, limit) // collected first: drop may compact the list under the walk
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

// end takes a subscriber out of the core, for each EndReason. It comes once: nothing of s is applied afterwards.
func (b *Broker) end(s *Subscriber, reason EndReason, tag any) {
	invariant.Check(!s.ended, "a subscriber ends twice")
	b.abandon(s)
	s.ended = true
	s.conn.Ended(reason, tag)
}
