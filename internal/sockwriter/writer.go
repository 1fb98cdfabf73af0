package sockwriter

import (
	"errors"
	"os"
	"sync"
	"syscall"

	"github.com/conchmq/conch/internal/command"
	"github.com/conchmq/conch/internal/outbox"
	"github.com/conchmq/conch/internal/sockio"
)

const (
	// maxRecord is the largest TLS record: RFC 8446, 5.1.
	maxRecord = 16 << 10
	// maxIovecs bounds the buffers of one call; Linux takes 1,024.
	maxIovecs = 1024
)

// ErrDeadline is the error of a write that took no byte until its deadline. A socket without deadlines of the runtime
// returns it too.
var ErrDeadline = os.ErrDeadlineExceeded

// writer is the writer's side of a connection: its dequeued chunks, and one call to the kernel. One goroutine owns
// it: that of a shared writer, or one of the connection. An idle connection has none.
type writer struct {
	*Writing
	queue  outbox.WriteQueue // dequeued, not yet written
	iovecs []sockio.Vector   // the buffers of one call
	size   int               // bytes in iovecs
	ready  func(fd uintptr) bool
	try    func(fd uintptr)
	n      int   // result of try: bytes written
	err    error // result of try
}

// writers are kept for the next connection that has something to write.
var writers = sync.Pool{New: func() any {
	w := &writer{iovecs: make([]sockio.Vector, 0, 64)}
	w.try = func(fd uintptr) { w.n, w.err = sockio.TryWritev(fd, w.iovecs, w.size) }
	w.ready = func(fd uintptr) bool { // the runtime calls it when the socket may be writable; false means that it is not
		w.try(fd)
		return !errors.Is(w.err, syscall.EAGAIN)
	}
	return w
}}

func newWriter(of *Writing) *writer {
	w := writers.Get().(*writer)
	w.Writing = of
	return w
}

// recycle pools the writer, whose queue is empty.
func (w *writer) recycle() {
	w.Writing, w.err = nil, nil
	writers.Put(w)
}

// clearIovecs lets go of the buffers of a call.
func (w *writer) clearIovecs() {
	clear(w.iovecs)
	w.iovecs = w.iovecs[:0]
}

// run is a writer goroutine of one connection, which lives while the outbox holds something. It goes on with what is
// dequeued already.
func (w *writer) run() {
	defer w.end(w.Writing)
	for more := true; more; more = w.conn.Outbox().Dequeue(&w.queue, w.sock) {
		for !w.queue.IsEmpty() {
			if w.conn.Outbox().IsEvicted() && !w.queue.AtNotice() {
				if err := w.finishFrame(&w.queue); err != nil {
					w.fail(err)
					return
				}
				break // the rest is lost, and Dequeue settles it
			}
			w.conn.Outbox().RenewDeadline(w.sock, w.writers.service.Options().SlowTime)
			n, err := w.write()
			w.conn.MarkWritten(&w.queue, n)
			if err != nil && w.ends(err, n) {
				w.fail(err)
				return
			}
		}
	}
}

// end ends the goroutine. A defect in it ends this connection alone.
func (w *writer) end(of *Writing) {
	if p := recover(); p != nil {
		w.endAfterPanic(p)
	}
	w.recycle()
	of.tasks.Done()
}

// fail ends the connection after a failed write. The writer goroutine ends with it.
func (w *writer) fail(err error) {
	w.conn.Outbox().Fail(&w.queue)
	w.conn.End(writeReason(err))
}

// ends reports whether an error of a write ends the connection. A passed deadline does not end it if the client
// took bytes, or if an eviction interrupted the write. The last deadline always does.
func (w *writer) ends(err error, written int) bool {
	evicted := w.conn.Outbox().IsEvicted()
	if !errors.Is(err, ErrDeadline) || written == 0 && !evicted {
		return true
	}
	w.conn.Outbox().ExpireDeadline()
	return evicted && w.queue.AtNotice() || !evicted && w.conn.Outbox().IsDraining()
}

// writeReason is the reason for an error of the socket. A deadline that passed without one byte taken means a
// stalled client. On a closing connection the earlier reason stays.
func writeReason(err error) command.CloseReason {
	if errors.Is(err, ErrDeadline) {
		return command.CloseReasonWriteStalled
	}
	return command.CloseReasonIOError
}

// write makes one call to the kernel, and first waits until it takes bytes.
func (w *writer) write() (int, error) {
	if w.rawConn == nil { // one TLS record, the most that an eviction waits for
		first := w.queue.Piece(w.queue.First, w.queue.ChunkOffset)
		return w.sock.Write(first[:min(len(first), maxRecord)])
	}
	w.gather(outbox.MaxWrite)
	err := w.rawConn.Write(w.ready)
	if errors.Is(err, ErrDeadline) && !w.conn.Outbox().IsEvicted() {
		err = w.writeAfterDeadline(err)
	}
	w.clearIovecs()
	if err == nil {
		err = w.err
	}
	return w.n, err
}

// gather collects the buffers of one call: at most size bytes from the first that are not written.
func (w *writer) gather(size int) {
	w.n, w.err, w.size = 0, nil, 0
	c, at := w.queue.First, w.queue.ChunkOffset
	for c != nil && len(w.iovecs) < maxIovecs && w.size < size {
		if w.size > 0 && c.IsEscaped() { // an escaped frame is encoded in a call of its own
			return
		}
		piece := w.queue.Piece(c, at)
		piece = piece[:min(len(piece), size-w.size)]
		w.addIovec(piece)
		if at += len(piece); at >= c.Size() {
			c, at = c.Next, 0
		}
	}
}

// writeAfterDeadline repeats a write that a deadline has ended, without waiting. After a pause of the whole
// process the deadline passes before the runtime notices that the client has taken all bytes from the kernel.
func (w *writer) writeAfterDeadline(late error) error {
	if err := w.rawConn.Control(w.try); err != nil {
		return late // the socket is closed
	}
	if w.err != nil && !errors.Is(w.err, syscall.EAGAIN) {
		return w.err
	}
	return late
}

func (w *writer) addIovec(b []byte) {
	w.iovecs, w.size = append(w.iovecs, sockio.NewVector(b)), w.size+len(b)
}

// finishFrame writes the rest of the current frame, if one is partly written. The close notice may follow a
// frame, but must not stand inside one.
func (w *writer) finishFrame(h *outbox.WriteQueue) error {
	end, err := w.conn.Outbox().FrameEnd(h)
	if err != nil || end == h.ChunkOffset {
		return err
	}
	if err := w.conn.Outbox().StartNoticeDeadline(w.sock); err != nil {
		return err
	}
	for at := h.ChunkOffset; at < end; {
		rest := h.Piece(h.First, at)
		n, err := w.sock.Write(rest[:min(len(rest), end-at)])
		w.conn.MarkWritten(&w.queue, n)
		if at += n; err != nil {
			return err
		}
	}
	return nil
}
