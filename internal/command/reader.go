package command

import (
	"errors"
	"io"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/outbox"
	"github.com/conchmq/conch/protocol"
)

// Reader is the reader goroutine's side of a connection: it takes the bytes that the client sent, splits them into
// commands, and submits these as batches, one a read. All its methods, and its fields, belong to that goroutine.
//
// What carries the connection reads into [Reader.Space], and tells how many bytes came by [Reader.Received]. While a
// connection is idle it holds no buffer: that is most of what it would cost.
type Reader struct {
	*Conn
	parser       protocol.Reader
	partial      []byte         // a few bytes of a command that is not whole yet
	buf          *outbox.Buffer // instead of partial, when there are many: they stand where the next bytes are to follow
	filled       int            // so many in buf
	start        int            // of buf: what is not parsed yet begins here. 0, unless moreBuffered
	space        int            // what Space has lent
	moreBuffered bool           // buf may hold whole commands: look before reading on
	largeReads   bool           // the client sends faster than a medium buffer takes it
	sync         bool           // the core must have applied everything before we go on: see protocol.CommandSpec.LargeReply
}

// Serve reads and submits until the connection ends, and returns why it did. next waits for bytes, and returns the batch
// that [Reader.Received] has made of them.
func (r *Reader) Serve(next func() (*Batch, error)) CloseReason {
	r.requireAuth()
	if r.certName != "" { // a user it may be; until the core has looked, it is unauthenticated
		r.service.runOnCore(func(broker.View) { r.executor.assignInitialUser() })
	}
	for {
		if !r.window.acquire(r.sync) {
			return CloseReasonIOError // ended by another goroutine, which has said why: its reason came first and stays
		}
		if r.fileTask != nil {
			r.runFileTask()
		}
		if r.unfinished != nil {
			if !r.resubmit() {
				return CloseReasonShutdown
			}
			continue
		}
		b, err := r.next(next)
		if err != nil {
			return readReason(err)
		}
		reason, ok := r.parse(b), true
		r.keepPartial(b)
		switch inv := b.last(); {
		case inv == nil:
			b.release()
		case inv.isLong():
			ok = r.submitLong(b, inv)
		default:
			ok = r.submit(b)
		}
		if !ok {
			return CloseReasonShutdown
		}
		if reason != CloseReasonNone {
			return reason
		}
	}
}

// next is what has been read already, or else what comes next.
func (r *Reader) next(read func() (*Batch, error)) (*Batch, error) {
	if r.moreBuffered {
		r.moreBuffered = false
		return r.newBatch(r.filled), nil
	}
	if r.buf != nil && len(r.buf.Bytes)-r.filled < r.filled/2 {
		r.awaitMemory()
	}
	return read()
}

// readReason reads an error of the socket. A passed deadline is End's way to wake the reader; its reason stays.
func readReason(err error) CloseReason {
	if errors.Is(err, io.EOF) {
		return CloseReasonEOF
	}
	return CloseReasonIOError
}

// Space lends memory for the next read. kept tells that it may be held for long: where nothing tells when bytes have
// come, it is lent before.
func (r *Reader) Space(kept bool) []byte {
	r.readBuffer(kept)
	most := len(r.buf.Bytes)
	if most > outbox.LargeBuffers.BufferSize {
		// Not more than the command still needs and a little: what follows must fit into a pooled buffer again, or a
		// client could have megabytes of small commands taken for one batch.
		most = min(most, r.filled+r.parser.MissingBytes(r.filled)+outbox.MediumBuffers.BufferSize/2)
	}
	r.space = most - r.filled
	return r.buf.Bytes[r.filled:most]
}

// Unused gives back what Space has lent, because there is nothing to read yet.
func (r *Reader) Unused() {
	if r.filled <= maxCopiedPartial {
		r.partial = append(r.partial[:0], r.buf.Bytes[:r.filled]...)
		r.releaseBuf()
	}
}

// Received makes a batch of what was left over and n bytes that were read into Space. No bytes are the end.
func (r *Reader) Received(n int) *Batch {
	if n <= 0 {
		r.releaseBuf()
		return nil
	}
	r.service.Counts.bytesIn.Add(int64(n))
	r.largeReads = n == r.space || r.largeReads && n > outbox.MediumBuffers.BufferSize/2
	return r.newBatch(r.filled + n)
}

// maxCopiedPartial is up to which length the start of a command waits in memory of its own size. More of it holds a pooled
// buffer, and is copied once less.
const maxCopiedPartial = 1 << 10

// readBuffer makes sure of a buffer for the next read, with room behind the bytes that it holds.
func (r *Reader) readBuffer(kept bool) {
	if r.buf == nil {
		switch {
		case r.largeReads:
			r.buf = outbox.NewBuffer(&r.service.memory, outbox.LargeBuffers.BufferSize)
		case kept:
			r.buf = outbox.SmallBuffers.Get(&r.service.memory)
		default:
			r.buf = outbox.NewBuffer(&r.service.memory, outbox.MediumBuffers.BufferSize)
		}
		r.filled = copy(r.buf.Bytes, r.partial)
		r.partial = r.partial[:0]
	}
	// A command that is larger than its buffer gets one of twice the bytes that have arrived: an announced length alone
	// costs nothing.
	if len(r.buf.Bytes)-r.filled < r.filled/2 {
		r.usage.reading.Store(int64(3 * r.filled)) // first: for a moment there are both
		grown := outbox.NewBuffer(&r.service.memory, 2*r.filled)
		copy(grown.Bytes, r.buf.Bytes[:r.filled])
		r.buf.Release()
		r.buf = grown
		r.usage.reading.Store(grown.Size())
	}
}

// newBatch makes a batch of what is not parsed yet of the first n bytes of buf.
func (r *Reader) newBatch(n int) *Batch {
	b := newBatch(r.sub, r.buf, r.start, n)
	r.buf, r.start = nil, 0
	return b
}

// releaseBuf gives the buffer back.
func (r *Reader) releaseBuf() {
	r.buf.Release()
	r.buf, r.start = nil, 0
}

// releaseReader gives back what is there of a command that will never be whole. What is still to be written to the peer, and
// how long it takes to close, may take seconds.
func (r *Reader) releaseReader() {
	r.releaseBuf()
	r.partial, r.parser = nil, protocol.Reader{}
	r.chargeReading()
}

// submit submits a batch. It stands by itself for the sake of Serve's stack.
//
//go:noinline
func (r *Reader) submit(b *Batch) bool {
	commands := 0
	for i := range b.calls {
		inv, req := &b.calls[i], &b.Requests[i]
		req.Tag = inv
		if inv.piece == 0 {
			commands += max(1, len(req.Payloads))
		}
	}
	r.service.Counts.commands.Add(int64(commands))
	if r.known.Load() != nil && !r.judgeAhead(b) {
		b.release()
		return false // the reason has been said already
	}
	b.charged = b.memSize()
	r.usage.batches.Add(b.charged)
	r.service.memory.Charge(b.charged)
	r.window.add()
	return r.service.core.Submit(&b.Batch)
}

// keepPartial keeps what is not parsed yet.
func (r *Reader) keepPartial(b *Batch) {
	if len(b.buf.Bytes) > outbox.LargeBuffers.BufferSize {
		r.sync = true // one large command of a connection at a time is enough in memory
	}
	tail := b.data[b.used:]
	switch {
	case r.moreBuffered, len(tail) > 0 && b.used+b.start == 0: // there is more in it, or it is not whole: the buffer stays ours
		r.buf, r.start, r.filled = b.buf, b.start+b.used, b.start+len(b.data)
		b.buf.Retain()
	case len(tail) > maxCopiedPartial:
		size := len(tail) + len(tail)/2
		if r.largeReads {
			size = max(size, outbox.LargeBuffers.BufferSize)
		}
		r.buf = outbox.NewBuffer(&r.service.memory, size)
		r.filled = copy(r.buf.Bytes, tail)
	case len(tail) > 0:
		r.partial = append(r.partial[:0], tail...)
	default:
		r.partial = nil
	}
	r.chargeReading()
}

// chargeReading counts what the reader holds until the next bytes come. Buffers count themselves in the sum of all.
func (r *Reader) chargeReading() {
	held := int64(0)
	if r.buf != nil {
		held = r.buf.Size()
	}
	r.usage.reading.Store(held)
	r.service.memory.SetUsage(&r.usage.partial, r.parser.MemSize())
}
