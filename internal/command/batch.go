package command

import (
	"bytes"
	"slices"
	"sync"
	"unsafe"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/outbox"
	"github.com/conchmq/conch/protocol"
)

// maxPooledCalls bounds what a pooled batch keeps after one with very many commands or arguments.
const maxPooledCalls = 4096

// batch is one socket read on its way through the core: the bytes, the commands that alias them, the requests made
// of those. The reader fills it, the core applies it, and Applied puts it back into the pool.
type Batch struct {
	broker.Batch
	buf      *outbox.Buffer
	start    int              // of data in it
	data     []byte           // what there is to parse
	used     int              // so much of data is parsed
	command  protocol.Command // just found
	calls    []invocation
	args     [][]byte // room for arguments
	payloads [][]byte // room for payloads of runs
	charged  int64    // what it is counted for in memory, besides buf
}

// invocation is one command, or a run of publishes: what the reader found out about it, for the moment when the core comes to
// it.
type invocation struct {
	handler *handler
	row     *protocol.CommandSpec
	dialect protocol.Dialect
	crlf    bool
	args    [][]byte        // of a run, those of the first command
	err     *protocol.Error // if there is one, it is the answer
	run     protocol.Run    // for a publish in RESP or in lines
	buf     *outbox.Buffer  // what the arguments lie in

	predicates []broker.Filter // of what is subscribed to; nil if nothing has a predicate
	question   *question       // that has been put about what it publishes, if one has
	long       *longCommand    // if it has so many names that it comes in pieces
	piece      int             // of long: 0 is the first
}

var batches = sync.Pool{New: func() any {
	b := new(Batch)
	b.Tag = b
	return b
}}

// newBatch makes a batch of the bytes from start to n of buf, which it retains from now on.
func newBatch(from *broker.Subscriber, in *outbox.Buffer, start, n int) *Batch {
	b := batches.Get().(*Batch)
	b.From, b.buf, b.start, b.data, b.used = from, in, start, in.Bytes[start:n], 0
	return b
}

// sliceSize is what an argument costs besides its bytes.
const sliceSize = int(unsafe.Sizeof([]byte(nil)))

// memSize is what the batch costs besides its buffer.
func (b *Batch) memSize() int64 {
	const call, request = unsafe.Sizeof(invocation{}), unsafe.Sizeof(broker.Request{})
	return int64(cap(b.calls)*int(call) + cap(b.Requests)*int(request) + (cap(b.args)+cap(b.payloads))*sliceSize)
}

// release puts b back. Nobody may hold a byte of it from here on, but of buf, which counts its references.
func (b *Batch) release() {
	b.buf.Release()
	b.From, b.buf, b.data, b.command = nil, nil, nil, protocol.Command{}
	b.calls, b.Requests = cleared(b.calls), cleared(b.Requests) // or the pool would keep buffers alive
	b.args, b.payloads = cleared(b.args), cleared(b.payloads)
	batches.Put(b)
}

// cleared is s with nothing in it, ready to be filled again unless it has grown out of the ordinary.
func cleared[T any](s []T) []T {
	if cap(s) > maxPooledCalls {
		return nil
	}
	clear(s)
	return s[:0]
}

// freeTail is what is free behind s, some at least: what is appended to it becomes part of s by extended.
func freeTail(s *[][]byte) [][]byte {
	if cap(*s)-len(*s) < 8 {
		*s = make([][]byte, 0, 256+2*cap(*s)) // the old array stays with the commands that alias it
	}
	return (*s)[len(*s):]
}

// extended is s with what was appended to what freeTail returned.
func extended(s, more [][]byte) [][]byte {
	if n := len(s) + len(more); n <= cap(s) {
		return s[:n]
	}
	return more // append had to make an array of its own
}

// add makes room for one more call and its request, which are empty: see release. Another add may move both: so a request
// gets its Tag when all are there.
func (b *Batch) add() (*invocation, *broker.Request) {
	n := len(b.calls)
	if n == cap(b.calls) {
		b.calls = slices.Grow(b.calls, 1+n)
	}
	if n == cap(b.Requests) {
		b.Requests = slices.Grow(b.Requests, 1+n)
	}
	b.calls, b.Requests = b.calls[:n+1], b.Requests[:n+1]
	return &b.calls[n], &b.Requests[n]
}

// findRuns makes inv the run that begins with the command just found, n bytes of data, and adds a call for each run that
// follows it and is written the same way, to whatever topics.
func (b *Batch) findRuns(inv *invocation, req *broker.Request, n int, l *protocol.Limits) {
	if inv.dialect == protocol.Line {
		b.used += inv.run.ScanLines(&b.command, b.data[b.used:], n, freeTail(&b.payloads), l.Line)
		b.payloads = extended(b.payloads, inv.run.Payloads)
		req.Payloads = inv.run.Payloads
		return
	}
	inv.preserveName()
	for b.findRun(inv, req, n, l); len(b.calls) < maxCalls; b.findRun(inv, req, n, l) {
		var args [][]byte
		if args, n = protocol.NextPublish(b.data[b.used:], inv.args[0], freeTail(&b.args), l); n == 0 {
			return
		}
		b.args = extended(b.args, args)
		handler, row, like := inv.handler, inv.row, *req
		inv, req = b.add()
		inv.handler, inv.row, inv.args, inv.buf = handler, row, args, b.buf
		*req = like
		req.Names = args[1:2]
	}
}

// findRun makes inv the run that begins with its command, n bytes of data. A large message is a run of its own.
func (b *Batch) findRun(inv *invocation, req *broker.Request, n int, l *protocol.Limits) {
	data := b.data[b.used:]
	if len(inv.args[2]) >= outbox.LargePayload {
		data = data[:n]
	}
	b.used += inv.run.Scan(inv.args, data, n, freeTail(&b.payloads), min(l.Message, outbox.LargePayload-1))
	b.payloads = extended(b.payloads, inv.run.Payloads)
	req.Payloads = inv.run.Payloads
	inv.run.RewriteAsMessages()
}

// last is the last command, nil if there is none.
func (b *Batch) last() *invocation {
	if len(b.calls) == 0 {
		return nil
	}
	return &b.calls[len(b.calls)-1]
}

// topics are the arguments that are topics or patterns.
func (inv *invocation) topics() [][]byte {
	switch inv.handler.op {
	case broker.Publish:
		return inv.args[1:2]
	case broker.Subscribe, broker.Unsubscribe:
		return inv.args[1:]
	}
	return nil
}

// splitRun takes a run apart: a request for each message.
func splitRun(run *broker.Request) []broker.Request {
	calls := make([]invocation, len(run.Payloads))
	requests := make([]broker.Request, len(calls))
	for i, payload := range run.Payloads {
		inv := &calls[i]
		*inv = *run.Tag.(*invocation)
		inv.args = [][]byte{inv.args[0], inv.args[1], payload}
		inv.run, inv.buf = protocol.Run{}, nil
		requests[i] = *run
		requests[i].Payloads, requests[i].Tag = inv.args[2:3], inv
	}
	return requests
}

// preserveName moves the name of a publish out of the bytes that were read, where that of a message takes its place.
// MONITOR shows it as it was spelt.
func (inv *invocation) preserveName() {
	for _, usual := range commonNames {
		if string(usual) == string(inv.args[0]) {
			inv.args[0] = usual
			return
		}
	}
	inv.args[0] = bytes.Clone(inv.args[0])
}

var commonNames = [][]byte{[]byte("PUBLISH"), []byte("publish"), []byte("SPUBLISH"), []byte("spublish")}
