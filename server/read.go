package server

import (
	"errors"
	"io"
	"syscall"

	"github.com/conchmq/conch/internal/sockio"
	"github.com/conchmq/conch/protocol"
)

// inbound is the reader's side of a connection: what has been read of a command that is not whole yet, and where the
// next bytes go. While a connection is idle it holds no buffer: that is most of what it would cost.
type inbound struct {
	rest  []byte  // a few bytes of a command that is not whole yet
	ahead *buffer // instead of rest, when there are many: they stand where the next bytes are to follow
	have  int     // so many in ahead
	start int     // of ahead: what is not parsed yet begins here. 0, unless again
	again bool    // ahead may hold whole commands: look before reading on
	eager bool    // the peer sends faster than a medium buffer takes it
	fence bool    // the core must have applied everything before we go on: see protocol.CommandSpec.LargeReply
	ready func(fd uintptr) bool
	batch *batch // of ready
	err   error  // of ready
}

// tailRoom is up to which length the start of a command waits in memory of its own size. More of it holds a pooled
// buffer, and is copied once less.
const tailRoom = 1 << 10

// room returns the buffer for the next read, and how many bytes of it are taken.
func (c *conn) room() (*buffer, int) {
	in := &c.inbound
	if in.ahead == nil {
		switch {
		case in.eager:
			in.ahead = newBuffer(&c.srv.memory, largeBuffers.size)
		case c.raw == nil:
			in.ahead = smallBuffers.get(&c.srv.memory) // it is kept until there is something to read
		default:
			in.ahead = newBuffer(&c.srv.memory, mediumBuffers.size)
		}
		in.have = copy(in.ahead.bytes, in.rest)
		in.rest = in.rest[:0]
	}
	// A command that is larger than its buffer gets one of twice the bytes that have arrived: an announced length alone
	// costs nothing.
	if len(in.ahead.bytes)-in.have < in.have/2 {
		c.share.reading.Store(int64(3 * in.have)) // first: for a moment there are both
		grown := newBuffer(&c.srv.memory, 2*in.have)
		copy(grown.bytes, in.ahead.bytes[:in.have])
		in.ahead.release()
		in.ahead = grown
		c.share.reading.Store(grown.size())
	}
	return in.ahead, in.have
}

// fill waits for bytes and returns them, behind what was left over, in a batch.
func (c *conn) fill() (*batch, error) {
	in := &c.inbound
	if in.again {
		in.again = false
		return c.filled(in.have), nil
	}
	if in.ahead != nil && len(in.ahead.bytes)-in.have < in.have/2 {
		c.awaitMemory()
	}
	in.batch, in.err = nil, nil
	if c.raw == nil {
		c.receive(c.sock.Read)
	} else if err := c.raw.Read(in.ready); err != nil {
		return nil, err
	}
	return in.batch, in.err
}

// readReady is called by the runtime when the socket may be readable; false means that it is not.
func (c *conn) readReady(fd uintptr) bool {
	return c.receive(func(b []byte) (int, error) { return sockio.TryRead(fd, b) })
}

// receive reads once; false means that there is nothing yet.
func (c *conn) receive(read func([]byte) (int, error)) bool {
	in := &c.inbound
	b, have := c.room()
	most := len(b.bytes)
	if most > largeBuffers.size {
		// Not more than the command still needs and a little: what follows must fit into a pooled buffer again, or a
		// peer could have megabytes of small commands taken for one batch.
		most = min(most, have+c.reader.MissingBytes(have)+mediumBuffers.size/2)
	}
	n, err := read(b.bytes[have:most])
	if errors.Is(err, syscall.EAGAIN) {
		if have <= tailRoom {
			in.rest = append(in.rest[:0], b.bytes[:have]...)
			c.dropAhead()
		}
		return false
	}
	n = max(n, 0)
	c.srv.counts.bytesIn.Add(int64(n))
	in.eager = n == most-have || in.eager && n > mediumBuffers.size/2
	if n == 0 {
		in.err = err
		if err == nil {
			in.err = io.EOF
		}
		c.dropAhead()
		return true
	}
	in.batch = c.filled(have + n)
	return true
}

// filled makes a batch of what is not parsed yet of the first n bytes of ahead.
func (c *conn) filled(n int) *batch {
	in := &c.inbound
	b := newBatch(c.sub, in.ahead, in.start, n)
	in.ahead, in.start = nil, 0
	return b
}

// dropAhead gives the buffer back.
func (c *conn) dropAhead() {
	c.inbound.ahead.release()
	c.inbound.ahead, c.inbound.start = nil, 0
}

// dropInbound gives back what is there of a command that will never be whole. What is still to be written to the peer, and
// how long it takes to close, may take seconds.
func (c *conn) dropInbound() {
	c.dropAhead()
	c.inbound.rest, c.reader = nil, protocol.Reader{}
	c.weighReading()
}

// take splits what was read into commands and submits them as one batch, in one send.
func (c *conn) take(b *batch) Reason {
	c.heard.Store(c.srv.clock.Load())
	reason := c.parse(b)
	if len(b.buf.bytes) > largeBuffers.size {
		c.inbound.fence = true // one large command of a connection at a time is enough in memory
	}
	c.leaveOver(b)
	c.weighReading()
	if len(b.calls) == 0 {
		b.release()
		return reason
	}
	if !c.submitAll(b) {
		return ReasonShutdown
	}
	return reason
}

// submit asks the core for what a batch says. It stands by itself for the sake of take's stack.
//
//go:noinline
func (c *conn) submit(b *batch) bool {
	c.srv.counts.commands.Add(int64(b.request()))
	if !c.judgeAhead(b) {
		b.release()
		return false // the reason has been said already
	}
	b.weight = b.memory()
	c.share.batches.Add(b.weight)
	c.srv.memory.hold(b.weight)
	c.outbox.addInFlight()
	return c.srv.core.Submit(&b.Batch)
}

// leaveOver keeps what is not parsed yet.
func (c *conn) leaveOver(b *batch) {
	in, tail := &c.inbound, b.data[b.used:]
	switch {
	case in.again, len(tail) > 0 && b.used+b.start == 0: // there is more in it, or it is not whole: the buffer stays ours
		in.ahead, in.start, in.have = b.buf, b.start+b.used, b.start+len(b.data)
		b.buf.retain()
	case len(tail) > tailRoom:
		size := len(tail) + len(tail)/2
		if in.eager {
			size = max(size, largeBuffers.size)
		}
		in.ahead = newBuffer(&c.srv.memory, size)
		in.have = copy(in.ahead.bytes, tail)
	case len(tail) > 0:
		in.rest = append(in.rest[:0], tail...)
	default:
		in.rest = nil
	}
}

// weighReading counts what the reader holds until the next bytes come. Buffers count themselves in the sum of all.
func (c *conn) weighReading() {
	held := int64(0)
	if c.inbound.ahead != nil {
		held = c.inbound.ahead.size()
	}
	c.share.reading.Store(held)
	c.srv.memory.set(&c.share.partial, c.reader.MemSize())
}
