package command

import (
	"sync"

	"github.com/conchmq/conch/internal/outbox"
)

const (
	// maxReplyBytes bounds the replies in the outbox: above it, the reader stops reading. A
	// client that does not read its replies cannot make the server hold more.
	maxReplyBytes = 1 << 20
	// maxBatchesInFlight bounds the batches of one connection with the core. The reader parses
	// the next while the core applies the first. With 2, four publishers to 100 topics had 15 %
	// less throughput; beside eight flooding publishers a PING took no longer with 4 than with 2.
	maxBatchesInFlight = 4
)

// readWindow makes the reader wait while too many of the client's commands are unapplied, or
// their replies unwritten.
//
// The reader adds batches and waits. The core counts batches as applied. The writer wakes the
// reader when replies are written.
type readWindow struct {
	mu       sync.Mutex // guards what follows
	changed  sync.Cond  // the reader waits here
	inFlight int32      // batches with the core
	stopped  bool       // the connection is ending: the reader must not wait any more
}

// init must come before the first use.
func (w *readWindow) init() { w.changed.L = &w.mu }

// add counts a batch on its way to the core.
func (w *readWindow) add() {
	w.mu.Lock()
	w.inFlight++
	w.mu.Unlock()
}

// applied counts batches that the core is done with. It runs on the core's goroutine, once for
// each flush.
func (w *readWindow) applied(batches int) {
	w.mu.Lock()
	w.inFlight -= int32(batches) //nolint:gosec // four at most
	w.mu.Unlock()
	w.changed.Signal()
}

// acquire waits until the reader may read on, and returns false if the connection is ending.
// With sync it waits for all batches. o has the replies that count.
func (w *readWindow) acquire(o *outbox.Outbox, sync bool) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	allowed := int32(maxBatchesInFlight)
	if sync {
		allowed = 1
	}
	for !w.stopped && (w.inFlight >= allowed || o.ReplyBytes() > maxReplyBytes || o.Places() > maxPlaces) {
		w.changed.Wait()
	}
	return !w.stopped
}

// wake makes acquire check the replies again. The lock is a fence: without it, a reader that is
// about to wait would miss the signal.
func (w *readWindow) wake() {
	w.mu.Lock()
	w.mu.Unlock() //nolint:staticcheck // a fence: the reader has checked before, or checks afterwards
	w.changed.Signal()
}

// stop makes acquire return false.
func (w *readWindow) stop() {
	w.mu.Lock()
	w.stopped = true
	w.mu.Unlock()
	w.changed.Broadcast()
}

// MarkWritten records n more bytes as written to the kernel, and wakes the reader if it may
// wait for that. The writer calls it.
func (c *Conn) MarkWritten(q *outbox.WriteQueue, n int) {
	c.service.Counts.bytesOut.Add(int64(n))
	replies := c.outbox.MarkWritten(q, n)
	if left := int(c.outbox.ReplyBytes()); left <= maxReplyBytes && left+replies > maxReplyBytes {
		c.window.wake()
	}
	if f := c.feeder.Load(); f != nil {
		f.writerProgressed()
	}
	if f := c.filler.Load(); f != nil {
		f.writerProgressed()
	}
}
