package command

import (
	"bytes"
	"slices"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/entry"
	"github.com/conchmq/conch/internal/filter"
	"github.com/conchmq/conch/internal/invariant"
	"github.com/conchmq/conch/protocol"
)

// A publisher evaluates predicates on its own goroutine, as the last thing before Submit. That is a connection's reader, for
// its publishes and transactions, or a publisher that is no connection. The core takes the verdicts.

const (
	// maxVerdicts bounds what is evaluated for one batch, but for its first message. What is behind it comes in another.
	maxVerdicts = 64 << 10
	// maxExecVerdicts bounds what is evaluated for a transaction, which comes in one piece.
	maxExecVerdicts = 4 << 20
)

// predicate is a compiled predicate as the core knows it.
type predicate struct{ *filter.Predicate }

// Match evaluates it for a *filter.Message.
func (p predicate) Match(decoded any) broker.Verdict {
	return broker.Verdict(p.Predicate.Match(decoded.(*filter.Message))) // the two types have the same values
}

// evaluation evaluates predicates for one batch after the other. It is one goroutine's.
type evaluation struct {
	turn
	reader *Reader // nil for a publisher that is none
	limits filter.Limits
	index  *broker.Index
	finder broker.Finder
	msg    *filter.Message // nil until there is something to evaluate
	size   int             // of the payload in msg
	entry  entry.Message   // the payload of msg, if that is an entry
	spent  int             // evaluations since the last batch

	// For messages to the topic that was looked up last:
	kind     broker.Kind
	topic    []byte
	chunks   [][]broker.Candidate
	reached  int   // candidates in chunks
	same     []int // of candidate i, the first place of its predicate; nil if none is on two names
	verdicts []broker.Verdict
}

// lookUp makes the topic of a publish or an XADD the one that was looked up last, and returns how many predicates it reaches. It is 0
// for another request.
func (j *evaluation) lookUp(r *broker.Request) int {
	var topic []byte
	if r.Op == broker.Publish {
		topic = r.Names[0]
	} else if inv := appendOf(r); inv != nil {
		topic = inv.args[1]
	} else if run, ok := r.Tag.(*feedRun); ok {
		topic = run.messages[0].Topic
	} else {
		return 0
	}
	if j.topic != nil && j.kind == r.Kind && bytes.Equal(j.topic, topic) {
		return j.reached
	}
	var names int
	j.kind, j.topic, j.reached, j.same = r.Kind, topic, 0, nil
	j.chunks, names = j.finder.Find(j.index, r.Kind, topic)
	for _, chunk := range j.chunks {
		j.reached += len(chunk)
	}
	if names > 1 {
		j.findSame()
	}
	return j.reached
}

func (j *evaluation) findSame() {
	first, same := make(map[broker.Predicate]int, j.reached), make([]int, j.reached)
	for i, c := range slices.Concat(j.chunks...) {
		if _, ok := first[c.Predicate]; !ok {
			first[c.Predicate] = i
		}
		same[i] = first[c.Predicate]
	}
	if len(first) < len(same) {
		j.same, j.verdicts = same, make([]broker.Verdict, len(same))
	}
}

// load makes a message, or the entry of an XADD, the one to evaluate. False means that the XADD is a wrong one.
func (j *evaluation) load(r *broker.Request) bool {
	if j.msg == nil {
		j.msg = new(filter.Message)
	}
	if inv := appendOf(r); inv != nil {
		x := inv.add
		if x == nil {
			x = new(parsedAdd)
			x.err = x.Parse(inv.args)
		}
		if x.err != nil {
			return false
		}
		j.entry.ResetTexts(x.Fields)
		j.msg.ResetSource(j.topic, &j.entry, j.limits)
		j.size = j.entry.Size()
		return true
	}
	if run, ok := r.Tag.(*feedRun); ok && run.entry != nil {
		j.entry.ResetTexts(run.entry.Fields)
		j.msg.ResetSource(j.topic, &j.entry, j.limits)
		j.size = j.entry.Size()
		return true
	}
	j.msg.Reset(r.Names[0], r.Payloads[0], j.limits)
	j.size = len(r.Payloads[0])
	return true
}

// evaluate evaluates the predicates that one message reaches. The payload is decoded once. False means that the publisher ends
// meanwhile: a few costly predicates may take a second, many take minutes.
func (j *evaluation) evaluate(r *broker.Request) bool {
	invariant.Check(r.Judgements == nil, "a message to %q is judged twice", j.topic)
	if !j.load(r) {
		return true
	}
	j.spent += j.reached
	n := 0
	for _, chunk := range j.chunks {
		for i := range chunk {
			v, ok := j.verdict(n, &chunk[i])
			if !ok {
				return false
			}
			if v != broker.No {
				r.Judgements = append(r.Judgements, chunk[i].Verdict(v))
			}
			n++
		}
	}
	return true
}

// verdict returns that of candidate i on the message. False means that the publisher ends.
func (j *evaluation) verdict(i int, c *broker.Candidate) (v broker.Verdict, ok bool) {
	if j.same != nil && j.same[i] < i {
		return j.verdicts[j.same[i]], true
	}
	if j.by.raised.Load() || !j.step(j.size+c.Cost) {
		return broker.No, false
	}
	if v = c.Predicate.Match(j.msg); j.same != nil {
		j.verdicts[i] = v
	}
	return v, true
}

// expand returns requests in which each run that reaches a predicate is taken apart: its messages have verdicts of their own.
func (j *evaluation) expand(requests []broker.Request) (out []broker.Request) {
	done := 0
	for i := range requests {
		if r := &requests[i]; r.Op == broker.Publish && len(r.Payloads) > 1 && j.concerns(r) {
			out = append(append(out, requests[done:i]...), j.split(r)...)
			done = i + 1
		}
	}
	if done == 0 {
		return requests
	}
	return append(out, requests[done:]...)
}

// split takes a run apart.
func (j *evaluation) split(run *broker.Request) (parts []broker.Request) {
	if _, ok := run.Tag.(*invocation); ok {
		return splitRun(run)
	}
	for i := range run.Payloads {
		part := *run
		part.Payloads = run.Payloads[i : i+1]
		if r, ok := run.Tag.(*feedRun); ok {
			part.Tag = r.part(i)
		}
		parts = append(parts, part)
	}
	return parts
}

// concerns reports whether there is something to evaluate for a publish.
func (j *evaluation) concerns(r *broker.Request) bool {
	return j.lookUp(r) > 0 && (j.reader == nil || j.reader.publishes(r))
}

// batch judges the publishes of a batch by the index of a version, until enough is evaluated for one. It returns the requests of
// that batch, and those that are left. False is that of evaluate.
func (j *evaluation) batch(x *broker.Index, requests []broker.Request) (out, rest []broker.Request, ok bool) {
	j.index, j.topic, j.spent = x, nil, 0
	defer j.end()
	requests = j.expand(requests)
	for i := range requests {
		r := &requests[i]
		if !j.concerns(r) {
			continue
		}
		if j.spent >= maxVerdicts {
			return requests[:i], requests[i:], true
		}
		if !j.evaluate(r) {
			return nil, nil, false
		}
	}
	return requests, nil, true
}

// transaction judges all that an EXEC will run, or refuses it. False is that of evaluate.
func (j *evaluation) transaction(x *broker.Index, exec *broker.Request, queued []broker.Request) bool {
	j.index, j.topic = x, nil
	defer j.end()
	n := 0
	for i := range queued {
		n += j.lookUp(&queued[i])
	}
	if n > maxExecVerdicts {
		exec.Tag.(*invocation).err = protocol.Errorf("the messages of the transaction would have to be held against predicates more than "+
			"%d times: make it smaller", maxExecVerdicts)
		return true
	}
	return j.each(queued)
}

// evaluateQueued judges all that an EXEC will run, however much that is: other nodes run it too, so that it cannot be refused. False is that of
// evaluate.
func (j *evaluation) evaluateQueued(x *broker.Index, queued []broker.Request) bool {
	j.index, j.topic = x, nil
	defer j.end()
	return j.each(queued)
}

func (j *evaluation) each(queued []broker.Request) bool {
	for i := range queued {
		if r := &queued[i]; j.lookUp(r) > 0 && !j.evaluate(r) {
			return false
		}
	}
	return true
}

// newEvaluation makes an evaluation for a publisher that ends when by is raised.
func (s *Service) newEvaluation(by *abortSignal) *evaluation {
	return &evaluation{turn: turn{evaluators: &s.evaluators, by: by}, limits: s.options.filterLimits()}
}
