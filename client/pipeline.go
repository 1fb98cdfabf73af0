package client

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
)

const (
	maxInFlight = 1 << 10  // sent publishes without a reply; further ones stay queued
	batchBytes  = 64 << 10 // a batch of this size takes no further command
)

// pendingCall is one call of Publish or Append, or another command. Topic, payload, addition and command belong
// to the caller and are read only while the call is queued, where the caller can cancel it.
type pendingCall struct {
	topic    string
	payload  []byte
	addition *addition   // of Append
	command  []string    // answered by a count or by OK
	kind     callKind    // set when the call is sent
	result   chan result // capacity 1

	queued     bool // in the queue; guarded, with prev and next, by the pipeline's mu
	prev, next *pendingCall
}

// callKind is what the reply to a call is.
type callKind uint8

const (
	callPublish callKind = iota
	callAppend
	callCommand
)

// result is what a call returns: published for Publish, id for Append.
type result struct {
	published Published
	id        EntryID
	err       error
}

// pipeline is a connection for publishing and appending. Callers queue up; one goroutine writes all that has accumulated
// at once, another one reads the replies, which arrive in the same order.
type pipeline struct {
	conn     *conn
	pingCall pendingCall // stands in sent for a PING, which has no caller
	pool     sync.Pool   // of unused calls; per pipeline, because a channel made in a synctest bubble must stay there

	mu       sync.Mutex     // guards the fields below; held for copying one batch at most
	queue    queue          // not sent, can be canceled
	sent     []*pendingCall // sent, and not yet taken over by the reader, in order
	inFlight int            // sent, and not yet recorded as answered
	pingDue  bool           // a PING is to be sent
	writer   sync.Cond      // signaled when there is something to write
	unready  *Error         // why no further call uses the connection; nil if they do
	cause    error          // of the end of the connection; set once

	// The fields below belong to the reader.
	pending  []*pendingCall // the next replies belong to these, then to those in sent
	next     int            // first of pending without a reply
	answered int            // replies since the last recordAnswers
}

func newPipeline(conn *conn) *pipeline {
	p := &pipeline{conn: conn}
	p.pool.New = func() any { return &pendingCall{result: make(chan result, 1)} }
	p.writer.L = &p.mu
	conn.pings.sendPing = func() error {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.pingDue = true // if one is due already, the writer is blocked by the server too
		p.writer.Signal()
		return nil
	}
	return p
}

// fail ends the connection. Only the first cause is kept.
func (p *pipeline) fail(cause error) {
	p.mu.Lock()
	first := p.cause == nil
	if first {
		p.cause = cause
		p.writer.Signal()
	}
	p.mu.Unlock()
	if first {
		if !errors.Is(cause, ErrClosed) {
			p.conn.leave()
		}
		_ = p.conn.Close() // wakes reader and writer
	}
}

// unusable reports whether the connection has ended, or no further call is to use it.
func (p *pipeline) unusable() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cause != nil || p.unready != nil
}

// retire keeps further calls from a server that is not ready, if there is another one. The reader ends the connection once
// all replies have come.
func (p *pipeline) retire(unready *Error) {
	if !p.conn.nodes.several() {
		return
	}
	p.conn.leave()
	p.mu.Lock()
	p.unready = unready
	p.mu.Unlock()
}

// endRetired ends a retired connection on which nothing is outstanding. A call that comes too late fails, and is not sent.
func (p *pipeline) endRetired() {
	p.mu.Lock()
	unready, idle := p.unready, p.queue.empty() && p.inFlight == 0
	p.mu.Unlock()
	if unready != nil && idle {
		p.fail(&Error{unready.Code, "the server has refused another command; this one was not sent"})
	}
}

// publish sends one message and waits for its acknowledgement.
func (p *pipeline) publish(ctx context.Context, topic string, payload []byte) (Published, error) {
	call := p.pool.Get().(*pendingCall)
	call.topic, call.payload = topic, payload
	r := p.roundTrip(ctx, call)
	return r.published, r.err
}

// append sends one addition and waits for the id of the entry.
func (p *pipeline) append(ctx context.Context, a *addition) (EntryID, error) {
	call := p.pool.Get().(*pendingCall)
	call.addition = a
	r := p.roundTrip(ctx, call)
	return r.id, r.err
}

// run sends a command that is answered by a count or by OK, and waits for that.
func (p *pipeline) run(ctx context.Context, command []string) error {
	call := p.pool.Get().(*pendingCall)
	call.command = command
	return p.roundTrip(ctx, call).err
}

// roundTrip sends a call and waits for its result. The call is the pipeline's afterwards.
func (p *pipeline) roundTrip(ctx context.Context, call *pendingCall) result {
	if err := ctx.Err(); err != nil { // the select below chooses at random
		return result{err: fmt.Errorf("not sent: %w", err)}
	}
	if err := p.enqueue(call); err != nil {
		return result{err: err}
	}
	return p.await(ctx, call)
}

// await waits for the result of a call in the queue. The call is the pipeline's afterwards.
func (p *pipeline) await(ctx context.Context, call *pendingCall) result {
	select {
	case r := <-call.result:
		p.pool.Put(call)
		return r
	case <-ctx.Done():
	}
	if p.cancel(call) {
		return result{err: fmt.Errorf("not sent: %w", ctx.Err())}
	}
	select {
	case r := <-call.result: // arrived at the same moment
		return r
	default: // the reader still has the call: it must not return to the pool
		return result{err: fmt.Errorf("%w: %w", ErrOutcomeUnknown, ctx.Err())}
	}
}

func (p *pipeline) enqueue(calls ...*pendingCall) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cause != nil {
		return p.cause
	}
	for _, call := range calls {
		p.queue.push(call)
	}
	p.writer.Signal()
	return nil
}

// cancel removes a call from the queue and reports whether it was still there.
func (p *pipeline) cancel(call *pendingCall) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.queue.remove(call)
}

// write sends what is queued until the connection ends.
func (p *pipeline) write() {
	var batch []byte
	for p.awaitWork() {
		runtime.Gosched() // goroutines that are about to call join this write
		batch = p.nextBatch(batch[:0])
		if len(batch) == 0 { // all were canceled meanwhile
			continue
		}
		if _, err := p.conn.Write(batch); err != nil {
			p.fail(fmt.Errorf("cannot write: %w", err))
			return
		}
		if cap(batch) > 2*batchBytes {
			batch = nil
		}
	}
}

// awaitWork waits until there is something to write and the window permits it. It returns false when the connection has
// ended.
func (p *pipeline) awaitWork() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.cause == nil && !p.pingDue && (p.queue.empty() || p.inFlight >= maxInFlight) {
		p.writer.Wait()
	}
	return p.cause == nil
}

// nextBatch appends about one batch of commands. The reader must find each of them in sent before its reply can arrive.
func (p *pipeline) nextBatch(batch []byte) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cause != nil {
		return batch
	}
	if p.pingDue {
		batch = appendCommand(batch, "PING")
		p.pingDue = false
		p.sent = append(p.sent, &p.pingCall)
		p.inFlight++
	}
	for !p.queue.empty() && len(batch) < batchBytes && p.inFlight < maxInFlight {
		call := p.queue.pop()
		batch = call.appendTo(batch)
		p.sent = append(p.sent, call)
		p.inFlight++
	}
	return batch
}

// appendTo appends the command of a call, and drops what belongs to the caller.
func (call *pendingCall) appendTo(b []byte) []byte {
	switch {
	case call.addition != nil:
		call.kind, b = callAppend, call.addition.appendTo(b)
	case call.command != nil:
		call.kind, b = callCommand, appendCommand(b, call.command...)
	default:
		call.kind, b = callPublish, appendPublish(b, call.topic, call.payload)
	}
	call.topic, call.payload, call.addition, call.command = "", nil, nil, nil
	return b
}

// read delivers the acknowledgements until the connection ends.
func (p *pipeline) read() {
	defer p.failAll()
	for {
		if p.answered > 0 && p.conn.replies.buffered() == 0 {
			p.recordAnswers() // before read blocks: the writer may wait for the window
			p.endRetired()
		}
		r, err := p.conn.replies.read()
		if err != nil {
			p.fail(p.conn.readError(err))
			return
		}
		if err := p.handleReply(&r); err != nil {
			p.fail(err)
			return
		}
	}
}

// failAll completes all calls that have no reply, with the outcome as far as it is known.
func (p *pipeline) failAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	lost := result{err: fmt.Errorf("%w: %w", ErrOutcomeUnknown, p.cause)}
	for _, call := range slices.Concat(p.pending[p.next:], p.sent) {
		if call != &p.pingCall {
			call.result <- lost
		}
	}
	for !p.queue.empty() {
		p.queue.pop().result <- result{err: p.cause}
	}
	p.pending, p.sent = nil, nil
}

// recordAnswers reopens the window by what was answered, and takes over sent when pending is used up.
func (p *pipeline) recordAnswers() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.inFlight -= p.answered
	p.answered = 0
	if p.next == len(p.pending) {
		p.pending, p.sent, p.next = p.sent, p.pending[:0], 0
	}
	if !p.queue.empty() {
		p.writer.Signal()
	}
}

// oldest returns the call that the next reply belongs to, or nil.
func (p *pipeline) oldest() *pendingCall {
	if p.next == len(p.pending) {
		p.recordAnswers()
	}
	if p.next == len(p.pending) {
		return nil
	}
	return p.pending[p.next]
}

// advance marks the oldest call as answered.
func (p *pipeline) advance() {
	p.next++
	p.answered++
}

// handleReply delivers a reply to the call that it belongs to.
func (p *pipeline) handleReply(r *reply) error {
	if r.kind == kindPush {
		p.conn.noteClosing(r)
		return nil
	}
	refused := r.kind == kindError
	switch call := p.oldest(); {
	case call == nil && refused:
		// Not wrapped: errors.As must not find a refusal of messages that are lost here.
		return fmt.Errorf("%w: %s", ErrClosedByServer, newError(r.bytes).Error())
	case call == nil:
		return malformed("a reply to no command")
	case call == &p.pingCall:
		if !refused && !r.isText("PONG") { // a refusal proves a live server too: the user may lack the right
			return malformed("unexpected reply %q to PING", r.kind)
		}
		p.advance()
	default:
		got := call.parse(r)
		if got.err != nil && !refused {
			return got.err
		}
		if refusal := new(Error); isUnready(got.err) && errors.As(got.err, &refusal) {
			p.retire(refusal)
		}
		p.advance()
		call.result <- got // the caller owns it again
	}
	return nil
}

// parse reads the reply to a call.
func (call *pendingCall) parse(r *reply) (got result) {
	switch call.kind {
	case callAppend:
		got.id, got.err = parseAppended(r)
	case callCommand:
		got.err = parseDone(r)
	default:
		got.published, got.err = parseAck(r)
	}
	return got
}

// parseDone reads the reply to a command: a count, or OK.
func parseDone(r *reply) error {
	switch {
	case r.kind == kindError:
		return newError(r.bytes)
	case r.isCount(), r.isText("OK"):
		return nil
	}
	return malformed("unexpected reply %q in place of a count", r.kind)
}

// parseAck reads the reply to PUBLISH: receivers, and the sequence if enabled.
func parseAck(r *reply) (Published, error) {
	receivers, seq := r, &reply{kind: kindInteger}
	if r.kind == kindArray && len(r.elements) == 2 {
		receivers, seq = &r.elements[0], &r.elements[1]
	}
	switch {
	case r.kind == kindError:
		return Published{}, newError(r.bytes)
	case receivers.kind != kindInteger || seq.kind != kindInteger:
		return Published{}, malformed("unexpected reply %q to PUBLISH", r.kind)
	case receivers.integer < 0 || seq.integer < 0:
		return Published{}, malformed("published to %d receivers, sequence %d", receivers.integer, seq.integer)
	}
	return Published{Receivers: int(receivers.integer), Sequence: uint64(seq.integer)}, nil
}
