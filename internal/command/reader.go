package command

import (
	"errors"
	"io"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/outbox"
	"github.com/conchmq/conch/protocol"
)

// Reader is the reader goroutine's side of a connection: it parses the client's bytes into
// commands and submits them, one batch for each read. All its methods and fields belong to that
// goroutine.
//
// The transport reads into [Reader.Space] and passes the number of bytes to [Reader.Received].
// An idle connection holds no buffer: that would be most of its cost.
type Reader struct {
	*Conn
	parser protocol.Reader
	// partial holds an incomplete command of a few bytes.
	partial []byte
	// buf holds a longer incomplete command: the next bytes go behind it. It is nil if partial
	// is enough.
	buf *outbox.Buffer
	// filled counts the bytes in buf.
	filled int
	// start is where the unparsed bytes of buf begin. It is 0 unless moreBuffered.
	start int
	// moreBuffered means that buf may hold whole commands: they come before the next read.
	moreBuffered bool
	// largeReads means that the client sends faster than a medium buffer takes it.
	largeReads bool
	// sync makes the reader wait until the core has applied all batches: see
	// protocol.CommandSpec.LargeReply.
	sync bool
	// waits means sync because of a subscribe that may take long: see broker/grace.go.
	waits bool
	// pass is that of the gate for large commands.
	pass gatePass
	// judging belongs to the next publishes.
	judging judging
	// ordered is that of a node of a cluster, nil before the first batch.
	ordered *orderedReader
}

// Serve reads and submits until the connection ends, and returns the reason. next waits for
// bytes and returns the batch of [Reader.Received].
func (r *Reader) Serve(next func() (*Batch, error)) CloseReason {
	r.requireAuth()
	if r.certName != "" {
		// Unauthenticated until the core has checked the certificate's user.
		r.service.runOnCore(func(broker.View) { r.executor.assignInitialUser() })
	}
	for {
		// Read on before the subscribe has taken effect, so as to see the client's end.
		ahead := r.waits && !r.moreBuffered
		if !r.window.acquireUpTo(&r.outbox, r.sync && !ahead, r.batchesAhead()) {
			// Another goroutine has ended the connection: its reason came first and stays.
			return CloseReasonIOError
		}
		r.leaveLargeGate()
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
		if ahead && !r.window.acquire(&r.outbox, true) {
			b.release()
			return CloseReasonIOError
		}
		var reason CloseReason
		ok := true
		if kind := r.parseSlots(); kind != nil {
			reason = r.parseInSlot(kind, b)
		} else {
			reason = r.parse(b)
		}
		if r.waits {
			r.shrink(b)
		}
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

// next returns the commands that are buffered already, or else the next read.
func (r *Reader) next(read func() (*Batch, error)) (*Batch, error) {
	if r.moreBuffered {
		r.moreBuffered = false
		return r.newBatch(r.filled), nil
	}
	if r.buf != nil && r.isFull() {
		r.enterLargeGate()
		r.awaitMemory()
	}
	return read()
}

// readReason is the reason for an error of the socket. End wakes the reader by a passed
// deadline; its own reason came first and stays.
func readReason(err error) CloseReason {
	if errors.Is(err, io.EOF) {
		return CloseReasonEOF
	}
	return CloseReasonIOError
}

// Space returns memory for the next read. kept means that it may be held for long: a transport
// that cannot wait for readiness needs it before the bytes come.
func (r *Reader) Space(kept bool) []byte {
	r.readBuffer(kept)
	return r.buf.Bytes[r.filled : r.filled+r.room()]
}

// room is how many bytes the next read may have.
func (r *Reader) room() int {
	most := len(r.buf.Bytes)
	if most > outbox.LargeBuffers.BufferSize {
		// The rest of the command and a little more: the following commands must fit into a
		// pooled buffer again. Otherwise megabytes of small commands could become one batch.
		most = min(most, r.filled+r.parser.MissingBytes(r.filled)+outbox.MediumBuffers.BufferSize/2)
	}
	return most - r.filled
}

// Unused takes the memory of Space back: there was nothing to read.
func (r *Reader) Unused() {
	if r.filled <= maxCopiedPartial {
		r.partial = append(r.partial[:0], r.buf.Bytes[:r.filled]...)
		r.releaseBuf()
	}
}

// Received makes a batch of the earlier rest and of n bytes read into Space. At the end of the
// stream n is 0.
func (r *Reader) Received(n int) *Batch {
	if n <= 0 {
		r.releaseBuf()
		return nil
	}
	r.service.Counts.bytesIn.Add(int64(n))
	r.largeReads = n == r.room() || r.largeReads && n > outbox.MediumBuffers.BufferSize/2
	return r.newBatch(r.filled + n)
}

// maxCopiedPartial is the size up to which an incomplete command waits in memory of its own
// size. A longer one holds a pooled buffer, which saves a copy.
const maxCopiedPartial = 1 << 10

// readBuffer makes sure that buf has room behind its bytes.
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
	if r.isFull() {
		r.grow()
	}
}

// isFull reports whether buf has little room for more of the same command.
func (r *Reader) isFull() bool {
	needed := r.filled / 2
	if missing := r.parser.MissingBytes(r.filled); missing > 0 {
		needed = min(needed, missing)
	}
	return len(r.buf.Bytes)-r.filled < needed
}

// grow replaces buf by a larger one, for a command that does not fit. The bytes received decide
// how large it may be: an announced length alone costs nothing.
func (r *Reader) grow() {
	size := r.grownSize()
	// Charged before the copy: for a moment both buffers exist.
	r.usage.reading.Store(int64(r.filled + size))
	grown := outbox.NewBuffer(&r.service.memory, size)
	copy(grown.Bytes, r.buf.Bytes[:r.filled])
	r.buf.Release()
	r.buf = grown
	r.usage.reading.Store(grown.Size())
}

// grownSize is the size of the next buffer: that of the command, as far as it is known. A command
// of many arguments names them one by one, so a part of what has arrived is the least to be added.
func (r *Reader) grownSize() int {
	size, missing := 2*r.filled, r.parser.MissingBytes(r.filled)
	if missing == 0 {
		return size
	}
	if known := r.filled + missing + outbox.MediumBuffers.BufferSize/2; known <= 2*size {
		size = max(known, r.filled+r.filled/2)
	}
	return size
}

// newBatch makes a batch of the unparsed bytes among the first n of buf.
func (r *Reader) newBatch(n int) *Batch {
	b := newBatch(&r.sub, r.buf, r.start, n)
	r.buf, r.start = nil, 0
	return b
}

// releaseBuf drops the reader's reference to buf.
func (r *Reader) releaseBuf() {
	r.buf.Release()
	r.buf, r.start = nil, 0
}

// releaseReader frees an incomplete command when the connection ends: the writer may take
// seconds more.
func (r *Reader) releaseReader() {
	r.releaseBuf()
	r.dropPass()
	r.partial, r.parser = nil, protocol.Reader{}
	r.chargeReading()
}

// keepPartial keeps the unparsed rest of a batch for the next read.
func (r *Reader) keepPartial(b *Batch) {
	switch {
	case len(b.buf.Bytes) > outbox.LargeBuffers.BufferSize:
		r.sync = true // one large command of a connection at a time is enough in memory
	case r.unauthenticated():
		r.sync = true // 50 such clients with four batches each delayed a PING by 120 ms
	}
	tail := b.data[b.used:]
	switch {
	// More commands follow, or the command is incomplete: the reader keeps the buffer.
	case r.moreBuffered, len(tail) > 0 && b.used+b.start == 0:
		r.buf, r.start, r.filled = b.buf, b.start+b.used, b.start+len(b.data)
		b.buf.Retain()
	// The batch's buffer stays with its commands, so the rest moves to a buffer of its own.
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

// chargeReading charges what the reader holds until the next read. Buffers charge themselves to
// the sum of all connections.
func (r *Reader) chargeReading() {
	held := int64(0)
	if r.buf != nil {
		held = r.buf.Size()
	}
	r.usage.reading.Store(held)
	r.service.memory.SetUsage(&r.usage.partial, r.parser.MemSize())
}
