package server

import (
	"errors"
	"os"
	"sync"
	"syscall"
	"unsafe"

	"github.com/conchmq/conch/internal/outbox"
	"github.com/conchmq/conch/internal/sockio"
)

const (
	// maxRecord is the most that fits into a record of TLS: RFC 8446, 5.1.
	maxRecord = 16 << 10
	// maxIovecs is how many chunks go into one call; Linux takes 1,024.
	maxIovecs = 1024
)

// writer is the writer's side of a connection with a descriptor: one call to the kernel.
type writer struct {
	queue  outbox.WriteQueue // what it has taken out of the outbox
	iovecs *[]syscall.Iovec  // what to write; gathered in pooled memory, of which an idle connection holds none
	size   int               // bytes of it
	ready  func(fd uintptr) bool
	n      int   // of ready: written
	err    error // of ready
}

var iovecPool = sync.Pool{New: func() any { v := make([]syscall.Iovec, 0, 64); return &v }}

// writeReady is called by the runtime when the socket may be writable; false means that it is not.
func (c *conn) writeReady(fd uintptr) bool {
	w := &c.writer
	w.n, w.err = sockio.TryWritev(fd, *w.iovecs, w.size)
	return !errors.Is(w.err, syscall.EAGAIN)
}

// write is the writer goroutine: it lives while the outbox holds something. An idle connection has none, which saves
// its stack: of a prototype's 7.0 KiB for each idle connection, 4.2 were left.
func (c *conn) write() {
	defer c.writing.Done()
	defer func() {
		if p := recover(); p != nil {
			c.logPanic(p)
			c.outbox.Fail(&c.writer.queue)
			c.end(CloseReasonPanic)
		}
	}()
	h := &c.writer.queue
	for c.outbox.Dequeue(h, c.sock) {
		if err := c.writeOut(h); err != nil {
			c.outbox.Fail(h)
			c.end(writeReason(err))
			return
		}
	}
}

// writeReason reads an error of the socket. A deadline that passed without one byte taken is a peer that stands still;
// if the connection was closing already, the reason for that stays.
func writeReason(err error) CloseReason {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return CloseReasonWriteStalled
	}
	return CloseReasonIOError
}

// writeOut writes what is dequeued, in calls of at most maxWrite. When the subscriber is evicted meanwhile, it finishes
// the frame that has been begun and leaves the rest.
func (c *conn) writeOut(h *outbox.WriteQueue) error {
	for h.First != nil {
		if c.outbox.IsEvicted() && !h.AtNotice() {
			return c.finishFrame(h)
		}
		c.outbox.RenewDeadline(c.sock, c.srv.options.SlowTime)
		n, err := c.writeSome(h.First, h.ChunkOffset)
		c.srv.counts.bytesOut.Add(int64(n))
		c.markWritten(n)
		late := errors.Is(err, os.ErrDeadlineExceeded)
		if err != nil && (!late || n == 0 && !c.outbox.IsEvicted()) {
			return err
		}
		if late { // it took something, or was woken to be evicted
			c.outbox.ExpireDeadline()
			evicted := c.outbox.IsEvicted()
			if evicted && h.AtNotice() || !evicted && c.outbox.IsDraining() {
				return err
			}
		}
	}
	return nil
}

// writeSome is one call to the kernel, or a wait until there can be one: of a chunk's bytes from at on, and of the chunks
// behind it.
func (c *conn) writeSome(from *outbox.Chunk, at int) (int, error) {
	w := &c.writer
	first := w.queue.Piece(from, at)
	first = first[:min(len(first), outbox.MaxWrite)]
	if c.rawConn == nil { // one record of TLS, so that an eviction waits for no more than that
		return c.sock.Write(first[:min(len(first), maxRecord)])
	}
	w.iovecs = iovecPool.Get().(*[]syscall.Iovec)
	w.n, w.err, w.size = 0, nil, 0
	w.addIovec(first)
	for from != nil && len(*w.iovecs) < maxIovecs {
		if at += len(first); at >= from.Size() {
			from, at = from.Next, 0
		}
		if from == nil || from.IsEscaped() { // which is encoded as it goes
			break
		}
		if first = w.queue.Piece(from, at); w.size+len(first) > outbox.MaxWrite {
			break
		}
		w.addIovec(first)
	}
	err := c.rawConn.Write(w.ready)
	if errors.Is(err, os.ErrDeadlineExceeded) && !c.outbox.IsEvicted() {
		err = c.writeAfterDeadline(err)
	}
	clear(*w.iovecs)
	*w.iovecs = (*w.iovecs)[:0]
	iovecPool.Put(w.iovecs)
	w.iovecs = nil
	if err == nil {
		err = w.err
	}
	return w.n, err
}

// writeAfterDeadline tries once more what a deadline has ended, without waiting. After a pause of the whole process the
// deadline has passed before the runtime could notice that the peer has taken all that was in the kernel.
func (c *conn) writeAfterDeadline(late error) error {
	w := &c.writer
	if err := c.rawConn.Control(func(fd uintptr) { w.ready(fd) }); err != nil {
		return late // closed meanwhile
	}
	if w.err != nil && !errors.Is(w.err, syscall.EAGAIN) {
		return w.err
	}
	return late
}

func (w *writer) addIovec(b []byte) {
	v := syscall.Iovec{Base: unsafe.SliceData(b)}
	v.SetLen(len(b))
	*w.iovecs, w.size = append(*w.iovecs, v), w.size+len(b)
}

// finishFrame writes the rest of the frame that has been begun, if there is one: the close notice may follow a frame, but
// must not stand inside one.
func (c *conn) finishFrame(h *outbox.WriteQueue) error {
	end, err := h.FrameEnd()
	if err != nil || end == h.ChunkOffset {
		return err
	}
	if err := c.outbox.StartNoticeDeadline(c.sock); err != nil {
		return err
	}
	for at := h.ChunkOffset; at < end; {
		rest := h.Piece(h.First, at)
		n, err := c.sock.Write(rest[:min(len(rest), end-at)])
		c.srv.counts.bytesOut.Add(int64(n))
		c.markWritten(n)
		if at += n; err != nil {
			return err
		}
	}
	return nil
}

// markWritten notes progress, and wakes the reader if it may be waiting for that.
func (c *conn) markWritten(n int) {
	replies := c.outbox.MarkWritten(&c.writer.queue, n)
	if left := int(c.outbox.ReplyBytes()); left <= maxReplyBytes && left+replies > maxReplyBytes {
		c.window.wake()
	}
}
