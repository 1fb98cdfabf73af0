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
	long       *long           // if it has so many names that it comes in pieces
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

// next finds the next command, n bytes of data.
func (b *Batch) next(r *protocol.Reader) (n int, ok bool, err *protocol.Error) {
	n, ok, err = r.Next(&b.command, b.data[b.used:], freeTail(&b.args))
	if ok {
		b.args = extended(b.args, b.command.Args)
	}
	return n, ok, err
}

// add makes room for one more call, which is empty: see release.
func (b *Batch) add() *invocation {
	if len(b.calls) == cap(b.calls) {
		b.calls = slices.Grow(b.calls, 1+len(b.calls))
	}
	b.calls = b.calls[:len(b.calls)+1]
	return &b.calls[len(b.calls)-1]
}

// findRuns makes inv the run that begins with the command just found, n bytes of data, and adds a call for each run that
// follows it and is written the same way, to whatever topics.
func (b *Batch) findRuns(inv *invocation, n int, l *protocol.Limits) {
	if inv.dialect == protocol.Line {
		b.used += inv.run.ScanLines(&b.command, b.data[b.used:], n, freeTail(&b.payloads), l.Line)
		b.payloads = extended(b.payloads, inv.run.Payloads)
		return
	}
	inv.preserveName()
	for b.findRun(inv, n, l); len(b.calls) < maxCalls; b.findRun(inv, n, l) {
		var args [][]byte
		if args, n = protocol.NextPublish(b.data[b.used:], inv.args[0], freeTail(&b.args), l); n == 0 {
			return
		}
		b.args = extended(b.args, args)
		prev := inv
		inv = b.add()
		inv.handler, inv.row, inv.args, inv.buf = prev.handler, prev.row, args, b.buf
	}
}

// findRun makes inv the run that begins with its command, n bytes of data. A large message is a run of its own.
func (b *Batch) findRun(inv *invocation, n int, l *protocol.Limits) {
	data := b.data[b.used:]
	if len(inv.args[2]) >= outbox.LargePayload {
		data = data[:n]
	}
	b.used += inv.run.Scan(inv.args, data, n, freeTail(&b.payloads), min(l.Message, outbox.LargePayload-1))
	b.payloads = extended(b.payloads, inv.run.Payloads)
	inv.run.RewriteAsMessages()
}

// fillRequests fills b.Requests from b.calls, and returns how many commands that are.
func (b *Batch) fillRequests() (commands int) {
	b.Requests = slices.Grow(b.Requests, len(b.calls))[:len(b.calls)] // empty: see release
	for i := range b.calls {
		inv := &b.calls[i]
		inv.fillRequest(&b.Requests[i])
		if inv.piece == 0 {
			commands += max(1, len(inv.run.Payloads))
		}
	}
	return commands
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

// fillRequest fills in what the core is asked; r is empty.
func (inv *invocation) fillRequest(r *broker.Request) {
	r.Op, r.Kind, r.Form, r.Names, r.Tag = inv.handler.op, inv.handler.kind, formRESP, inv.topics(), inv
	r.Filters = inv.predicates
	if inv.dialect == protocol.Line {
		r.Form = formLine
	}
	r.IncludeFiltered = r.Op == broker.Unsubscribe && inv.row.Syntax == protocol.ArgsNames
	switch {
	case inv.run.Payloads != nil:
		r.Payloads = inv.run.Payloads
	case r.Op == broker.Publish:
		r.Payloads = inv.args[2:3]
	}
}

// splitRun takes a run apart: a request for each message.
func (inv *invocation) splitRun() []broker.Request {
	calls := make([]invocation, len(inv.run.Payloads))
	requests := make([]broker.Request, len(calls))
	for i, payload := range inv.run.Payloads {
		calls[i] = *inv
		calls[i].args = [][]byte{inv.args[0], inv.args[1], payload}
		calls[i].run, calls[i].buf = protocol.Run{}, nil
		calls[i].fillRequest(&requests[i])
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
