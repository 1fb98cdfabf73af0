package web

import (
	"errors"
	"net"
	"sync"
	"time"

	"github.com/conchmq/conch/internal/command"
	"github.com/conchmq/conch/internal/outbox"
)

const (
	// maxPieces and maxPiecesSize bound what one call writes: progress shows in the outbox behind
	// it.
	maxPieces     = 64
	maxPiecesSize = 256 << 10
)

// pieceLists are kept for the next writer.
var pieceLists = sync.Pool{New: func() any { return &[]([]byte){} }}

// write is the writer goroutine, which lives while the outbox holds something.
func (s *stream) write() {
	w := &writer{stream: s, pieces: pieceLists.Get().(*[][]byte)}
	defer w.end()
	w.run()
}

// writer is the writer's side of a stream. The writer goroutine owns it.
type writer struct {
	*stream
	queue  outbox.WriteQueue // dequeued, not yet written
	pieces *[][]byte
}

func (w *writer) run() {
	for w.Outbox().Dequeue(&w.queue, w.sink) {
		for w.queue.First != nil {
			if w.Outbox().IsEvicted() && !w.queue.AtNotice() {
				if err := w.finishFrame(); err != nil {
					w.fail(err)
					return
				}
				break // the rest is lost, and Dequeue settles it
			}
			w.Outbox().RenewDeadline(w.sink, w.server.service.Options().SlowTime)
			n, err := w.sink.writePieces(w.gather())
			w.MarkWritten(&w.queue, n)
			if err != nil && w.ends(err, n) {
				w.fail(err)
				return
			}
		}
	}
}

// gather collects the next bytes to write.
func (w *writer) gather() [][]byte {
	list, size, at := (*w.pieces)[:0], 0, w.queue.ChunkOffset
	for c := w.queue.First; c != nil && len(list) < maxPieces && size < maxPiecesSize; {
		piece := w.queue.Piece(c, at)
		piece = piece[:min(len(piece), maxPiecesSize)]
		list, size = append(list, piece), size+len(piece)
		if c.IsEscaped() { // an escaped frame is encoded in a call of its own
			break
		}
		if at += len(piece); at >= c.Size() {
			if c, at = c.Next, 0; c != nil && c.IsEscaped() {
				break
			}
		}
	}
	*w.pieces = list
	return list
}

// finishFrame writes the rest of the current frame, if one is partly written. The close notice
// may follow a frame, but must not stand inside one.
func (w *writer) finishFrame() error {
	end, err := w.Outbox().FrameEnd(&w.queue)
	if err != nil || end == w.queue.ChunkOffset {
		return err //nolint:wrapcheck // the connection ends by it
	}
	if err := w.Outbox().StartNoticeDeadline(w.sink); err != nil {
		return err //nolint:wrapcheck // the connection ends by it
	}
	for at := w.queue.ChunkOffset; at < end; {
		rest := w.queue.Piece(w.queue.First, at)
		n, err := w.sink.writePieces([][]byte{rest[:min(len(rest), end-at)]})
		w.MarkWritten(&w.queue, n)
		if at += n; err != nil {
			return err //nolint:wrapcheck // the connection ends by it
		}
	}
	return nil
}

// ends reports whether an error of a write ends the connection: see the writer of package server.
func (w *writer) ends(err error, written int) bool {
	evicted := w.Outbox().IsEvicted()
	if !isDeadline(err) || written == 0 && !evicted {
		return true
	}
	w.Outbox().ExpireDeadline()
	return evicted && w.queue.AtNotice() || !evicted && w.Outbox().IsDraining()
}

// fail ends the connection after a failed write. The writer goroutine ends with it.
func (w *writer) fail(err error) {
	w.Outbox().Fail(&w.queue)
	reason := command.CloseReasonIOError
	if isDeadline(err) {
		reason = command.CloseReasonWriteStalled
	}
	w.End(reason)
}

// end ends the goroutine. A defect in it ends this connection alone.
func (w *writer) end() {
	if p := recover(); p != nil {
		w.LogPanic(p)
		w.Outbox().Fail(&w.queue)
		w.End(command.CloseReasonPanic)
	}
	clear(*w.pieces)
	pieceLists.Put(w.pieces)
	w.writing.Done()
}

// isDeadline reports whether a read or a write has failed by its deadline.
func isDeadline(err error) bool {
	timeout := net.Error(nil)
	return errors.As(err, &timeout) && timeout.Timeout()
}

// lingerTime is how long a stream that conch ends stays half open, so that its last bytes arrive.
const lingerTime = time.Second
