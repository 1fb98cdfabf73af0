package command

import (
	"sync"

	"github.com/conchmq/conch/internal/outbox"
)

const (
	// maxReplyBytes is how many bytes of replies may wait before the connection's socket is left unread.
	maxReplyBytes = 1 << 20
	// maxBatchesInFlight is how many batches of one connection may be with the core: the next is read when one is done.
	maxBatchesInFlight = 2
)

// readWindow holds a connection's reader back while too much of what the client sent is still to be done or to be
// written. The reader submits and waits, the core counts batches as applied, the writer wakes it when replies are gone.
type readWindow struct {
	outbox *outbox.Outbox // whose replies count

	mu       sync.Mutex // guards what follows
	changed  sync.Cond  // the reader waits here
	inFlight int        // batches with the core
	stopped  bool       // the connection is ending: its reader need not wait any more
}

func (w *readWindow) init(o *outbox.Outbox) {
	w.outbox, w.changed.L = o, &w.mu
}

// add notes a batch on its way to the core.
func (w *readWindow) add() {
	w.mu.Lock()
	w.inFlight++
	w.mu.Unlock()
}

// applied notes that the core is done with some batches.
func (w *readWindow) applied(batches int) {
	w.mu.Lock()
	w.inFlight -= batches
	w.mu.Unlock()
	w.changed.Signal()
}

// acquire waits until the reader may read on. It returns false when the connection is ending. With sync, everything
// submitted must have been applied.
func (w *readWindow) acquire(sync bool) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	allowed := maxBatchesInFlight
	if sync {
		allowed = 1
	}
	for !w.stopped && (w.inFlight >= allowed || w.outbox.ReplyBytes() > maxReplyBytes) {
		w.changed.Wait()
	}
	return !w.stopped
}

// wake has acquire look at the replies again. Without the lock a reader that is about to wait would miss it.
func (w *readWindow) wake() {
	w.mu.Lock()
	w.mu.Unlock() //nolint:staticcheck // a fence: the reader has looked before, or looks afterwards
	w.changed.Signal()
}

// stop makes acquire return false.
func (w *readWindow) stop() {
	w.mu.Lock()
	w.stopped = true
	w.mu.Unlock()
	w.changed.Broadcast()
}

// MarkWritten notes that n bytes more are with the kernel, and wakes the reader if it may be waiting for that. The
// writer's.
func (c *Conn) MarkWritten(q *outbox.WriteQueue, n int) {
	c.service.Counts.bytesOut.Add(int64(n))
	replies := c.outbox.MarkWritten(q, n)
	if left := int(c.outbox.ReplyBytes()); left <= maxReplyBytes && left+replies > maxReplyBytes {
		c.window.wake()
	}
}
