package broker

import (
	"context"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// errand is the Tag of a request: which of its client's requests it is, in the order sent.
type errand struct {
	serial  int
	effects int       // what the connection is told of it; 0 if that depends
	kept    []Request // of an Exec
	joins   bool
}

// effect is one call of a Conn. All clients write to one log, for all calls come from the core's goroutine.
type effect struct {
	what    string
	who     int
	serial  int    // of the request that it answers
	hold    hold   // subscribed, unsubscribed, message
	wide    bool   // unsubscribed
	topic   string // published, message
	payload string
	kind    Kind
	count   int    // published: receivers; begin: requests
	place   uint64 // published, message: in the one order
}

// chronicle is the log. The count tells what a run of the test has met with.
type chronicle struct {
	effects []effect
	waited  int // subscribes
}

// chronicler is a Conn that writes to a chronicle.
type chronicler struct {
	*recorder // for what needs no record
	sub       *Subscriber
	who       int
	log       *chronicle
	by        *submitter
	ended     atomic.Bool

	// The submitter's, until all is over.
	sent    []*Batch
	errands []*errand // without those behind a leave
	leaves  bool
}

func (c *chronicler) write(q *Request, e effect) {
	e.who = c.who
	if q != nil {
		e.serial = q.Tag.(*errand).serial
	}
	c.log.effects = append(c.log.effects, e)
}

func (*chronicler) Flush()                   {}
func (c *chronicler) EndExec(*Request, View) { c.write(nil, effect{what: "commit"}) }

func (c *chronicler) Admit(q *Request) bool {
	if q.Waited {
		c.log.waited++
	}
	return true
}

func (c *chronicler) holdOf(s *Subscription) hold { return hold{c.who, s.Kind(), s.Form, s.Name()} }

func (c *chronicler) Deferred(s *Subscription, start any, last uint64, v View) bool {
	c.recorder.Deferred(s, start, last, v)
	c.write(nil, effect{what: "deferred", hold: c.holdOf(s), place: last})
	return true
}

func (c *chronicler) Dropped(s *Subscription) {
	c.recorder.Dropped(s)
	c.write(nil, effect{what: "dropped", hold: c.holdOf(s)})
}

// join joins the oldest subscription that is deferred.
func (c *chronicler) join(q *Request, v View) {
	e := effect{what: "nothing joins"}
	if len(c.deferred) > 0 {
		if last, previous, ok := v.Join(c.deferred[0]); ok {
			e = effect{what: "joined", hold: c.holdOf(c.deferred[0]), place: last, count: int(previous)} //nolint:gosec // a count
			c.deferred = c.deferred[1:]
		}
	}
	c.write(q, e)
}

func (c *chronicler) Reply(q *Request, v View) {
	if q.Tag.(*errand).joins {
		c.join(q, v)
		return
	}
	what := "answer"
	if q.Op == Reset {
		what = "reset"
	}
	c.write(q, effect{what: what})
}

func (c *chronicler) AcceptsRun(q *Request) (parts []Request, whole bool) {
	for i := range q.Payloads {
		part := *q
		part.Payloads = q.Payloads[i : i+1]
		parts = append(parts, part)
	}
	return parts, false
}

func (c *chronicler) Published(q *Request, _ int, m *Message) {
	first, receivers := m.Sequence, m.Receivers
	c.write(q, effect{what: "published", topic: string(q.Names[0]), payload: string(q.Payloads[0]), kind: q.Kind,
		place: first, count: receivers})
}

func (c *chronicler) Subscribed(q *Request, name []byte, _ int) {
	c.write(q, effect{what: "subscribed", hold: hold{c.who, q.Kind, q.Form, string(name)}})
}

func (c *chronicler) Unsubscribed(q *Request, name []byte, _ int) {
	c.write(q, effect{what: "unsubscribed", hold: hold{c.who, q.Kind, q.Form, string(name)}, wide: q.IncludeFiltered && len(q.Names) > 0})
}

func (c *chronicler) BeginExec(q *Request, _ View) []Request {
	c.write(q, effect{what: "begin", count: len(keptOf(q))})
	return keptOf(q)
}

func (c *chronicler) Deliver(m *Message, s *Subscription) bool {
	c.messages++
	c.write(nil, effect{what: "message", hold: hold{c.who, s.Kind(), s.Form, s.Name()}, topic: string(m.Topic),
		payload: string(m.Payloads[0]), place: m.Sequence})
	return c.limit > 0 && c.messages >= c.limit
}

func (c *chronicler) Applied(b *Batch) {
	c.recorder.Applied(b)
	c.by.applied <- b
}

func (c *chronicler) Ended(e EndReason, _ any) {
	c.ended.Store(true)
	what := "evicted"
	if e == Left {
		what = "left"
	}
	c.write(nil, effect{what: what})
}

// submitter is a goroutine that draws batches for one client after the other, and judges them.
type submitter struct {
	*draw
	*versions
	log     *chronicle
	join    func(*submitter) *chronicler
	client  *chronicler
	current atomic.Pointer[Subscriber] // of client: others evict it
	others  []*submitter

	applied chan *Batch // never full: nobody keeps the core waiting
	out     int         // submitted, and not yet handed back
}

// foreign is the Tag of a batch that another submitter has sent.
const foreign = "foreign"

func (s *submitter) run(steps int) {
	for range steps {
		s.collect(s.out)
		if s.IntN(100) == 0 {
			victim := s.others[s.IntN(len(s.others))].current.Load()
			s.core.Submit(&Batch{From: victim, Requests: []Request{evictBy("eve")}, Tag: foreign})
		}
		s.step()
		s.yield()
	}
	s.submitPieces(leave())
	s.collect(0)
}

// yield lets others run now and then: on a single processor they would never be between two steps.
func (s *submitter) yield() {
	for range s.IntN(3) {
		runtime.Gosched()
	}
}

// collect takes back what has been applied, and waits until no more than so many batches are out.
func (s *submitter) collect(most int) {
	for s.out > most {
		s.settled(<-s.applied)
	}
	for {
		select {
		case batch := <-s.applied:
			s.settled(batch)
		default:
			return
		}
	}
}

func (s *submitter) settled(batch *Batch) {
	if batch.Tag != foreign {
		s.out--
	}
}

func (s *submitter) step() {
	if s.client == nil || s.client.ended.Load() && s.IntN(3) == 0 { // until then it goes on asking, in vain
		s.client = s.join(s)
		s.current.Store(s.client.sub)
	}
	s.submitPieces(s.batch()...)
}

// submitPieces submits requests, judged one moment and submitted the next. Nothing goes behind a Subscribe that may wait.
func (s *submitter) submitPieces(requests ...Request) {
	s.stamp(requests)
	for _, piece := range inPieces(requests) {
		x := s.enter()
		s.yield()
		batch := &Batch{From: s.client.sub, Version: x.Version(), Requests: judge(x, piece)}
		s.client.sent = append(s.client.sent, batch)
		s.yield()
		s.out++
		s.core.Submit(batch)
		s.yield()
		s.leave(x.Version())
		if piece[len(piece)-1].Filters != nil {
			s.collect(0)
		}
	}
}

// stamp gives each request its errand.
func (s *submitter) stamp(requests []Request) {
	c := s.client
	for i := range requests {
		q := &requests[i]
		e := &errand{serial: len(c.errands) + 1, effects: 1, kept: keptOf(q), joins: q.Op == Reply && q.Tag == joinOldest}
		if q.Tag = e; q.Op == Leave || q.Op == Evict {
			c.leaves = c.leaves || q.Op == Leave
			continue
		}
		if !c.leaves {
			c.errands = append(c.errands, e)
		}
		switch q.Op {
		case Publish:
			e.effects = len(q.Payloads)
		case Subscribe, Unsubscribe:
			e.effects = len(q.Names)
		}
		s.stamp(e.kept)
	}
}

// replay holds a chronicle against the contract, in the order in which it was written.
type replay struct {
	*testing.T
	model     model
	clients   []*chronicler
	last      []int // serial of the request of each client that had an effect last
	times     []int // how many effects it has had
	ended     []string
	published uint64
	joined    int
	executes  int // the client whose transaction is being applied, or -1
}

func (r *replay) all(effects []effect) {
	for len(effects) > 0 {
		e := effects[0]
		effects = effects[1:]
		require.Empty(r, r.ended[e.who], "client %d is told of %s after its end", e.who, e.what)
		require.True(r, r.executes == -1 || r.executes == e.who, "%s comes into a transaction", e.what)
		if e.serial > 0 {
			r.inOrder(e)
		}
		switch e.what {
		case "published":
			effects = r.publish(e, effects)
		case "deferred":
			require.Equal(r, r.published, e.place)
			r.model.deferHold(e.hold)
		case "dropped":
			require.True(r, slices.ContainsFunc(r.model.deferred, func(w wait) bool { return w.hold == e.hold }), "%+v", e)
			r.model.drop(e.hold)
		case "joined":
			r.join(e)
		case "subscribed":
			r.model.subscribe(e.hold)
		case "unsubscribed":
			r.model.drop(e.hold)
			if e.wide {
				r.model.dropWide(e.who, e.hold.kind, e.hold.form, e.hold.name)
			}
		case "reset":
			r.model.dropAll(e.who)
		case "begin":
			if e.count > 0 {
				r.executes = e.who
			}
		case "commit":
			r.executes = -1
		case "left", "evicted":
			r.model.dropAll(e.who)
			r.ended[e.who] = e.what
		case "message":
			require.Fail(r, "a message that was not due", "%+v", e)
		}
	}
}

// join holds a Join to its instant, and to what it says of messages before.
func (r *replay) join(e effect) {
	require.Equal(r, r.published, e.place)
	at := slices.IndexFunc(r.model.deferred, func(w wait) bool { return w.hold == e.hold })
	require.GreaterOrEqual(r, at, 0, "%+v", e)
	require.Equal(r, r.model.deferred[at].previous, e.count, "%+v", e)
	r.model.deferred = slices.Delete(r.model.deferred, at, at+1)
	r.model.join(e.hold)
	r.joined++
}

// publish holds a message to exactly those receivers that the subscriptions of the instant demand, in their order.
func (r *replay) publish(e effect, then []effect) (rest []effect) {
	r.published++
	require.Equal(r, r.published, e.place)
	r.model.published = int(r.published) //nolint:gosec // a count
	r.model.noteDeferred(e.kind, e.topic, e.payload)
	want := r.model.receivers(e.kind, e.topic, e.payload)
	require.Len(r, want, e.count, "the reply to %+v", e)
	require.GreaterOrEqual(r, len(then), len(want))
	for i, h := range want {
		due := effect{what: "message", who: h.by, hold: h, topic: e.topic, payload: e.payload, place: r.published}
		require.Equal(r, due, then[i])
	}
	return then[len(want):]
}

// inOrder holds the effects of one client's requests to the order in which it sent them, each as often as it should.
func (r *replay) inOrder(e effect) {
	if e.serial != r.last[e.who] {
		r.complete(e.who)
		require.Equal(r, r.last[e.who]+1, e.serial, "client %d: the request that takes effect next", e.who)
		r.last[e.who], r.times[e.who] = e.serial, 0
	}
	r.times[e.who]++
}

// complete tells that the last request of a client has had all its effects.
func (r *replay) complete(who int) {
	if r.last[who] == 0 {
		return
	}
	want := r.clients[who].errands[r.last[who]-1].effects
	require.True(r, want == 0 || want == r.times[who], "client %d: request %d had %d effects", who, r.last[who], r.times[who])
}

// Many submitters at once, whose batches are judged at any time while predicates come and go, connections end, and are
// evicted. In what order the core takes things is known only afterwards: from what it tells, all in one log. That order
// is then gone through once more, by the model.
func TestPredicatesUnderChurn(t *testing.T) {
	const submitters = 8
	seed, steps := seedFor(t), *stepsFlag/submitters
	log := &chronicle{}
	b, shared := newJudged(Options{Inbox: 4})
	ctx, stop := context.WithCancel(t.Context())
	go b.Run(ctx)
	defer func() { stop(); <-b.done }()

	var mu sync.Mutex
	var clients []*chronicler
	join := func(s *submitter) *chronicler {
		mu.Lock()
		defer mu.Unlock()
		c := &chronicler{recorder: &recorder{limit: s.IntN(2) * (1 + s.IntN(500))}, who: len(clients), log: log, by: s}
		c.sub = NewSubscriber(c)
		clients = append(clients, c)
		return c
	}
	all := make([]*submitter, submitters)
	for i := range all {
		all[i] = &submitter{
			draw: &draw{Rand: rand.New(rand.NewPCG(seed, uint64(4+i))), narrow: true}, versions: shared, log: log, join: join, others: all,
			applied: make(chan *Batch, 6*(steps+1)*(submitters+1)),
		}
		all[i].client = join(all[i])
		all[i].current.Store(all[i].client.sub)
	}
	var running sync.WaitGroup
	for _, s := range all {
		running.Go(func() { s.run(steps) })
	}
	running.Wait()
	fence(b)
	stop()
	<-b.done

	r := &replay{T: t, clients: clients, executes: -1}
	r.last, r.times, r.ended = make([]int, len(clients)), make([]int, len(clients)), make([]string, len(clients))
	r.all(log.effects)
	for who, c := range clients {
		requireHandedBackOnce(t, c)
		requireHoldsNothing(t, c.sub)
		require.NotEmpty(t, r.ended[who], "client %d", who)
		if r.ended[who] == "left" { // and was not evicted in the middle of something
			r.complete(who)
			assert.Len(t, c.errands, r.last[who], "client %d left before all of its requests had taken effect", who)
		}
	}
	require.Empty(t, r.model.held)
	requireEmpty(t, b)
	require.Empty(t, b.grace.waiting.size)
	t.Logf("%d effects, %d clients, %d publishes, %d subscribes waited, %d versions, %d joins", len(log.effects), len(clients), r.published,
		log.waited, b.index.version, r.joined)
}

// requireHandedBackOnce holds the core to handing back what was submitted, each batch once and in that order. An eviction
// ends what waits.
func requireHandedBackOnce(t *testing.T, c *chronicler) {
	t.Helper()
	evicts := func(b *Batch) bool { return b.Tag == foreign || len(b.Requests) == 1 && b.Requests[0].Op == Evict }
	times, sent := map[*Batch]int{}, slices.DeleteFunc(slices.Clone(c.sent), evicts)
	for _, batch := range c.applied {
		times[batch]++
	}
	for _, batch := range c.sent {
		require.Equal(t, 1, times[batch], "a batch is handed back")
	}
	require.True(t, slices.Equal(sent, slices.DeleteFunc(c.applied, evicts)), "batches come back out of order")
}
