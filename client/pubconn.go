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

// errConnClosed means that a pubConn accepts no more messages: the publisher tries another one.
var errConnClosed = errors.New("this connection accepts no more messages")

// pubConn is one connection of a Publisher: a pipeline with a window. Publishers append messages to the window. A
// writer sends all that have accumulated in one write, and a reader records the replies.
//
// The publisher closes a healthy pubConn with drain; it then ends when nothing is in flight. A pubConn that breaks
// keeps what is lost in its window. If redial is set, it then goes on with another connection and the same window. It
// never sends a message twice.
type pubConn struct {
	conn       *conn         // replaced by run between two connections, with mu held
	redial     func() *conn  // returns nil when the pubConn is to end; nil: never reconnects
	onResumed  func()        // called after a reconnect; must see to it that a publisher that has stopped drains this one
	ackTimeout time.Duration // longest time without an acknowledgement while messages are in flight; 0: no limit
	grace      time.Duration // longest wait for replies after the last write
	onBroken   func(error)   // called with mu held, before the break is visible elsewhere; must not block

	mu sync.Mutex // guards all fields below, the embedded window included; never held across a blocking call
	ackWindow
	waiters       waiters
	writer        sync.Cond // signaled when there is something to write
	reserved      bool      // the next room belongs to a publish that has waited long
	closed        bool      // accepts no more messages
	drainDeadline time.Time // once closed: end of the wait for replies
	ackDeadline   time.Time // before: when the next acknowledgement is due; zero: none is
	broken        error     // why reading or writing failed
	ended         bool      // reader and writer must stop
	finished      bool      // reader and writer have returned, the window is final for this connection
}

func newPubConn(conn *conn, window ackWindow, ackTimeout, grace time.Duration, onBroken func(error)) *pubConn {
	c := &pubConn{conn: conn, ackTimeout: ackTimeout, grace: grace, onBroken: onBroken, ackWindow: window}
	c.lastSeq = conn.lastSeq
	conn.pings.extendDeadline = c.extendDeadline
	c.writer.L = &c.mu
	return c
}

// run serves one connection after the other, as long as redial returns one.
func (c *pubConn) run() {
	for {
		c.serve()
		if c.redial == nil {
			return
		}
		conn := c.redial()
		if conn == nil {
			return
		}
		c.resume(conn)
		c.onResumed()
	}
}

// serve is the reader, and waits for the writer. When it returns, the window is final for this connection.
func (c *pubConn) serve() {
	var writer sync.WaitGroup
	writer.Go(c.write)
	err := c.read()
	c.mu.Lock()
	c.breakLocked(err)
	c.endLocked()
	c.mu.Unlock()
	writer.Wait()
	_ = c.conn.Close() // the socket is of no use, whatever Close returns
	c.mu.Lock()
	if c.broken != nil {
		c.conn.leave()
	}
	if reason := c.conn.closeReason; reason != nil && c.broken != nil && !errors.Is(c.broken, reason) {
		c.broken = fmt.Errorf("%w; %w", c.broken, reason) // the writer failed before the reason was read
	}
	c.finish(c.broken)
	c.finished = true
	c.waiters.wake(math.MaxUint64)
	c.mu.Unlock()
}

// resume opens the pubConn again with a new connection.
func (c *pubConn) resume(conn *conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conn = conn
	conn.pings.extendDeadline = c.extendDeadline
	c.ackWindow.resume(conn.lastSeq)
	c.closed, c.ended, c.finished, c.broken = false, false, false, nil
	c.drainDeadline, c.ackDeadline = time.Time{}, time.Time{}
	c.waiters.wake(math.MaxUint64)
}

// publish appends at least one of the records, waiting for room if necessary, and as many more as fit at once.
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

// maxSkips is how often a waiting publish may lose the room to others. The room is then reserved for it: a large
// message could otherwise wait for ever behind small ones.
const maxSkips = 16

// awaitRoomLocked waits until a record fits. It releases c.mu while it waits.
func (c *pubConn) awaitRoomLocked(ctx context.Context, r *Record) error {
	reserved := false // for this call
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
			// A wake for every single place would cost more than the message.
			err = c.awaitLocked(ctx, c.settled+max(1, (c.inFlight()+3)/4))
		}
		if err != nil {
			if reserved {
				c.reserved = false
				c.waiters.wake(math.MaxUint64) // the room was all that kept them waiting
			}
			return err
		}
	}
}

// awaitSettled waits until count messages are settled or the pubConn is finished. It returns the error of ctx if ctx
// ends first.
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

// awaitLocked releases c.mu until count messages are settled, the state of the pubConn changes, or ctx ends.
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

// write is the writer. It takes all bytes of a block and writes them without holding c.mu.
func (c *pubConn) write() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		for c.sent == c.count && !c.ended && c.broken == nil {
			c.writer.Wait()
			c.mu.Unlock()
			runtime.Gosched() // goroutines that are about to publish join this write
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

// read is the reader. It returns when the connection fails, breaks the protocol, or has ended.
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
		case r.kind == kindPush: // no reply to a command
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

// parseReply turns a reply into an ack. A reply that does not belong to a PUBLISH is an error.
func (c *pubConn) parseReply(r *reply) (ack, error) {
	if r.kind == kindError {
		refusal := newError(r.bytes)
		if strings.HasPrefix(refusal.Text, "Protocol error") { // the server closes after it, as for a message that is too long
			c.conn.closeReason = fmt.Errorf("%w: %s", ErrClosedByServer, refusal.Error()) // not wrapped, as in recordReply
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

// nextReplyBuffered reports whether another complete reply is in the read buffer. The replies before it can then be
// recorded together with it, under one lock.
func (c *pubConn) nextReplyBuffered() bool {
	const maxLen = 64 // bytes of an array of two integers
	lines := 1
	if c.conn.hasSeq {
		lines = 3
	}
	buffered, _ := c.conn.replies.in.Peek(min(c.conn.replies.buffered(), maxLen)) // never reads
	return bytes.Count(buffered, []byte{'\n'}) >= lines
}

// recordReplies records replies up to the first that breaks the protocol.
func (c *pubConn) recordReplies(acks []ack) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.settleLocked()
	for _, a := range acks {
		if err := c.recordReply(a); err != nil {
			return err
		}
		if a.refusal != nil && isUnready(a.refusal) {
			c.leaveLocked()
		}
	}
	return nil
}

// leaveLocked ends the connection to a server that is not ready, once all replies have come, if there is another server
// to reconnect to.
func (c *pubConn) leaveLocked() {
	if c.redial != nil && !c.closed && c.conn.nodes.several() {
		c.conn.leave()
		c.closeLocked(time.Now().Add(c.grace))
	}
}

// settleLocked settles messages, and ends the pubConn when none can follow.
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

// drain closes the pubConn: accepted messages are still written, and their replies awaited until the deadline.
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

// breakLocked records why the connection failed. Replies that the server sent before are still read, for the grace at
// most.
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

// endLocked stops reader and writer: the expired deadline ends a blocked call.
func (c *pubConn) endLocked() {
	if c.ended {
		return
	}
	c.ended = true
	_ = c.conn.SetDeadline(time.Unix(1, 0)) // fails only for a closed socket, on which no call blocks
	c.writer.Signal()
}

// setReadDeadlineLocked sets the moment by which the next acknowledgement must arrive.
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

// extendDeadline extends an expired deadline once, by the time that it was noticed too late. While the process was
// stopped, the acknowledgement may have arrived.
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

// accepted returns how many messages the pubConn has accepted.
func (c *pubConn) accepted() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.count
}

// wait waits until a message is settled or lost, and returns which.
func (c *pubConn) wait(ctx context.Context, count uint64) (Published, error) {
	if accepted := c.accepted(); count == 0 || count > accepted {
		return Published{}, invalidOption("not an id of this publisher")
	}
	if err := c.awaitSettled(ctx, count); err != nil {
		return Published{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.result(count)
}

// flush waits until all accepted messages are settled. It returns the cause of one that was refused or lost and not yet
// returned by takeUnacked.
func (c *pubConn) flush(ctx context.Context) error {
	if err := c.awaitSettled(ctx, c.accepted()); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.firstErr()
}

// takeUnacked returns each unacknowledged message once. It waits for the end of a pubConn that is closed.
func (c *pubConn) takeUnacked() []unacked {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.closed && !c.finished {
		_ = c.awaitLocked(context.Background(), math.MaxUint64) // never canceled
	}
	return c.take()
}
