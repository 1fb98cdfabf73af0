package server

import (
	"sync"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/invariant"
	"github.com/conchmq/conch/protocol"
)

const (
	// readSize is how much one read takes: 64 pipelined publishes of 64 bytes are 7 KiB. An idle connection holds no
	// such buffer.
	readSize = 16 << 10
	// keepArgs bounds what a pooled batch keeps after a command with very many arguments.
	keepArgs = 4096
)

// batch is one socket read on its way through the core: the bytes, the commands that alias them, the requests made
// of those. The reader fills it, the core applies it, and Applied puts it back into the pool.
type batch struct {
	broker.Batch
	pooled []byte // the buffer that belongs to the batch
	big    []byte // set instead when a command does not fit into that: see read.go
	data   []byte // what there is to parse, in one of the two
	calls  []call
	args   [][]byte // room for arguments
}

// call is one command: what the reader found out about it, for the moment when the core comes to it.
type call struct {
	handler *handler
	row     *protocol.Row
	dialect protocol.Dialect
	crlf    bool
	args    [][]byte
	err     *protocol.Error // if there is one, it is the answer
}

var batches = sync.Pool{New: func() any {
	b := &batch{pooled: make([]byte, readSize), args: make([][]byte, 0, 256)}
	b.Note = b
	return b
}}

func newBatch(from *broker.Subscriber) *batch {
	b := batches.Get().(*batch)
	b.From = from
	return b
}

// load makes rest the bytes to parse, and reports whether they were copied: otherwise they belong to the batch now.
func (b *batch) load(rest []byte) (copied bool) {
	if len(rest) <= len(b.pooled) {
		b.data = b.pooled[:copy(b.pooled, rest)]
		return true
	}
	b.big, b.data = rest, rest
	return false
}

// release puts b back. Nobody may hold a byte of it from here on.
func (b *batch) release() {
	invariant.Scribble(b.pooled)
	invariant.Scribble(b.big)
	b.From, b.big, b.data = nil, nil, nil
	if cap(b.calls) > keepArgs || cap(b.Requests) > keepArgs {
		b.calls, b.Requests = nil, nil
	}
	clear(b.calls) // or the pool would keep big buffers alive
	clear(b.Requests)
	clear(b.args[:cap(b.args)])
	b.calls, b.Requests = b.calls[:0], b.Requests[:0]
	batches.Put(b)
}
