package server

import (
	"errors"
	"io"
	"syscall"

	"github.com/conchmq/conch/internal/outbox"
	"github.com/conchmq/conch/internal/sockio"
	"github.com/conchmq/conch/protocol"
)

// reader is the reader's side of a connection: what has been read of a command that is not whole yet, and where the
// next bytes go. While a connection is idle it holds no buffer: that is most of what it would cost.
type reader struct {
	partial      []byte         // a few bytes of a command that is not whole yet
	buf          *outbox.Buffer // instead of partial, when there are many: they stand where the next bytes are to follow
	filled       int            // so many in buf
	start        int            // of buf: what is not parsed yet begins here. 0, unless moreBuffered
	moreBuffered bool           // buf may hold whole commands: look before reading on
	largeReads   bool           // the peer sends faster than a medium buffer takes it
	sync         bool           // the core must have applied everything before we go on: see protocol.CommandSpec.LargeReply
	ready        func(fd uintptr) bool
	batch        *batch // of ready
	err          error  // of ready
}

// maxCopiedPartial is up to which length the start of a command waits in memory of its own size. More of it holds a pooled
// buffer, and is copied once less.
const maxCopiedPartial = 1 << 10

// readBuffer returns the buffer for the next read, and how many bytes of it are taken.
func (c *conn) readBuffer() (*outbox.Buffer, int) {
	r := &c.reader
	if r.buf == nil {
		switch {
		case r.largeReads:
			r.buf = outbox.NewBuffer(&c.srv.memory, outbox.LargeBuffers.Size)
		case c.rawConn == nil:
			r.buf = outbox.SmallBuffers.Get(&c.srv.memory) // it is kept until there is something to read
		default:
			r.buf = outbox.NewBuffer(&c.srv.memory, outbox.MediumBuffers.Size)
		}
		r.filled = copy(r.buf.Bytes, r.partial)
		r.partial = r.partial[:0]
	}
	// A command that is larger than its buffer gets one of twice the bytes that have arrived: an announced length alone
	// costs nothing.
	if len(r.buf.Bytes)-r.filled < r.filled/2 {
		c.usage.reading.Store(int64(3 * r.filled)) // first: for a moment there are both
		grown := outbox.NewBuffer(&c.srv.memory, 2*r.filled)
		copy(grown.Bytes, r.buf.Bytes[:r.filled])
		r.buf.Release()
		r.buf = grown
		c.usage.reading.Store(grown.Size())
	}
	return r.buf, r.filled
}

// readBatch waits for bytes and returns them, behind what was left over, in a batch.
func (c *conn) readBatch() (*batch, error) {
	r := &c.reader
	if r.moreBuffered {
		r.moreBuffered = false
		return c.newBatch(r.filled), nil
	}
	if r.buf != nil && len(r.buf.Bytes)-r.filled < r.filled/2 {
		c.awaitMemory()
	}
	r.batch, r.err = nil, nil
	if c.rawConn == nil {
		c.receive(c.sock.Read)
	} else if err := c.rawConn.Read(r.ready); err != nil {
		return nil, err
	}
	return r.batch, r.err
}

// readReady is called by the runtime when the socket may be readable; false means that it is not.
func (c *conn) readReady(fd uintptr) bool {
	return c.receive(func(b []byte) (int, error) { return sockio.TryRead(fd, b) })
}

// receive reads once; false means that there is nothing yet.
func (c *conn) receive(read func([]byte) (int, error)) bool {
	r := &c.reader
	b, have := c.readBuffer()
	most := len(b.Bytes)
	if most > outbox.LargeBuffers.Size {
		// Not more than the command still needs and a little: what follows must fit into a pooled buffer again, or a
		// peer could have megabytes of small commands taken for one batch.
		most = min(most, have+c.parser.MissingBytes(have)+outbox.MediumBuffers.Size/2)
	}
	n, err := read(b.Bytes[have:most])
	if errors.Is(err, syscall.EAGAIN) {
		if have <= maxCopiedPartial {
			r.partial = append(r.partial[:0], b.Bytes[:have]...)
			c.releaseBuf()
		}
		return false
	}
	n = max(n, 0)
	c.srv.counts.bytesIn.Add(int64(n))
	r.largeReads = n == most-have || r.largeReads && n > outbox.MediumBuffers.Size/2
	if n == 0 {
		r.err = err
		if err == nil {
			r.err = io.EOF
		}
		c.releaseBuf()
		return true
	}
	r.batch = c.newBatch(have + n)
	return true
}

// newBatch makes a batch of what is not parsed yet of the first n bytes of buf.
func (c *conn) newBatch(n int) *batch {
	r := &c.reader
	b := newBatch(c.sub, r.buf, r.start, n)
	r.buf, r.start = nil, 0
	return b
}

// releaseBuf gives the buffer back.
func (c *conn) releaseBuf() {
	c.reader.buf.Release()
	c.reader.buf, c.reader.start = nil, 0
}

// releaseReader gives back what is there of a command that will never be whole. What is still to be written to the peer, and
// how long it takes to close, may take seconds.
func (c *conn) releaseReader() {
	c.releaseBuf()
	c.reader.partial, c.parser = nil, protocol.Reader{}
	c.chargeReading()
}

// handleRead splits what was read into commands and submits them as one batch, in one send.
func (c *conn) handleRead(b *batch) CloseReason {
	c.lastReadAt.Store(c.srv.clock.Load())
	reason := c.parse(b)
	if len(b.buf.Bytes) > outbox.LargeBuffers.Size {
		c.reader.sync = true // one large command of a connection at a time is enough in memory
	}
	c.keepPartial(b)
	c.chargeReading()
	if len(b.calls) == 0 {
		b.release()
		return reason
	}
	if !c.submitAll(b) {
		return CloseReasonShutdown
	}
	return reason
}

// submit asks the core for what a batch says. It stands by itself for the sake of handleRead's stack.
//
//go:noinline
func (c *conn) submit(b *batch) bool {
	c.srv.counts.commands.Add(int64(b.fillRequests()))
	if !c.judgeAhead(b) {
		b.release()
		return false // the reason has been said already
	}
	b.charged = b.memSize()
	c.usage.batches.Add(b.charged)
	c.srv.memory.Charge(b.charged)
	c.window.add()
	return c.srv.core.Submit(&b.Batch)
}

// keepPartial keeps what is not parsed yet.
func (c *conn) keepPartial(b *batch) {
	r, tail := &c.reader, b.data[b.used:]
	switch {
	case r.moreBuffered, len(tail) > 0 && b.used+b.start == 0: // there is more in it, or it is not whole: the buffer stays ours
		r.buf, r.start, r.filled = b.buf, b.start+b.used, b.start+len(b.data)
		b.buf.Retain()
	case len(tail) > maxCopiedPartial:
		size := len(tail) + len(tail)/2
		if r.largeReads {
			size = max(size, outbox.LargeBuffers.Size)
		}
		r.buf = outbox.NewBuffer(&c.srv.memory, size)
		r.filled = copy(r.buf.Bytes, tail)
	case len(tail) > 0:
		r.partial = append(r.partial[:0], tail...)
	default:
		r.partial = nil
	}
}

// chargeReading counts what the reader holds until the next bytes come. Buffers count themselves in the sum of all.
func (c *conn) chargeReading() {
	held := int64(0)
	if c.reader.buf != nil {
		held = c.reader.buf.Size()
	}
	c.usage.reading.Store(held)
	c.srv.memory.SetUsage(&c.usage.partial, c.parser.MemSize())
}
