package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// errConnClosed says that a pubConn takes no more messages.
var errConnClosed = errors.New("this connection accepts no more messages")

// pubConn is one connection of a Publisher: a pipeline with a window. Publishers add messages to its account, a writer
// brings them to the socket, as many at once as have come together meanwhile, and a reader counts the replies.
//
// A pubConn that works is closed by drain, when its publisher stops, and then ends when nothing is in flight any more; or
// it breaks, and then the account tells what is lost. It never sends anything twice, and nobody dials it again.
type pubConn struct {
	conn       *conn
	ackTimeout time.Duration // how long there may be no acknowledgement while something is in flight; 0: for ever
	grace      time.Duration // how long replies are waited for when nothing can be written any more
	onBroken   func(error)   // told why the pubConn broke, before anybody can notice that it has; must not block

	mu sync.Mutex // guards what follows; nobody waits while holding it
	ackWindow
	waiters       waiters
	writer        sync.Cond // the writer waits here for messages
	reserved      bool      // the next room is for somebody who has waited long
	closed        bool      // takes no more messages
	drainDeadline time.Time // once closed: until when replies are waited for
	ackDeadline   time.Time // before: when there must have been an acknowledgement; zero if there is no such moment
	broken        error     // why nothing can be written any more, or not read
	ended         bool      // nothing is read or written any more
	finished      bool      // reader and writer are gone, the account is final
}

func newPubConn(conn *conn, window ackWindow, ackTimeout, grace time.Duration, onBroken func(error)) *pubConn {
	c := &pubConn{conn: conn, ackTimeout: ackTimeout, grace: grace, onBroken: onBroken, ackWindow: window}
	c.lastSeq = conn.lastSeq
	conn.pings.extendDeadline = c.extendDeadline
	c.writer.L = &c.mu
	return c
}

// run is the pubConn's reader, and waits for its writer. When it returns, the account is final.
func (c *pubConn) run() {
	var writer sync.WaitGroup
	writer.Go(c.write)
	err := c.read()
	c.mu.Lock()
	c.breakLocked(err)
	c.endLocked()
	c.mu.Unlock()
	writer.Wait()
	_ = c.conn.Close() // whatever it says, the socket is gone
	c.mu.Lock()
	if reason := c.conn.closeReason; reason != nil && c.broken != nil && !errors.Is(c.broken, reason) {
		c.broken = fmt.Errorf("%w; %w", c.broken, reason) // the writer was the first to notice
	}
	c.finish(c.broken)
	c.finished = true
	c.waiters.wake(math.MaxUint64)
	c.mu.Unlock()
}

// publish takes at least one of the records, waiting for room if it must, and as many more as there is room for.
func (c *pubConn) publish(ctx context.Context, ordinals *atomic.Uint64, records []Record) (first uint64, n int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.awaitRoomLocked(ctx, &records[0]); err != nil {
		return 0, 0, err
	}
	first = c.count + 1
	for n < len(records) && c.hasRoom(&records[n]) {
		c.append(&records[n], ordinals.Add(1))
		n++
	}
	c.writer.Signal()
	return first, n, nil
}

// maxSkips is how often others may have taken the room that somebody waits for. Then it is kept for who waits, or else a
// large message would wait for as long as there are small ones.
const maxSkips = 16

// awaitRoomLocked waits until there is room for a record. It lets go of the lock meanwhile.
func (c *pubConn) awaitRoomLocked(ctx context.Context, r *Record) error {
	reserved := false // for us
	for waits := 0; ; waits++ {
		err := c.backlogErr()
		switch {
		case c.closed:
			err = errConnClosed
		case err == nil && (reserved || !c.reserved) && c.hasRoom(r):
			c.reserved = c.reserved && !reserved
			return nil
		case err == nil:
			if waits >= maxSkips && !c.reserved {
				reserved, c.reserved = true, true
			}
			// Not woken for every single place, which would cost more than the message.
			err = c.awaitLocked(ctx, c.settled+max(1, (c.inFlight()+3)/4))
		}
		if err != nil {
			if reserved {
				c.reserved = false
				c.waiters.wake(math.MaxUint64) // they may have waited for us alone
			}
			return err
		}
	}
}

// awaitSettled waits until so many messages are settled, or the pubConn is dead. It returns the error of ctx if that ends first.
func (c *pubConn) awaitSettled(ctx context.Context, count uint64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.settled < count && !c.finished {
		if err := c.awaitLocked(ctx, count); err != nil {
			return err
		}
	}
	return nil
}

// awaitLocked lets go of the lock until so many messages are settled, something has happened to the pubConn, or ctx ends.
func (c *pubConn) awaitLocked(ctx context.Context, until uint64) (err error) {
	w := c.waiters.add(until)
	c.mu.Unlock()
	select {
	case <-w.ready:
	case <-ctx.Done():
		err = ctx.Err()
	}
	c.mu.Lock()
	c.waiters.done(w)
	return err
}

// write is the writer: it takes all that is there of a segment, and writes it without the lock.
func (c *pubConn) write() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		for c.sent == c.count && !c.ended && c.broken == nil {
			c.writer.Wait()
			c.mu.Unlock()
			runtime.Gosched() // those who are just about to publish go with this write, not the next
			c.mu.Lock()
		}
		if c.ended || c.broken != nil {
			return
		}
		idle := c.sent == c.settled
		chunk := c.nextWrite()
		if idle {
			c.setReadDeadlineLocked()
		}
		c.mu.Unlock()
		n, err := c.conn.Write(chunk)
		c.mu.Lock()
		c.recordWritten(len(chunk) - n)
		if err != nil {
			c.breakLocked(err)
		}
		c.settleLocked()
	}
}

// read is the reader. It returns when the connection cannot be read on, cannot be believed, or has been ended.
func (c *pubConn) read() error {
	var (
		acks [128]ack
		n    int
	)
	for {
		r, err := c.conn.replies.read()
		switch {
		case err != nil:
			err = c.conn.readError(err)
		case r.kind == kindPush: // answers nothing
			c.conn.noteClosing(&r)
		default:
			if acks[n], err = c.parseReply(&r); err == nil {
				n++
			}
		}
		if err == nil && n < len(acks) && c.nextReplyBuffered() {
			continue
		}
		if bad := c.recordReplies(acks[:n]); bad != nil {
			return bad
		}
		if err != nil {
			return err
		}
		n = 0
	}
}

// parseReply is what a reply says. Anything that does not answer a PUBLISH is an error.
func (c *pubConn) parseReply(r *reply) (ack, error) {
	if r.kind == kindError {
		refusal := newError(r.bytes)
		if strings.HasPrefix(refusal.Text, "Protocol error") { // such as a message that is too long: it closes behind that
			c.conn.closeReason = fmt.Errorf("%w: %s", ErrClosedByServer, refusal.Error()) // in words alone, as in answered
		}
		return ack{refusal: refusal}, nil
	}
	published, err := parseAck(r)
	switch {
	case err != nil:
		return ack{}, err
	case c.conn.hasSeq != (r.kind == kindArray) || c.conn.hasSeq != (published.Sequence != 0):
		return ack{}, malformed("unexpected reply %q with sequence %d to PUBLISH", r.kind, published.Sequence)
	}
	return ack{published: published}, nil
}

// nextReplyBuffered tells whether one more reply is there as a whole, so that those before it may wait for it to be booked together.
func (c *pubConn) nextReplyBuffered() bool {
	const maxLen = 64 // bytes of an array of two integers
	lines := 1
	if c.conn.hasSeq {
		lines = 3
	}
	buffered, _ := c.conn.replies.in.Peek(min(c.conn.replies.buffered(), maxLen)) // which does not read
	return bytes.Count(buffered, []byte{'\n'}) >= lines
}

// recordReplies counts replies, up to the first that cannot be believed.
func (c *pubConn) recordReplies(acks []ack) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.settleLocked()
	for _, a := range acks {
		if err := c.recordReply(a); err != nil {
			return err
		}
	}
	return nil
}

// settleLocked counts what has become settled, and ends the pubConn when nothing more can.
func (c *pubConn) settleLocked() {
	if c.settle() {
		c.waiters.wake(c.settled)
		c.setReadDeadlineLocked()
	}
	last := c.count
	if c.broken != nil {
		last = c.written
	}
	if c.closed && c.settled == last {
		c.endLocked()
	}
}

// drain closes the pubConn: what has been taken is still written and waited for, until a moment.
func (c *pubConn) drain(deadline time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.closeLocked(deadline)
		c.settleLocked()
	}
}

func (c *pubConn) closeLocked(drainDeadline time.Time) {
	c.closed, c.drainDeadline = true, drainDeadline
	c.setReadDeadlineLocked()
	c.waiters.wake(math.MaxUint64)
}

// breakLocked notes why the connection is of no use any more. What the server has said before that is still read, but
// not for long.
func (c *pubConn) breakLocked(err error) {
	if c.broken != nil || c.ended {
		return
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = ErrAckTimeout
	}
	c.broken = fmt.Errorf("connection %d: %w", c.connection, err)
	c.onBroken(c.broken)
	if !c.closed {
		c.closeLocked(time.Now().Add(c.grace))
	}
	c.writer.Signal()
}

// endLocked stops reader and writer, wherever they wait.
func (c *pubConn) endLocked() {
	if c.ended {
		return
	}
	c.ended = true
	_ = c.conn.SetDeadline(time.Unix(1, 0)) // fails only for a socket that is closed, where nobody waits
	c.writer.Signal()
}

// setReadDeadlineLocked sets until when the next acknowledgement must come.
func (c *pubConn) setReadDeadlineLocked() {
	var deadline time.Time
	c.ackDeadline = time.Time{}
	switch {
	case c.ended:
		return
	case c.closed:
		deadline = c.drainDeadline
	case c.ackTimeout > 0 && c.sent > c.settled:
		deadline = time.Now().Add(c.ackTimeout)
		c.ackDeadline = deadline
	}
	_ = c.conn.SetReadDeadline(deadline) // as in endLocked
}

// extendDeadline gives the reader back, once, the time by which it noticed its deadline too late: while the process stood still,
// the acknowledgement may have come.
func (c *pubConn) extendDeadline() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended || c.ackDeadline.IsZero() {
		return false
	}
	late := time.Since(c.ackDeadline)
	if late <= 0 {
		return false
	}
	c.ackDeadline = time.Time{}
	_ = c.conn.SetReadDeadline(time.Now().Add(min(late, c.ackTimeout))) // as in endLocked
	return true
}

// accepted is how many messages the pubConn has taken.
func (c *pubConn) accepted() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.count
}

// wait waits until a message is settled or lost, and says which.
func (c *pubConn) wait(ctx context.Context, count uint64) (Published, error) {
	if accepted := c.accepted(); count == 0 || count > accepted {
		return Published{}, invalidOption("not an id of this publisher")
	}
	if err := c.awaitSettled(ctx, count); err != nil {
		return Published{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if count > c.settled {
		return Published{}, fmt.Errorf("%w: %w", ErrOutcomeUnknown, c.broken)
	}
	return c.result(count)
}

// flush waits until all that has been taken is settled, and tells whether something has been refused or lost that
// nobody knows of.
func (c *pubConn) flush(ctx context.Context) error {
	if err := c.awaitSettled(ctx, c.accepted()); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.firstErr()
}

// takeUnacked hands out what was not acknowledged, once. If the pubConn is closed, it waits for its end.
func (c *pubConn) takeUnacked() []unacked {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.closed && !c.finished {
		_ = c.awaitLocked(context.Background(), math.MaxUint64) // which does not end
	}
	return c.take()
}
