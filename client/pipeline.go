package client

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
)

const (
	maxPending = 1 << 10  // publishes on their way at once; who comes then waits until one is acknowledged
	batchBytes = 64 << 10 // a write is not made longer than this by adding one more command
)

// call is one publish. Topic and payload are the caller's: they are read while the call stands in the queue, where the
// caller can take it out, and not any more when it has been sent.
type call struct {
	topic   string
	payload []byte
	result  chan result // holds one

	queued         bool // it stands in the queue, whose lock guards this and its neighbors
	before, behind *call
}

type result struct {
	published Published
	err       error
}

// pipeline is a connection for publishing. Callers queue up, one goroutine writes all that have come meanwhile at once,
// another one reads the acknowledgements, which come in the same order.
type pipeline struct {
	wire   *wire
	pinged call      // stands in sent for a PING, whose answer belongs to no caller
	spare  sync.Pool // calls that nobody has a hand on; not shared, because their channels may belong to a test's bubble

	mu         sync.Mutex // guards what follows; held for copying a batch at most
	queue      queue      // not sent: their callers may still take them out
	sent       []*call    // what the reader has not taken over of those that the writer took, in order
	unanswered int        // taken by the writer, and not booked as answered
	ping       bool       // a PING is to be sent
	writer     sync.Cond  // the writer waits here for something to write
	cause      error      // why the connection is of no use any more; set once

	// What follows is the reader's.
	pending  []*call // the next answers belong to these, and then to those in sent
	next     int     // the first of them that has none
	answered int     // calls, since that was booked
}

func newPipeline(w *wire) *pipeline {
	p := &pipeline{wire: w}
	p.spare.New = func() any { return &call{result: make(chan result, 1)} }
	p.writer.L = &p.mu
	w.pulse.ping = func() error {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.ping = true // if it was, the writer waits for the peer, too
		p.writer.Signal()
		return nil
	}
	return p
}

// fail ends the connection. The first cause is the one that is told.
func (p *pipeline) fail(cause error) {
	p.mu.Lock()
	first := p.cause == nil
	if first {
		p.cause = cause
		p.writer.Signal()
	}
	p.mu.Unlock()
	if first {
		_ = p.wire.Close() // wakes reader and writer; what else it says does not matter
	}
}

func (p *pipeline) broken() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cause != nil
}

// publish sends one message and waits for its acknowledgement.
func (p *pipeline) publish(ctx context.Context, topic string, payload []byte) (Published, error) {
	if err := ctx.Err(); err != nil { // else it might be sent all the same
		return Published{}, fmt.Errorf("not sent: %w", err)
	}
	c := p.spare.Get().(*call)
	c.topic, c.payload = topic, payload
	if err := p.enqueue(c); err != nil {
		return Published{}, err
	}
	select {
	case r := <-c.result:
		p.spare.Put(c)
		return r.published, r.err
	case <-ctx.Done():
	}
	if p.withdraw(c) {
		return Published{}, fmt.Errorf("not sent: %w", ctx.Err())
	}
	select {
	case r := <-c.result: // it came in the same moment
		return r.published, r.err
	default: // the reader still has the call, so nobody may use it again
		return Published{}, fmt.Errorf("%w: %w", ErrFateUnknown, ctx.Err())
	}
}

func (p *pipeline) enqueue(c *call) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cause != nil {
		return p.cause
	}
	p.queue.push(c)
	p.writer.Signal()
	return nil
}

// withdraw takes a call out of the queue, if it is still there.
func (p *pipeline) withdraw(c *call) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.queue.remove(c)
}

// write sends what is queued until the connection is cut.
func (p *pipeline) write() {
	var batch []byte
	for p.await() {
		runtime.Gosched() // those who are just about to publish go with this write, not the next
		batch = p.take(batch[:0])
		if len(batch) == 0 { // they have taken their calls back meanwhile
			continue
		}
		if _, err := p.wire.Write(batch); err != nil {
			p.fail(fmt.Errorf("cannot write: %w", err))
			return
		}
		if cap(batch) > 2*batchBytes {
			batch = nil
		}
	}
}

// await waits until there is something to write that may be written. It returns false when the connection is cut.
func (p *pipeline) await() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.cause == nil && !p.ping && (p.queue.empty() || p.unanswered >= maxPending) {
		p.writer.Wait()
	}
	return p.cause == nil
}

// take appends what is to be written, up to about a batch. Answers may come as soon as that is done, so the calls are on
// their way from now on.
func (p *pipeline) take(batch []byte) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cause != nil {
		return batch
	}
	if p.ping {
		batch = appendCommand(batch, "PING")
		p.ping = false
		p.sent = append(p.sent, &p.pinged)
		p.unanswered++
	}
	for !p.queue.empty() && len(batch) < batchBytes && p.unanswered < maxPending {
		c := p.queue.pop()
		batch = appendPublish(batch, c.topic, c.payload)
		c.topic, c.payload = "", nil
		p.sent = append(p.sent, c)
		p.unanswered++
	}
	return batch
}

// read hands out the acknowledgements until the connection ends, and tells all that are left what they can know.
func (p *pipeline) read() {
	defer p.end()
	for {
		if p.answered > 0 && p.wire.replies.buffered() == 0 {
			p.book() // before waiting, because the writer may wait for it
		}
		r, err := p.wire.replies.read()
		if err != nil {
			p.fail(p.wire.ended(err))
			return
		}
		if err := p.acknowledge(&r); err != nil {
			p.fail(err)
			return
		}
	}
}

// end tells all calls what they can know when nothing more is read.
func (p *pipeline) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	lost := result{err: fmt.Errorf("%w: %w", ErrFateUnknown, p.cause)}
	for _, c := range slices.Concat(p.pending[p.next:], p.sent) {
		if c != &p.pinged {
			c.result <- lost
		}
	}
	for !p.queue.empty() {
		p.queue.pop().result <- result{err: p.cause}
	}
	p.pending, p.sent = nil, nil
}

// book counts what has been answered, and takes over what has been sent when all that was is answered.
func (p *pipeline) book() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unanswered -= p.answered
	p.answered = 0
	if p.next == len(p.pending) {
		p.pending, p.sent, p.next = p.sent, p.pending[:0], 0
	}
	if !p.queue.empty() {
		p.writer.Signal()
	}
}

// oldest is the call that the next answer belongs to, or nil if there is none.
func (p *pipeline) oldest() *call {
	if p.next == len(p.pending) {
		p.book()
	}
	if p.next == len(p.pending) {
		return nil
	}
	return p.pending[p.next]
}

// done counts the oldest call as answered.
func (p *pipeline) done() {
	p.next++
	p.answered++
}

// acknowledge gives an answer to the call that it belongs to.
func (p *pipeline) acknowledge(r *reply) error {
	if r.kind == kindPush {
		p.wire.heed(r)
		return nil
	}
	refused := r.kind == kindError
	switch c := p.oldest(); {
	case c == nil && refused:
		// In words alone: what is lost thereby must not look as if it had been refused.
		return fmt.Errorf("%w: %s", ErrDismissed, newError(r.bytes).Error())
	case c == nil:
		return malformed("an answer to nothing that was asked")
	case c == &p.pinged:
		if !refused && !r.says("PONG") { // who refuses a PING is there, too: users may lack the right to it
			return malformed("%q is no answer to PING", r.kind)
		}
		p.done()
	default:
		published, err := acknowledgement(r)
		if err != nil && !refused {
			return err
		}
		p.done()
		c.result <- result{published, err} // from now on, it is its caller's again
	}
	return nil
}

// acknowledgement reads the answer to PUBLISH: receivers, and the number where there are numbers.
func acknowledgement(r *reply) (Published, error) {
	receivers, number := r, &reply{kind: kindInteger}
	if r.kind == kindArray && len(r.elements) == 2 {
		receivers, number = &r.elements[0], &r.elements[1]
	}
	switch {
	case r.kind == kindError:
		return Published{}, newError(r.bytes)
	case receivers.kind != kindInteger || number.kind != kindInteger:
		return Published{}, malformed("%q is no answer to PUBLISH", r.kind)
	case receivers.integer < 0 || number.integer < 0:
		return Published{}, malformed("published to %d receivers, as number %d", receivers.integer, number.integer)
	}
	return Published{Receivers: int(receivers.integer), Number: uint64(number.integer)}, nil
}
