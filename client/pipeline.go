package client

import (
	"context"
	"fmt"
	"sync"
)

const (
	maxPending = 1 << 10  // publishes on their way at once; who comes then waits until one is acknowledged
	batchBytes = 64 << 10 // a write is not made longer than this by adding one more command
)

// call is one publish. The goroutine that publishes gives it away at the moment when its fate becomes unknown.
type call struct {
	command []byte
	result  chan result // holds one
}

type result struct {
	published Published
	err       error
}

// pipeline is a connection for publishing: one goroutine writes what is given to it, as much at once as has come
// meanwhile, another one reads the acknowledgements, which come in the same order.
type pipeline struct {
	wire    *wire
	calls   chan *call    // to the writer, which takes a call when it can send it
	pending chan *call    // from the writer to the reader, in the order of sending
	pings   chan struct{} // from the reader to the writer; holds one

	once  sync.Once
	cause error         // set once, before cut is closed
	cut   chan struct{} // closed when the connection is of no use any more
	ended chan struct{} // closed by the reader behind the last result
}

func newPipeline(w *wire) *pipeline {
	p := &pipeline{
		wire: w, calls: make(chan *call), pending: make(chan *call, maxPending), pings: make(chan struct{}, 1),
		cut: make(chan struct{}), ended: make(chan struct{}),
	}
	w.pulse.ping = func() error {
		select {
		case p.pings <- struct{}{}:
		default: // the writer has not come to the last one: it waits for the peer, too
		}
		return nil
	}
	return p
}

// fail ends the connection. The first cause is the one that is told.
func (p *pipeline) fail(cause error) {
	p.once.Do(func() {
		p.cause = cause
		close(p.cut)
		_ = p.wire.Close() // wakes reader and writer; what else it says does not matter
	})
}

func (p *pipeline) broken() bool {
	select {
	case <-p.cut:
		return true
	default:
		return false
	}
}

// publish sends one message and waits for its acknowledgement.
func (p *pipeline) publish(ctx context.Context, topic string, payload []byte) (Published, error) {
	if err := ctx.Err(); err != nil { // else it might be sent all the same
		return Published{}, fmt.Errorf("not sent: %w", err)
	}
	c := &call{command: appendPublish(nil, topic, payload), result: make(chan result, 1)}
	select {
	case p.calls <- c:
	case <-p.cut:
		return Published{}, p.cause
	case <-ctx.Done():
		return Published{}, fmt.Errorf("not sent: %w", ctx.Err())
	}
	select {
	case r := <-c.result:
		return r.published, r.err
	case <-ctx.Done():
		return Published{}, fmt.Errorf("%w: %w", ErrFateUnknown, ctx.Err())
	case <-p.ended:
	}
	select {
	case r := <-c.result: // it came with the end
		return r.published, r.err
	default:
		return Published{}, fmt.Errorf("%w: %w", ErrFateUnknown, p.cause)
	}
}

// write sends what it is given until the connection is cut.
func (p *pipeline) write() {
	var batch []byte
	for {
		batch = batch[:0]
		select {
		case <-p.cut:
			return
		case <-p.pings:
			batch = appendCommand(batch, "PING")
		case c := <-p.calls:
			batch = p.take(batch, c)
		}
		batch = p.more(batch)
		if p.broken() {
			return
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

// more takes what else has come, up to about a batch.
func (p *pipeline) more(batch []byte) []byte {
	for len(batch) < batchBytes {
		select {
		case c := <-p.calls:
			batch = p.take(batch, c)
		default:
			return batch
		}
	}
	return batch
}

// take adds one call to what will be written. Its answer may come as soon as that is done, so it is pending from now on.
// While as many as may be are pending, what was taken before must be written, else nobody would answer.
func (p *pipeline) take(batch []byte, c *call) []byte {
	select {
	case p.pending <- c:
	default:
		if len(batch) > 0 {
			if _, err := p.wire.Write(batch); err != nil {
				p.fail(fmt.Errorf("cannot write: %w", err))
				return batch[:0]
			}
			batch = batch[:0]
		}
		select {
		case p.pending <- c:
		case <-p.cut:
			return batch
		}
	}
	batch = append(batch, c.command...)
	c.command = nil
	return batch
}

// read hands out the acknowledgements until the connection ends.
func (p *pipeline) read() {
	defer close(p.ended)
	for {
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

// acknowledge gives an answer to the call that it belongs to.
func (p *pipeline) acknowledge(r *reply) error {
	switch {
	case r.kind == kindPush:
		p.wire.heed(r)
		return nil
	case r.says("PONG"):
		return nil
	}
	var res result
	res.published, res.err = acknowledgement(r)
	refused := r.kind == kindError
	if res.err != nil && !refused {
		return res.err
	}
	select {
	case c := <-p.pending:
		c.result <- res
		return nil
	default:
	}
	if refused {
		return dismissed(r)
	}
	return malformed("an answer to nothing that was asked")
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
