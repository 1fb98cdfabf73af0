package client

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
)

const (
	maxInFlight = 1 << 10  // publishes on their way at once; who comes then waits until one is acknowledged
	batchBytes  = 64 << 10 // a write is not made longer than this by adding one more command
)

// pendingPublish is one publish. Topic and payload are the caller's: they are read while the call stands in the queue, where the
// caller can take it out, and not any more when it has been sent.
type pendingPublish struct {
	topic   string
	payload []byte
	result  chan result // holds one

	queued     bool // it stands in the queue, whose lock guards this and its neighbors
	prev, next *pendingPublish
}

type result struct {
	published Published
	err       error
}

// pipeline is a connection for publishing. Callers queue up, one goroutine writes all that have come meanwhile at once,
// another one reads the acknowledgements, which come in the same order.
type pipeline struct {
	conn     *conn
	pingCall pendingPublish // stands in sent for a PING, whose answer belongs to no caller
	pool     sync.Pool      // calls that nobody has a hand on; not shared, because their channels may belong to a test's bubble

	mu       sync.Mutex        // guards what follows; held for copying a batch at most
	queue    queue             // not sent: their callers may still take them out
	sent     []*pendingPublish // what the reader has not taken over of those that the writer took, in order
	inFlight int               // taken by the writer, and not booked as answered
	pingDue  bool              // a PING is to be sent
	writer   sync.Cond         // the writer waits here for something to write
	cause    error             // why the connection is of no use any more; set once

	// What follows is the reader's.
	pending  []*pendingPublish // the next answers belong to these, and then to those in sent
	next     int               // the first of them that has none
	answered int               // calls, since that was booked
}

func newPipeline(conn *conn) *pipeline {
	p := &pipeline{conn: conn}
	p.pool.New = func() any { return &pendingPublish{result: make(chan result, 1)} }
	p.writer.L = &p.mu
	conn.pings.sendPing = func() error {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.pingDue = true // if it was, the writer waits for the peer, too
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
		_ = p.conn.Close() // wakes reader and writer; what else it says does not matter
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
	pub := p.pool.Get().(*pendingPublish)
	pub.topic, pub.payload = topic, payload
	if err := p.enqueue(pub); err != nil {
		return Published{}, err
	}
	select {
	case r := <-pub.result:
		p.pool.Put(pub)
		return r.published, r.err
	case <-ctx.Done():
	}
	if p.cancel(pub) {
		return Published{}, fmt.Errorf("not sent: %w", ctx.Err())
	}
	select {
	case r := <-pub.result: // it came in the same moment
		return r.published, r.err
	default: // the reader still has the call, so nobody may use it again
		return Published{}, fmt.Errorf("%w: %w", ErrOutcomeUnknown, ctx.Err())
	}
}

func (p *pipeline) enqueue(pub *pendingPublish) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cause != nil {
		return p.cause
	}
	p.queue.push(pub)
	p.writer.Signal()
	return nil
}

// cancel takes a call out of the queue, if it is still there.
func (p *pipeline) cancel(pub *pendingPublish) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.queue.remove(pub)
}

// write sends what is queued until the connection is cut.
func (p *pipeline) write() {
	var batch []byte
	for p.awaitWork() {
		runtime.Gosched() // those who are just about to publish go with this write, not the next
		batch = p.nextBatch(batch[:0])
		if len(batch) == 0 { // they have taken their calls back meanwhile
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

// awaitWork waits until there is something to write that may be written. It returns false when the connection is cut.
func (p *pipeline) awaitWork() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.cause == nil && !p.pingDue && (p.queue.empty() || p.inFlight >= maxInFlight) {
		p.writer.Wait()
	}
	return p.cause == nil
}

// nextBatch appends what is to be written, up to about a batch. Answers may come as soon as that is done, so the calls are on
// their way from now on.
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
		pub := p.queue.pop()
		batch = appendPublish(batch, pub.topic, pub.payload)
		pub.topic, pub.payload = "", nil
		p.sent = append(p.sent, pub)
		p.inFlight++
	}
	return batch
}

// read hands out the acknowledgements until the connection ends, and tells all that are left what they can know.
func (p *pipeline) read() {
	defer p.failAll()
	for {
		if p.answered > 0 && p.conn.replies.buffered() == 0 {
			p.recordAnswers() // before waiting, because the writer may wait for it
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

// failAll tells all calls what they can know when nothing more is read.
func (p *pipeline) failAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	lost := result{err: fmt.Errorf("%w: %w", ErrOutcomeUnknown, p.cause)}
	for _, pub := range slices.Concat(p.pending[p.next:], p.sent) {
		if pub != &p.pingCall {
			pub.result <- lost
		}
	}
	for !p.queue.empty() {
		p.queue.pop().result <- result{err: p.cause}
	}
	p.pending, p.sent = nil, nil
}

// recordAnswers counts what has been answered, and takes over what has been sent when all that was is answered.
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

// oldest is the call that the next answer belongs to, or nil if there is none.
func (p *pipeline) oldest() *pendingPublish {
	if p.next == len(p.pending) {
		p.recordAnswers()
	}
	if p.next == len(p.pending) {
		return nil
	}
	return p.pending[p.next]
}

// advance counts the oldest call as answered.
func (p *pipeline) advance() {
	p.next++
	p.answered++
}

// handleReply gives an answer to the call that it belongs to.
func (p *pipeline) handleReply(r *reply) error {
	if r.kind == kindPush {
		p.conn.noteClosing(r)
		return nil
	}
	refused := r.kind == kindError
	switch pub := p.oldest(); {
	case pub == nil && refused:
		// In words alone: what is lost thereby must not look as if it had been refused.
		return fmt.Errorf("%w: %s", ErrClosedByServer, newError(r.bytes).Error())
	case pub == nil:
		return malformed("a reply to no command")
	case pub == &p.pingCall:
		if !refused && !r.isText("PONG") { // who refuses a PING is there, too: users may lack the right to it
			return malformed("unexpected reply %q to PING", r.kind)
		}
		p.advance()
	default:
		published, err := parseAck(r)
		if err != nil && !refused {
			return err
		}
		p.advance()
		pub.result <- result{published, err} // from now on, it is its caller's again
	}
	return nil
}

// parseAck reads the answer to PUBLISH: receivers, and the number where there are numbers.
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
