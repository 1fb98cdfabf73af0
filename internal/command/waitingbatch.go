package command

import (
	"github.com/conchmq/conch/internal/outbox"
	"github.com/conchmq/conch/protocol"
)

// shrink moves the one command of a batch that may wait for long to a small buffer: a client that waits would hold a read buffer
// of 16 KiB, and ten thousand of them 160 MiB. The command is parsed once more, since its arguments alias the buffer. That of a line is not moved: quoted arguments
// were written over.
//
//go:noinline
func (r *Reader) shrink(b *Batch) {
	small := outbox.SmallBuffers.BufferSize
	if len(b.calls) != 1 || !b.calls[0].mayBlock() || b.command.Dialect != protocol.RESP || b.used != len(b.data) || len(b.data) > small || len(b.buf.Bytes) <= small ||
		len(b.decoded) > 0 || r.traced() {
		return
	}
	buf := outbox.SmallBuffers.Get(&r.service.memory)
	n := copy(buf.Bytes, b.data)
	b.buf.Release()
	b.buf, b.start, b.data, b.used = buf, 0, buf.Bytes[:n], 0
	b.calls, b.Requests, b.args = cleared(b.calls), cleared(b.Requests), cleared(b.args)
	r.parse(b)
}
