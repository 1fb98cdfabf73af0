package command

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/filter"
	"github.com/conchmq/conch/protocol"
)

// Predicates are asked by whoever publishes: on the goroutine of its reader, which remembers what the core asked it
// about a topic before; or, when the core has handed a batch back, on one of its own. The core only takes the verdicts.

const (
	// maxVerdicts bounds what is asked ahead for one batch. What is behind it goes back once more.
	maxVerdicts = 64 << 10
	// maxKnown bounds the topics that a connection remembers the predicates of, knownTopic their length, and
	// maxKnownPredicates the predicates of all of them.
	maxKnown, knownTopic, maxKnownPredicates = 256, 256, 16 << 10
	// knownWeight and knownPredicateWeight are what a topic and a predicate cost there, about.
	knownWeight, knownPredicateWeight = 400, 24
)

// known are the predicates that decide about the messages a connection publishes, as far as it has found out. The reader
// uses it, and so does the goroutine that judges a returned batch.
type known struct {
	of         *Conn
	mu         sync.Mutex
	topics     map[knownKey]*question
	predicates int // of all of them
}

type knownKey struct {
	kind  broker.Kind
	topic string
}

// question is what to ask about the messages of a topic.
type question struct {
	asked []broker.Predicate
	same  []int       // same[i] is the first place of asked[i]; nil if no predicate stands in it twice
	stale atomic.Bool // some of asked have gone, the core says
}

func newQuestion(asked []broker.Predicate) *question {
	q := &question{asked: asked}
	first := make(map[broker.Predicate]int, len(asked))
	for i, p := range asked {
		if _, ok := first[p]; !ok {
			first[p] = i
		}
	}
	if len(first) == len(asked) {
		return q
	}
	q.same = make([]int, len(asked))
	for i, p := range asked {
		q.same[i] = first[p]
	}
	return q
}

// about returns what to ask about a topic, or nil.
func (kn *known) about(kind broker.Kind, topic []byte) *question {
	if len(topic) > knownTopic {
		return nil
	}
	kn.mu.Lock()
	defer kn.mu.Unlock()
	key := knownKey{kind, string(topic)}
	q := kn.topics[key]
	if q != nil && q.stale.Load() {
		kn.forget(key)
		return nil
	}
	return q
}

// learn remembers what the core asked about a topic.
func (kn *known) learn(r *broker.Request) *question {
	kn.mu.Lock()
	defer kn.mu.Unlock()
	key := knownKey{r.Kind, string(r.Names[0])}
	q := kn.topics[key]
	if q != nil && slices.Equal(q.asked, r.Asked) { // the same again: the batch before it was too large to be judged whole
		return q
	}
	kn.forget(key)
	q = newQuestion(r.Asked)
	if len(key.topic) > knownTopic || len(q.asked) > maxKnownPredicates { // it is learned anew each time
		return q
	}
	if len(kn.topics) >= maxKnown || kn.predicates+len(q.asked) > maxKnownPredicates || kn.topics == nil {
		kn.topics, kn.predicates = make(map[knownKey]*question), 0
	}
	kn.topics[key] = q
	kn.predicates += len(q.asked)
	kn.weigh()
	return q
}

// forget drops a topic, if it is known. kn.mu is held.
func (kn *known) forget(key knownKey) {
	if q := kn.topics[key]; q != nil {
		delete(kn.topics, key)
		kn.predicates -= len(q.asked)
		kn.weigh()
	}
}

// weigh counts what is remembered in what the connection holds. kn.mu is held.
func (kn *known) weigh() {
	kn.of.service.memory.SetUsage(&kn.of.usage.known, len(kn.topics)*knownWeight+kn.predicates*knownPredicateWeight)
}

// ask evaluates the predicates of a question on a message, which is decoded once. False means that the connection ends
// meanwhile: a few costly predicates may take a second, many take minutes, and the end of the connection waits for us.
func (c *Conn) ask(q *question, t *turn, m *filter.Message, r *broker.Request) bool {
	m.Reset(r.Names[0], r.Payloads[0], c.service.options.filterLimits())
	r.Asked, r.Verdicts = q.asked, make([]broker.Verdict, len(q.asked))
	r.Tag.(*invocation).question = q
	for i, p := range q.asked {
		if c.aborted.Load() {
			return false
		}
		if q.same != nil && q.same[i] < i {
			r.Verdicts[i] = r.Verdicts[q.same[i]]
			continue
		}
		p := p.(*filter.Predicate)
		if !t.step(len(r.Payloads[0]) + p.MemSize()) {
			return false
		}
		switch p.Match(m) {
		case filter.Yes:
			r.Verdicts[i] = broker.Yes
		case filter.Unreadable:
			r.Verdicts[i] = broker.Unreadable
		default:
		}
	}
	return true
}

// judgeAhead asks the predicates that the connection knows of, before the core sees the batch. False is that of ask.
func (r *Reader) judgeAhead(b *Batch) (ok bool) {
	kn := r.known.Load()
	if kn == nil || r.unauthenticated() { // RESET leaves what is known, and takes the rights
		return true
	}
	b.Requests, ok = r.judged(b.Requests, func(r *broker.Request) *question { return kn.about(r.Kind, r.Names[0]) })
	return ok
}

// judged asks about all publishes of a batch, within bounds, but about the first in any case. Runs become single messages.
// False is that of ask.
func (c *Conn) judged(requests []broker.Request, ask func(*broker.Request) *question) (out []broker.Request, ok bool) {
	var m filter.Message
	t := turn{conn: c}
	defer t.end()
	asked, apart := 0, false // apart: out has an array of its own
	out = requests
	for i := range requests {
		r := &requests[i]
		var q *question
		if r.Op == broker.Publish && asked < maxVerdicts {
			q = ask(r)
		}
		parts := requests[i : i+1]
		if q != nil && len(r.Payloads) > 1 {
			if parts = splitRun(r); !apart {
				out, apart = append([]broker.Request(nil), requests[:i]...), true
			}
		}
		for j := range parts {
			if q == nil || asked >= maxVerdicts {
				break
			}
			if !c.ask(q, &t, &m, &parts[j]) {
				return nil, false
			}
			asked += len(q.asked)
		}
		if apart {
			out = append(out, parts...)
		}
	}
	return out, true
}

// Takes tells whether a publish, or a transaction, would run.
func (e *executor) Takes(r *broker.Request) bool {
	inv := r.Tag.(*invocation)
	if r.Op == broker.Exec {
		return inv.err == nil
	}
	if e.user == nil {
		e.assignInitialUser()
	}
	kept := e.txn != nil && inv.dialect != protocol.Line
	return inv.err == nil && !kept && e.mayPublish(inv)
}

// Kept are the commands of the transaction that EXEC will run.
func (e *executor) Kept(*broker.Request) []broker.Request {
	if m := e.txn; m != nil && !m.aborted {
		return m.queued
	}
	return nil
}

// Returned has the verdicts worked out that the core has missed.
func (e *executor) Returned(b *broker.Batch) {
	var kept []broker.Request
	if first := &b.Requests[0]; first.Op == broker.Exec {
		kept = e.Kept(first)
	}
	for i := range kept { // an eviction meanwhile ends the transaction
		kept[i].Tag.(*invocation).buf.Retain()
	}
	e.judging.Add(1)
	go e.judgeReturned(b, kept)
}

// judgeReturned works on a batch that the core has handed back, and submits it again. Until then nothing of the
// connection takes effect, so what the batch refers to is this goroutine's.
func (c *Conn) judgeReturned(b *broker.Batch, kept []broker.Request) {
	defer c.judging.Done()
	defer c.service.core.Submit(b)
	ok := false
	defer func() {
		for i := range kept {
			kept[i].Tag.(*invocation).buf.Release()
		}
		if p := recover(); p != nil {
			c.LogPanic(p)
			c.End(CloseReasonPanic)
		}
		if !ok { // the connection ends, and what it sent behind the batch must not take effect without it
			b.Requests = []broker.Request{{Op: broker.Leave}}
		}
	}()
	if kept != nil {
		ok = c.judgeKept(&b.Requests[0], kept)
		return
	}
	kn := c.known.Load()
	if kn == nil {
		kn = &known{of: c}
		c.known.Store(kn)
	}
	b.Requests, ok = c.judged(b.Requests, func(r *broker.Request) *question {
		switch {
		case len(r.Verdicts) > 0: // they still do, or the core has not come to them
			return nil
		case len(r.Asked) > 0: // the core has just asked
			return kn.learn(r)
		}
		return kn.about(r.Kind, r.Names[0])
	})
}

// judgeKept asks for all of a transaction, or refuses it. False is that of ask.
func (c *Conn) judgeKept(exec *broker.Request, kept []broker.Request) bool {
	asked := 0
	for i := range kept {
		if len(kept[i].Verdicts) == 0 {
			asked += len(kept[i].Asked)
		}
	}
	if asked > broker.MaxVerdicts { // by how much nobody knows: the core has stopped asking
		exec.Tag.(*invocation).err = protocol.Errorf("the messages of the transaction would have to be held against predicates more than "+
			"%d times: make it smaller", broker.MaxVerdicts)
		return true
	}
	var m filter.Message
	t := turn{conn: c}
	defer t.end()
	for i := range kept {
		if r := &kept[i]; r.Asked != nil && len(r.Verdicts) == 0 && !c.ask(newQuestion(r.Asked), &t, &m, r) {
			return false
		}
	}
	return true
}
