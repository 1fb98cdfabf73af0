package command

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/filter"
	"github.com/conchmq/conch/protocol"
)

const (
	// maxVerdicts bounds the verdicts that one batch is evaluated for ahead. The core returns
	// the batch once more for the rest.
	maxVerdicts = 64 << 10
	// maxKnown bounds the topics whose predicates a connection remembers, knownTopic their
	// length. maxKnownPredicates bounds the predicates of all of them.
	maxKnown, knownTopic, maxKnownPredicates = 256, 256, 16 << 10
	// knownWeight and knownPredicateWeight are about what a remembered topic and a predicate
	// cost.
	knownWeight, knownPredicateWeight = 400, 24
)

// known remembers the predicates on topics that a connection publishes to, as far as the core
// has requested verdicts for them.
//
// The publisher evaluates predicates, not the core: its reader those it remembers, or a
// goroutine of its own when the core has returned a batch. Both use known; the core only takes
// the verdicts.
type known struct {
	of *Conn
	// mu guards what follows.
	mu         sync.Mutex
	topics     map[knownKey]*question
	predicates int // of all topics
}

// knownKey is a topic or a shard.
type knownKey struct {
	kind  broker.Kind
	topic string
}

// question is the list of predicates to evaluate on the messages of a topic.
type question struct {
	asked []broker.Predicate
	same  []int       // same[i] is the first index of asked[i]; nil if no predicate occurs twice
	stale atomic.Bool // some of asked are gone, by the core's last answer
}

// newQuestion finds the duplicates: each predicate is evaluated once.
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

// about returns the predicates of a topic, or nil.
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

// learn remembers the predicates that the core has requested verdicts for.
func (kn *known) learn(r *broker.Request) *question {
	kn.mu.Lock()
	defer kn.mu.Unlock()
	key := knownKey{r.Kind, string(r.Names[0])}
	q := kn.topics[key]
	if q != nil && slices.Equal(q.asked, r.Asked) { // the same again: the batch before was too large to be evaluated whole
		return q
	}
	kn.forget(key)
	q = newQuestion(r.Asked)
	if len(key.topic) > knownTopic || len(q.asked) > maxKnownPredicates { // too large to remember: learned anew each time
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

// forget removes a topic, if it is known. The caller holds kn.mu.
func (kn *known) forget(key knownKey) {
	if q := kn.topics[key]; q != nil {
		delete(kn.topics, key)
		kn.predicates -= len(q.asked)
		kn.weigh()
	}
}

// weigh charges the connection for what is remembered. The caller holds kn.mu.
func (kn *known) weigh() {
	kn.of.service.memory.SetUsage(&kn.of.usage.known, len(kn.topics)*knownWeight+kn.predicates*knownPredicateWeight)
}

// ask evaluates the predicates of a question on a message, which is decoded once.
//
// False means that the connection is aborted. A few costly predicates may take a second and
// many take minutes, and the end of the connection waits for this.
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

// judgeAhead evaluates the predicates that the connection knows of, before the core gets the
// batch. False is that of ask.
func (r *Reader) judgeAhead(b *Batch) (ok bool) {
	kn := r.known.Load()
	if kn == nil || r.unauthenticated() { // RESET keeps what is known, and takes the rights
		return true
	}
	b.Requests, ok = r.judged(b.Requests, func(r *broker.Request) *question { return kn.about(r.Kind, r.Names[0]) })
	return ok
}

// judged evaluates all publishes of a batch, up to maxVerdicts, and the first in any case. Runs
// become single messages. False is that of ask.
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

// Takes implements [broker.Admission]: it reports whether a publish, or a transaction, would
// run.
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

// Kept implements [broker.Transactor]: the commands that EXEC will run.
func (e *executor) Kept(*broker.Request) []broker.Request {
	if m := e.txn; m != nil && !m.aborted {
		return m.queued
	}
	return nil
}

// Returned implements [broker.Conn]: it starts the evaluation of the verdicts that the core
// lacks.
func (e *executor) Returned(b *broker.Batch) {
	var kept []broker.Request
	if first := &b.Requests[0]; first.Op == broker.Exec {
		kept = e.Kept(first)
	}
	for i := range kept { // an eviction meanwhile ends the transaction: the buffers must outlive it
		kept[i].Tag.(*invocation).buf.Retain()
	}
	e.judging.Add(1)
	go e.judgeReturned(b, kept)
}

// judgeReturned evaluates for a batch that the core has returned, and submits it again.
//
// Until then nothing of the connection takes effect, so this goroutine owns all that the batch
// refers to.
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
		if !ok {
			// The connection ends. Commands behind the batch must not take effect without it.
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
		case len(r.Verdicts) > 0: // still valid, or not reached by the core yet
			return nil
		case len(r.Asked) > 0: // the core has just requested them
			return kn.learn(r)
		}
		return kn.about(r.Kind, r.Names[0])
	})
}

// judgeKept evaluates for a whole transaction, or refuses it. False is that of ask.
func (c *Conn) judgeKept(exec *broker.Request, kept []broker.Request) bool {
	asked := 0
	for i := range kept {
		if len(kept[i].Verdicts) == 0 {
			asked += len(kept[i].Asked)
		}
	}
	if asked > broker.MaxVerdicts { // the core stops counting there: the excess is unknown
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
