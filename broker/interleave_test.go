package broker

import (
	"bytes"
	"context"
	"flag"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/conchmq/conch/internal/testseed"
	"github.com/stretchr/testify/require"
)

var (
	seedFlag  = flag.Uint64("seed", 0, "seed of the random tests; 0 draws one")
	stepsFlag = flag.Int("steps", 10_000, "batches that the model test submits")
)

// seedFor draws a seed, and tells it when the test has failed.
func seedFor(t *testing.T) uint64 {
	seed := *seedFlag
	for seed == 0 {
		seed = testseed.New()
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("replay with -seed=%d", seed)
		}
	})
	return seed
}

// Few names, so that subscriptions meet and become many of one name, and vanish and come back.
var (
	someTopics = []string{"a", "b", "ab", "ba", ""}
	someGlobs  = []string{"*", "a*", "*b", "?", "[^a]*", "a", "a\\b"}
)

// draw makes up batches.
type draw struct {
	*rand.Rand
	payload int
	narrow  bool // conditions are drawn as well
}

func (d *draw) one(of []string) []byte { return []byte(of[d.IntN(len(of))]) }

// everyCondition subscribes to one name with each of them, so that they are more than a few.
func everyCondition(q Request, name []byte) Request {
	q.Names = nil
	for _, p := range someConditions {
		one := where(p, Request{Op: q.Op, Names: [][]byte{name}})
		q.Names, q.Filters = append(q.Names, one.Names...), append(q.Filters, one.Filters...)
	}
	return q
}

func (d *draw) condition() *condition { return someConditions[d.IntN(len(someConditions))] }

func (d *draw) batch() []Request {
	requests := make([]Request, 1+d.IntN(6))
	for i := range requests {
		requests[i] = d.request()
		switch q := &requests[i]; {
		case d.IntN(20) == 0 && q.Op != Evict && q.Op != Exec:
			q.Tag = refused
		case d.IntN(8) == 0 && len(q.Payloads) > 1:
			q.Tag = apart
		}
	}
	return requests
}

func (d *draw) request() Request {
	q := Request{Kind: Kind(d.IntN(int(kinds))), Form: Form(d.IntN(Forms))}
	names := [kinds][]string{Topic: someTopics, Pattern: someGlobs, Shard: someTopics}[q.Kind]
	switch n := d.IntN(210); {
	case n >= 200:
		return joins()
	case n < 90:
		p := publish(string(d.one(someTopics)))
		for range 1 + d.IntN(4)*d.IntN(2) { // a run, now and then
			d.payload++
			p.Payloads = append(p.Payloads, []byte{byte('0' + d.payload%10)})
		}
		if q.Kind == Shard {
			p.Kind = Shard
		}
		return p
	case n < 150:
		q.Op = Subscribe
		for range 1 + d.IntN(3) {
			q.Names = append(q.Names, d.one(names))
		}
		switch {
		case d.narrow && d.IntN(2) == 0:
			q = where(d.condition(), q)
		case d.narrow && d.IntN(16) == 0:
			q = everyCondition(q, d.one(names))
		}
		if d.IntN(4) == 0 {
			q = later(q, d.IntN(2) == 0)
		}
	case n < 185:
		q.Op = Unsubscribe
		for range d.IntN(4) { // none means all
			q.Names = append(q.Names, d.one(names))
		}
		switch d.IntN(6) {
		case 2:
			for i := range q.Names {
				q.Names[i] = append(bytes.Clone(q.Names[i]), laterMark...)
			}
		case 0:
			return where(d.condition(), q)
		case 1:
			return wide(q)
		}
	case n < 190:
		q.Op, q.Tag = Exec, []Request(nil)
		if kept := d.batch(); !slices.ContainsFunc(kept, endsOrExec) {
			q.Tag = kept
		}
	case n < 194:
		q.Op = Reset
	case n < 197:
		return answer()
	case n < 199:
		q.Op = Leave
	default:
		return evictBy("eve")
	}
	return q
}

// endsOrExec is what a transaction does not hold: a connection ends, and executes, outside of one, what it keeps is kept
// message by message, and it brings no predicates.
func endsOrExec(q Request) bool {
	return q.Op == Leave || q.Op == Evict || q.Op == Exec || len(q.Payloads) > 1 || q.Filters != nil
}

// pair drives the core and the model side by side.
type pair struct {
	*versions
	t       *testing.T
	draw    *draw
	model   *model
	all     []*client // by number, as in the model
	seats   []int     // who is around: replaced now and then once they have ended
	older   *Index    // held for a batch that is still to come; nil most of the time
	waiting []waiter  // until that has come
}

// waiter is a Subscribe that is in its grace period.
type waiter struct {
	who      int
	requests []Request
}

func (p *pair) join() int {
	c, m := newClient(), &modelClient{}
	if p.draw.IntN(2) == 0 {
		m.limit = 1 + p.draw.IntN(300)
	}
	c.limit, c.writesApplied, c.writesSequences = m.limit, true, true
	p.all, p.model.clients = append(p.all, c), append(p.model.clients, m)
	return len(p.all) - 1
}

func (p *pair) step() {
	switch {
	case p.older == nil && p.draw.IntN(50) == 0:
		p.older = p.enter()
	case p.older != nil && p.draw.IntN(20) == 0:
		p.release()
	}
	seat := p.draw.IntN(len(p.seats))
	who := p.seats[seat]
	if p.model.clients[who].waits {
		return
	}
	for _, q := range p.draw.batch() {
		if q.Filters == nil {
			p.apply(p.last(), p.submit, who, q)
		} else if !p.subscribe(who, q) {
			return
		}
	}
	if p.model.clients[who].ended && p.draw.IntN(3) == 0 { // until then it goes on asking, in vain
		p.seats[seat] = p.join()
	}
}

// apply has the core and the model take a batch. Runs that an index takes apart are single messages for either.
func (p *pair) apply(x *Index, submit func(*Batch) bool, who int, requests ...Request) {
	var f Finder
	for i := range requests {
		if q := &requests[i]; len(q.Payloads) > 1 && q.Tag == nil {
			if found, _ := f.Find(x, q.Kind, q.Names[0]); len(found) > 0 {
				q.Tag = apart
			}
		}
	}
	p.model.apply(who, requests)
	require.True(p.t, submit(p.all[who].batch(requests...)))
}

// subscribe waits until the core is idle: else the order in which subscriptions take effect is not that of the inbox. It returns
// false if this one must wait.
func (p *pair) subscribe(who int, q Request) bool {
	own := q
	own.Names = nil // the recorder spoils those of the batch
	for _, name := range q.Names {
		own.Names = append(own.Names, bytes.Clone(name))
	}
	require.True(p.t, p.submit(p.all[who].batch(q)))
	synctest.Wait()
	if p.all[who].sub.parked != nil {
		require.NotNil(p.t, p.older, "it waits for nothing")
		p.waiting = append(p.waiting, waiter{who, []Request{own}})
		p.model.clients[who].waits = true
		return false
	}
	p.model.apply(who, []Request{own})
	return true
}

// release submits a batch judged by the older index, which ends the grace period.
func (p *pair) release() {
	judged := func(batch *Batch) bool {
		batch.Version, batch.Requests = p.older.Version(), judge(p.older, batch.Requests)
		return p.core.Submit(batch)
	}
	if who := p.seats[p.draw.IntN(len(p.seats))]; !p.model.clients[who].waits {
		p.apply(p.older, judged, who, publish(string(p.draw.one(someTopics)), "4"), publish(string(p.draw.one(someTopics)), "7", "8"))
	}
	p.leave(p.older.Version())
	p.older = nil
	synctest.Wait()
	for _, w := range p.waiting {
		if c := p.model.clients[w.who]; c.waits {
			c.waits = false
			p.model.apply(w.who, w.requests)
		}
	}
	p.waiting = nil
}

// compare holds each transcript since the last time against the model's.
func (p *pair) compare() {
	p.t.Helper()
	synctest.Wait()
	for who, c := range p.all {
		require.Equal(p.t, p.model.clients[who].lines, c.lines, "client %d", who)
		require.False(p.t, c.owed, "client %d has been told something and not been flushed", who)
		c.lines, p.model.clients[who].lines = nil, nil
	}
}

// All clauses at once: whatever several clients ask, in whatever order, everyone is told exactly what a model of the
// contract says. The inbox is the order of everything, so one goroutine submits and the model takes the same order.
func TestRandomInterleavingsAgreeWithTheModel(t *testing.T) {
	seed := seedFor(t)
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		b, v := newJudged(Options{})
		p := &pair{versions: v, t: t, draw: &draw{Rand: rand.New(rand.NewPCG(seed, 2))}, model: &model{}}
		for range 8 {
			p.seats = append(p.seats, p.join())
		}
		go b.Run(ctx)
		for left := *stepsFlag; left > 0; {
			if p.draw.IntN(10) == 0 { // long without any, so that there are rounds of many batches
				p.draw.narrow = !p.draw.narrow
			}
			for n := min(left, 1+p.draw.IntN(100)); n > 0; n-- { // rounds of many batches, and of one
				p.step()
				left--
			}
			p.compare()
		}
		if p.older != nil {
			p.release()
		}
		for who := range p.all {
			p.apply(p.last(), p.submit, who, leave())
		}
		p.compare()
		requireEmpty(t, b)
	})
}
