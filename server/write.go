package server

import (
	"errors"
	"os"
	"sync"
	"syscall"
	"unsafe"

	"github.com/conchmq/conch/internal/command"
	"github.com/conchmq/conch/internal/outbox"
)

const (
	// maxRecord is the most that fits into a record of TLS: RFC 8446, 5.1.
	maxRecord = 16 << 10
	// maxIovecs is how many chunks go into one call; Linux takes 1,024.
	maxIovecs = 1024
)

// writer is the writer's side of a connection with a descriptor: one call to the kernel.
type writer struct {
	*conn
	queue  outbox.WriteQueue // what it has taken out of the outbox
	iovecs *[]syscall.Iovec  // what to write; gathered in pooled memory, of which an idle connection holds none
	size   int               // bytes of it
	ready  func(fd uintptr) bool
	n      int   // of ready: written
	err    error // of ready
}

var iovecPool = sync.Pool{New: func() any { v := make([]syscall.Iovec, 0, 64); return &v }}

// run is the writer goroutine: it lives while the outbox holds something. An idle connection has none, which saves
// its stack: of a prototype's 7.0 KiB for each idle connection, 4.2 were left.
func (w *writer) run() {
	defer w.writing.Done()
	defer w.recover()
	for w.Outbox().Dequeue(&w.queue, w.sock) {
		for w.queue.First != nil {
			if w.Outbox().IsEvicted() && !w.queue.AtNotice() {
				if err := w.finishFrame(&w.queue); err != nil {
					w.fail(err)
					return
				}
				break // the rest is lost, and Dequeue settles it
			}
			w.Outbox().RenewDeadline(w.sock, w.server.service.Options().SlowTime)
			n, err := w.write(w.queue.First, w.queue.ChunkOffset)
			w.MarkWritten(&w.queue, n)
			if err != nil && w.ends(err, n) {
				w.fail(err)
				return
			}
		}
	}
}

// recover keeps a defect from taking more than this connection with it.
func (w *writer) recover() {
	if p := recover(); p != nil {
		w.LogPanic(p)
		w.Outbox().Fail(&w.queue)
		w.End(command.CloseReasonPanic)
	}
}

// fail ends the connection, for a reason that a write gave.
func (w *writer) fail(err error) {
	w.Outbox().Fail(&w.queue)
	w.End(writeReason(err))
}

// ends reports whether an error of a write ends the connection. A deadline that passed does not, if the client has taken
// something, or if the writer was woken by it for an eviction: but the last deadline does.
func (w *writer) ends(err error, written int) bool {
	evicted := w.Outbox().IsEvicted()
	if !errors.Is(err, os.ErrDeadlineExceeded) || written == 0 && !evicted {
		return true
	}
	w.Outbox().ExpireDeadline()
	return evicted && w.queue.AtNotice() || !evicted && w.Outbox().IsDraining()
}

// writeReason reads an error of the socket. A deadline that passed without one byte taken is a peer that stands still;
// if the connection was closing already, the reason for that stays.
func writeReason(err error) command.CloseReason {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return command.CloseReasonWriteStalled
	}
	return command.CloseReasonIOError
}

// write is one call to the kernel, or a wait until there can be one: of a chunk's bytes from at on, and of the chunks
// behind it.
func (w *writer) write(from *outbox.Chunk, at int) (int, error) {
	first := w.queue.Piece(from, at)
	first = first[:min(len(first), outbox.MaxWrite)]
	if w.rawConn == nil { // one record of TLS, so that an eviction waits for no more than that
		return w.sock.Write(first[:min(len(first), maxRecord)])
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
	err := w.rawConn.Write(w.ready)
	if errors.Is(err, os.ErrDeadlineExceeded) && !w.Outbox().IsEvicted() {
		err = w.writeAfterDeadline(err)
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
func (w *writer) writeAfterDeadline(late error) error {
	if err := w.rawConn.Control(func(fd uintptr) { w.ready(fd) }); err != nil {
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
func (w *writer) finishFrame(h *outbox.WriteQueue) error {
	end, err := h.FrameEnd()
	if err != nil || end == h.ChunkOffset {
		return err
	}
	if err := w.Outbox().StartNoticeDeadline(w.sock); err != nil {
		return err
	}
	for at := h.ChunkOffset; at < end; {
		rest := h.Piece(h.First, at)
		n, err := w.sock.Write(rest[:min(len(rest), end-at)])
		w.MarkWritten(&w.queue, n)
		if at += n; err != nil {
			return err
		}
	}
	return nil
}
