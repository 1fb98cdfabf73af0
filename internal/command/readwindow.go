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
	// maxBatchesInOrder bounds them while some wait for the order of all nodes, which takes milliseconds.
	maxBatchesInOrder = 16
)

// readWindow makes the reader wait while too many of the client's commands are unapplied, or
// their replies unwritten.
//
// The reader adds batches and waits. The core counts batches as applied. The writer wakes the
// reader when replies are written.
type readWindow struct {
	mu sync.Mutex // guards what follows
	// woken receives once a wait is over. It is nil before the first one: most connections never wait, and a sync.Cond would be 56 bytes
	// of each.
	woken    chan struct{}
	inFlight int32 // batches with the core
	waiting  bool
	stopped  bool // the connection is ending: the reader must not wait any more
}

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
	w.inFlight -= int32(batches) //nolint:gosec // few
	w.wakeLocked()
	w.mu.Unlock()
}

// acquire waits until the reader may read on, and returns false if the connection is ending.
// With sync it waits for all batches. o has the replies that count.
func (w *readWindow) acquire(o *outbox.Outbox, sync bool) bool {
	return w.acquireUpTo(o, sync, maxBatchesInFlight)
}

func (w *readWindow) acquireUpTo(o *outbox.Outbox, sync bool, allowed int32) bool {
	if sync {
		allowed = 1
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for !w.stopped && (w.inFlight >= allowed || o.ReplyBytes() > maxReplyBytes || o.Places() > maxPlaces) {
		w.waitLocked()
	}
	return !w.stopped
}

// waitLocked waits for the next wake, without the lock.
func (w *readWindow) waitLocked() {
	if w.woken == nil {
		w.woken = make(chan struct{}, 1)
	}
	w.waiting = true
	w.mu.Unlock()
	<-w.woken
	w.mu.Lock()
}

// wakeLocked ends the wait of the reader, if it waits.
func (w *readWindow) wakeLocked() {
	if w.waiting {
		w.waiting = false
		w.woken <- struct{}{}
	}
}

// wake makes acquire check the replies again.
func (w *readWindow) wake() {
	w.mu.Lock()
	w.wakeLocked()
	w.mu.Unlock()
}

// stop makes acquire return false.
func (w *readWindow) stop() {
	w.mu.Lock()
	w.stopped = true
	w.wakeLocked()
	w.mu.Unlock()
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
	if f := c.getFiller(); f != nil {
		f.writerProgressed()
	}
}
