package command

import (
	"slices"
	"unsafe"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/protocol"
)

// judging is what a reader knows about how the next publishes are to be judged.
type judging struct {
	unsure bool // the core may know better: commands that decide about it were on their way
	queues bool // publishes over RESP are queued for EXEC, and judged then
}

// publishes reports whether a publish is to be judged when it goes to the core. That of an unauthenticated peer is not: it will
// be refused, even if the core should find that the peer needs no password any more.
func (r *Reader) publishes(req *broker.Request) bool {
	inv := req.Tag.(*invocation)
	if r.judging.queues && inv.dialect != protocol.Line {
		return false
	}
	inv.unjudged = r.unauthenticated()
	return !inv.unjudged
}

// submit judges what a batch publishes, and submits it. It stands by itself for the sake of handleRead's stack. False means that
// the core has stopped or that the connection ends.
//
//go:noinline
func (r *Reader) submit(b *Batch) bool {
	commands, decides, appends := 0, false, false
	for i := range b.calls {
		inv, req := &b.calls[i], &b.Requests[i]
		req.Tag = inv
		if inv.piece == 0 {
			commands += max(1, len(req.Payloads))
		}
		decides = decides || inv.handler.decides
		appends = appends || inv.handler.keys == usesAdd || req.Op == broker.Exec
	}
	r.service.Counts.commands.Add(int64(commands))
	if r.service.options.Order != nil {
		return r.submitInOrder(b)
	}
	if appends = appends || r.publishesDurable(b); appends {
		if !r.enterLog() {
			b.release()
			return false
		}
		defer r.service.entering.leave()
		r.countAppend(b)
	}
	version := r.service.versions.enter()
	x := version.index.Load()
	if !x.Empty() {
		r.service.versions.leave(version)
		return r.submitEvaluated(b)
	}
	r.judging.unsure = r.judging.unsure || decides
	b.Version = x.Version()
	r.count(b)
	ok := r.service.core.Submit(&b.Batch)
	r.service.versions.leave(version)
	return ok
}

// count counts a batch on its way to the core.
func (r *Reader) count(b *Batch) {
	b.charged = b.memSize() + verdictsSize(b.Requests)
	r.chargeBatch(b.charged)
	r.window.add()
}

// chargeBatch counts n bytes more of what is on its way to the core, or less.
func (c *Conn) chargeBatch(n int64) {
	c.usage.batches.Add(n)
	c.service.memory.Charge(n)
}

// submitEvaluated is submit where there are predicates. It submits in parts: none reaches beyond a command that decides how the
// next ones are judged, and none has too much to evaluate. The last part is b itself.
//
//go:noinline
func (r *Reader) submitEvaluated(b *Batch) (ok bool) {
	j, first := r.service.newEvaluation(&r.abort), true
	j.reader = r
	requests := b.Requests
	for ok = true; ok && len(requests) > 0; first = first && !ok {
		if ok = !r.judging.unsure || r.syncWithCore(); !ok {
			break
		}
		var queued []broker.Request
		if requests[0].Op == broker.Exec {
			queued = r.takeQueued()
		}
		requests, ok = r.submitPart(j, b, requests, queued)
	}
	if ok {
		return true
	}
	if !first { // it is given back behind the parts that are with the core
		b.Requests = nil
		r.count(b)
	}
	if first || !r.service.core.Submit(&b.Batch) {
		r.service.appended(b) // the core never will
		b.release()
	}
	return false
}

// submitPart submits the first requests, as many as are judged in the same way, and returns the rest. False is that of evaluate.
func (r *Reader) submitPart(j *evaluation, b *Batch, requests, queued []broker.Request) (rest []broker.Request, ok bool) {
	defer releaseQueued(queued)
	version := r.service.versions.enter()
	defer r.service.versions.leave(version)
	x, n := version.index.Load(), r.untilDecided(requests)
	out := requests[:n]
	if requests[0].Op == broker.Exec {
		ok = j.transaction(x, &requests[0], queued)
	} else {
		out, rest, ok = j.batch(x, out)
	}
	if !ok {
		return nil, false
	}
	if rest = slices.Concat(rest, requests[n:]); len(rest) == 0 {
		b.Requests, b.Version = out, x.Version()
		r.count(b)
		return nil, r.service.core.Submit(&b.Batch)
	}
	charged := verdictsSize(out) + int64(len(out))*int64(unsafe.Sizeof(broker.Request{}))
	r.chargeBatch(charged)
	return rest, r.service.core.Submit(&broker.Batch{From: b.From, Requests: out, Version: x.Version(), Tag: batchPart(charged)})
}

// batchPart is the Tag of a part of a batch: what it is counted for in memory.
type batchPart int64

// verdictsSize is what the verdicts in requests cost.
func verdictsSize(requests []broker.Request) (size int64) {
	for i := range requests {
		size += int64(cap(requests[i].Judgements)) * int64(unsafe.Sizeof(broker.Judgement{}))
	}
	return size
}

// untilDecided returns how many requests are judged in the same way: up to the first command that decides about those behind
// it. An EXEC stands alone.
func (r *Reader) untilDecided(requests []broker.Request) int {
	for i := range requests {
		inv := requests[i].Tag.(*invocation)
		switch {
		case requests[i].Op == broker.Exec && i > 0:
			return i
		case requests[i].Op == broker.Exec:
			r.judging.queues = false // however it ends
			return 1
		case inv.handler.decides:
			r.judging.unsure = true
			return i + 1
		}
	}
	return len(requests)
}

// syncWithCore finds out how what follows is to be judged, once all that was submitted is applied. False means that the core has
// stopped.
func (r *Reader) syncWithCore() bool {
	queues := false
	ok := r.service.runOnCore(func(broker.View) { queues = r.executor.txn != nil })
	r.judging = judging{queues: queues}
	return ok
}

// takeQueued returns what EXEC is about to run, once all that was submitted is applied. An eviction meanwhile ends the
// transaction, so the buffers are retained.
func (r *Reader) takeQueued() (queued []broker.Request) {
	r.service.runOnCore(func(broker.View) {
		if m := r.executor.txn; m != nil && !m.aborted {
			queued = m.queued
		}
		for i := range queued {
			queued[i].Tag.(*invocation).buf.Retain()
		}
	})
	return queued
}

func releaseQueued(queued []broker.Request) {
	for i := range queued {
		queued[i].Tag.(*invocation).buf.Release()
	}
}
