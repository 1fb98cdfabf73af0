package command

import "github.com/conchmq/conch/broker"

// Publisher judges and submits batches for whatever publishes without being a connection, or stands in front of the core and
// feeds it from a log. Its methods, but for Stop, are one goroutine's.
type Publisher struct {
	service    *Service
	evaluation *evaluation
	stopped    abortSignal
}

// NewPublisher makes a Publisher.
func (s *Service) NewPublisher() *Publisher {
	p := &Publisher{service: s}
	p.evaluation = s.newEvaluation(&p.stopped)
	return p
}

// Stop ends the evaluation under way, and those to come. Any goroutine may call it.
func (p *Publisher) Stop() { p.stopped.raise() }

// Submit judges a batch, and submits it. With very much to evaluate it becomes several, of which all but the last come back
// without a Tag. False means that the core or the publisher has stopped, and that the rest of the batch is not submitted.
func (p *Publisher) Submit(b *broker.Batch) (ok bool) {
	requests := b.Requests
	for ok = true; ok && len(requests) > 0; {
		requests, ok = p.submitPart(b, requests)
	}
	return ok
}

func (p *Publisher) submitPart(b *broker.Batch, requests []broker.Request) (rest []broker.Request, ok bool) {
	version := p.service.versions.enter()
	defer p.service.versions.leave(version)
	x := version.index.Load()
	out, rest, ok := p.evaluation.batch(x, requests)
	if len(rest) > 0 {
		b = &broker.Batch{From: b.From, Instead: b.Instead}
	}
	b.Requests, b.Version = out, x.Version()
	return rest, ok && p.service.core.Submit(b)
}
