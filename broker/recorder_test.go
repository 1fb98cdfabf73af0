package broker

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
)

// recorder is a Conn that records each call of the core as a line.
type recorder struct {
	lines   []string
	applied []*Batch

	flushes int
	owed    bool // called since its last Flush

	limit        int // Deliver says "over" from this many messages on; 0 is never
	messages     int
	deliverCalls int    // calls of Deliver: a run that comes whole is one
	onFlush      func() // for fences

	writesApplied, writesFlush, writesSequences bool // write these down as well

	deferred []*Subscription // not joined, the oldest first
}

// refused is the Tag of requests that a recorder does not admit, refusedLater that of those that it does not when they have
// waited.
const refused, refusedLater = "refused", "refused later"

func (r *recorder) record(format string, args ...any) {
	r.owed = true
	r.lines = append(r.lines, fmt.Sprintf(format, args...))
}

func (r *recorder) Admit(q *Request) bool {
	if q.Tag == refused || q.Tag == refusedLater && q.Waited {
		r.record("refused")
		return false
	}
	return true
}

// apart is the Tag of runs that a recorder has applied message by message.
const apart = "apart"

func (r *recorder) AcceptsRun(q *Request) (parts []Request, whole bool) {
	if q.Tag != apart {
		return nil, true
	}
	for i := range q.Payloads {
		parts = append(parts, Request{Op: Publish, Kind: q.Kind, Names: q.Names, Payloads: q.Payloads[i : i+1]})
	}
	return parts, false
}

func (r *recorder) Published(q *Request, messages int, m *Message) {
	first, receivers := m.Sequence, m.Receivers
	for i := range messages {
		sequence := ""
		if r.writesSequences {
			sequence = fmt.Sprintf(" as %d", first+uint64(i)) //nolint:gosec // a count
		}
		r.record("published %s%s: %d", q.Names[0], sequence, receivers)
	}
}

func (r *recorder) Subscribed(q *Request, name []byte, count int) {
	r.record("subscribed %s: %d", label(q.Kind, q.Form, string(name)), count)
}

func (r *recorder) Unsubscribed(q *Request, name []byte, count int) {
	if name == nil {
		r.record("unsubscribed nothing: %d", count)
		return
	}
	r.record("unsubscribed %s: %d", label(q.Kind, q.Form, string(name)), count)
}

// BeginExec gives back what the test put into the Exec request's Tag.
func (r *recorder) BeginExec(q *Request, _ View) []Request {
	kept, _ := q.Tag.([]Request)
	r.record("begin %d", len(kept))
	return kept
}

func (r *recorder) EndExec(*Request, View) { r.record("commit") }

func (r *recorder) Deferred(s *Subscription, start any, last uint64, _ View) bool {
	if start == atOnce {
		return false
	}
	r.deferred = append(r.deferred, s)
	r.record("deferred %s: after %d", label(s.Kind(), s.Form, s.Name()), last)
	return true
}

// atOnce is the Start of a subscription that has nothing to wait for.
const atOnce = "at once"

func (r *recorder) Dropped(s *Subscription) {
	r.deferred = slices.DeleteFunc(r.deferred, func(d *Subscription) bool { return d == s })
	r.record("dropped %s", label(s.Kind(), s.Form, s.Name()))
}

// joinOldest is the Tag of a Reply in which the oldest subscription that is deferred joins.
const joinOldest = "join"

func (r *recorder) join(v View) {
	if len(r.deferred) == 0 {
		r.record("nothing joins")
		return
	}
	s := r.deferred[0]
	if last, previous, ok := v.Join(s); ok {
		r.deferred = r.deferred[1:]
		r.record("joined %s: after %d, %d before", label(s.Kind(), s.Form, s.Name()), last, previous)
	} else {
		r.record("not joined %s", label(s.Kind(), s.Form, s.Name()))
	}
}

func (r *recorder) Reply(q *Request, v View) {
	if f, ok := q.Tag.(func(View)); ok {
		f(v)
		return
	}
	if q.Tag == joinOldest {
		r.join(v)
		return
	}
	c := v.Stats()
	r.record("answered: %d topics, %d patterns, %d subscribers, %d published, %d delivered",
		c.Topics, c.Patterns, c.Subscribers, c.Published, c.Matched)
	if c.Predicates > 0 || c.Filtered > 0 {
		r.record("and: %d predicates, %d filtered, %d unreadable", c.Predicates, c.Filtered, c.Unreadable)
	}
}

func (r *recorder) Deliver(m *Message, s *Subscription) bool {
	r.deliverCalls++
	for i, payload := range m.Payloads {
		r.messages++
		r.record("message %d %s=%s for %s", m.Sequence+uint64(i), m.Topic, payload, label(s.Kind(), s.Form, s.Name()))
	}
	return r.limit > 0 && r.messages >= r.limit
}

// Applied spoils the batch, as a reader does that reads into the same memory again: what the core kept without copying
// shows up as a name full of '#'.
func (r *recorder) Applied(b *Batch) {
	r.applied = append(r.applied, b)
	r.owed = true
	if r.writesApplied {
		r.record("applied")
	}
	for _, q := range b.Requests {
		for _, name := range q.Names {
			spoil(name)
		}
		for _, payload := range q.Payloads {
			spoil(payload)
		}
	}
}

func spoil(b []byte) {
	for i := range b {
		b[i] = '#'
	}
}

func (r *recorder) Flush() {
	r.flushes++
	r.owed = false
	if r.writesFlush {
		r.lines = append(r.lines, "flushed")
	}
	if r.onFlush != nil {
		r.onFlush()
	}
}

func (r *recorder) Ended(e EndReason, tag any) {
	switch {
	case e == Left:
		r.record("left")
	case tag != nil:
		r.record("evicted by %v", tag)
	default:
		r.record("evicted")
	}
}

// label names a subscription as a transcript shows it: t, pattern t*, t in form 1.
func label(k Kind, f Form, name string) string {
	if k == Pattern {
		name = "pattern " + name
	}
	if k == Shard {
		name = "shard " + name
	}
	if f != 0 {
		name += fmt.Sprintf(" in form %d", f)
	}
	return name
}

// client is a recorder with its subscriber.
type client struct {
	*recorder
	sub *Subscriber
}

func newClient() *client {
	r := &recorder{}
	return &client{r, NewSubscriber(r)}
}

func (c *client) batch(requests ...Request) *Batch { return &Batch{From: c.sub, Requests: requests} }

// newLines returns what c has been told since it was last asked.
func (c *client) newLines() []string {
	lines := c.lines
	c.lines = nil
	return lines
}

// core is a running Broker whose submitters wait until all is applied and flushed.
type core struct {
	*Broker
	*versions
	t *testing.T
}

// spec runs one sentence of the specification against a core of its own.
func spec(t *testing.T, sentence string, f func(t *testing.T, c *core)) {
	t.Helper()
	t.Run(sentence, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b, v := newJudged(Options{})
			c := &core{b, v, t}
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			go c.Run(ctx)
			f(t, c)
		})
	})
}

// do submits one batch, judged, and returns once the core has nothing left to do. A batch ends behind a Subscribe with a
// predicate.
func (c *core) do(from *client, requests ...Request) {
	c.t.Helper()
	for _, piece := range inPieces(requests) {
		if !c.submit(from.batch(piece...)) {
			c.t.Fatal("the core has stopped")
		}
		synctest.Wait()
	}
}

// client joins a new client that has made these requests, of which its transcript says nothing any more.
func (c *core) client(requests ...Request) *client {
	c.t.Helper()
	n := newClient()
	if len(requests) > 0 {
		c.do(n, requests...)
	}
	n.lines = nil
	return n
}

func named(op Op, k Kind, names []string) Request {
	q := Request{Op: op, Kind: k}
	for _, name := range names {
		q.Names = append(q.Names, []byte(name))
	}
	return q
}

func subscribe(names ...string) Request    { return named(Subscribe, Topic, names) }
func psubscribe(names ...string) Request   { return named(Subscribe, Pattern, names) }
func unsubscribe(names ...string) Request  { return named(Unsubscribe, Topic, names) }
func punsubscribe(names ...string) Request { return named(Unsubscribe, Pattern, names) }

// publish makes a run when there are several payloads.
func publish(topic string, payloads ...string) Request {
	q := named(Publish, Topic, []string{topic})
	for _, payload := range payloads {
		q.Payloads = append(q.Payloads, []byte(payload))
	}
	return q
}

func messageByMessage(q Request) Request {
	q.Tag = apart
	return q
}

// otherForm asks for the same in form 1.
func otherForm(q Request) Request {
	q.Form = 1
	return q
}

// later makes the subscriptions of a request start in the past. Their names say so, or do not.
func later(q Request, named bool) Request {
	if q.Filters == nil {
		q.Filters = make([]Filter, len(q.Names))
		for i, name := range q.Names {
			q.Filters[i].TopicLen = len(name)
		}
	}
	for i := range q.Filters {
		q.Filters[i].Start = laterMark
		if f := &q.Filters[i]; named {
			q.Names[i] = slices.Concat(q.Names[i][:f.TopicLen], []byte(laterMark), q.Names[i][f.TopicLen:])
		}
	}
	return q
}

const laterMark = " LATER"

func joins() Request { return Request{Op: Reply, Tag: joinOldest} }

func refuse(q Request) Request {
	q.Tag = refused
	return q
}

func answer() Request            { return Request{Op: Reply} }
func run(f func(View)) Request   { return Request{Op: Reply, Tag: f} }
func leave() Request             { return Request{Op: Leave} }
func evictBy(who string) Request { return Request{Op: Evict, Tag: who} }
