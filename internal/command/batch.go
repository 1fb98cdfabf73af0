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

// maxPooledCalls bounds the slices that a pooled batch keeps. One batch with very many commands
// must not pin memory.
const maxPooledCalls = 4096

// Batch is one read on its way through the core: its bytes, the commands that alias them, and
// the requests to the core.
//
// The reader fills it, the core applies it, and Applied returns it to the pool. It has one
// owner at a time: [broker.Broker.Submit] hands it over.
type Batch struct {
	broker.Batch
	buf *outbox.Buffer
	// start is the index of data in buf.
	start int
	// data is what the reader has to parse; used counts its parsed bytes.
	data []byte
	// used counts the parsed bytes of data.
	used int
	// command is the last parsed command.
	command protocol.Command
	calls   []invocation
	// args and payloads are room for arguments and for payloads of runs. Commands alias them.
	args     [][]byte
	payloads [][]byte // of runs
	// decoded hold large payloads that stood in JSON.
	decoded []*outbox.Buffer
	// charged is the memory that the batch counts for, besides buf.
	charged int64
	// appending is what a large batch with appends counts for in front of the core, until that has applied it.
	appending int64
}

// invocation is one parsed command, or a run of publishes, on its way to the core. The reader
// fills it in; afterwards it belongs to the core until the batch is released.
type invocation struct {
	handler *handler
	row     *protocol.CommandSpec
	dialect protocol.Dialect
	crlf    bool
	// ordered means that the command has its place in the order of all nodes: the connection itself no longer refuses it.
	ordered bool
	// unjudged means a publish without evaluated predicates, which is therefore refused.
	unjudged bool
	args     [][]byte // of a run, those of its first command
	id       []byte   // of a request in JSON
	// err is the reply, if the reader found an error.
	err   *protocol.Error
	run   protocol.Run   // of publishes, in RESP or in lines
	add   *parsedAdd     // of an XADD that the reader has parsed
	txn   *transaction   // of an EXEC in the order of all nodes, until it runs
	token *newToken      // of ACL TOKEN CREATE, in the order of all nodes
	users *usersText     // of ACL LOAD, in the order of all nodes
	take  *cursorTake    // of a subscription FROM GROUP, in the order of all nodes
	buf   *outbox.Buffer // holds the arguments

	// predicates has one entry for each name to subscribe to; nil if no name has a predicate or a
	// position.
	predicates []broker.Filter
	// read is the parsed XREAD, nil before it is needed.
	read *parsedRead
	// reading is the parsed READ.
	reading *readRequest
	// long is shared by the pieces of a command with very many names; piece counts from 0.
	long  *longCommand
	piece int
}

// batches pools them. A batch is its own Tag: Applied gets it back without an allocation.
var batches = sync.Pool{New: func() any {
	b := new(Batch)
	b.Tag = b
	return b
}}

// newBatch makes a batch of the bytes from start to n of buf. The batch takes over the caller's
// reference to buf.
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

// release returns b to the pool. No slice of it may be used afterwards, except those of buf,
// which counts its references.
func (b *Batch) release() {
	b.buf.Release()
	for _, d := range b.decoded {
		d.Release()
	}
	b.decoded = nil
	b.From, b.Instead, b.Version = nil, nil, 0
	b.buf, b.data, b.command, b.charged = nil, nil, protocol.Command{}, 0
	b.calls, b.Requests = cleared(b.calls), cleared(b.Requests) // cleared: a pooled batch must not keep buffers alive
	b.args, b.payloads = cleared(b.args), cleared(b.payloads)
	batches.Put(b)
}

// cleared is s emptied, for reuse. A slice with more room than maxPooledCalls is dropped.
func cleared[T any](s []T) []T {
	if cap(s) > maxPooledCalls {
		return nil
	}
	clear(s)
	return s[:0]
}

// freeTail is the free room behind s, at least 8 entries. After an append to it, extended makes
// the new entries part of s.
//
// So the parser appends arguments to a shared slice, without an allocation for each command.
func freeTail(s *[][]byte) [][]byte {
	if cap(*s)-len(*s) < 8 {
		*s = make([][]byte, 0, 256+2*cap(*s)) // the old array stays with the commands that alias it
	}
	return (*s)[len(*s):]
}

// extended is s with the entries appended to its freeTail.
func extended(s, more [][]byte) [][]byte {
	if n := len(s) + len(more); n <= cap(s) {
		return s[:n]
	}
	return more // append has made a new array
}

// add appends an empty invocation and its empty request. Entries in the free capacity are zero:
// see release.
//
// A later add may move both. So a request gets its Tag when the batch is complete: see submit.
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

// findRuns makes inv the run that starts at the last parsed command, of n bytes. Further runs
// in the same spelling, to whatever topics, are added as invocations of their own.
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

// findRun makes inv the run that starts at its command, of n bytes. A large message is a run of
// its own.
func (b *Batch) findRun(inv *invocation, req *broker.Request, n int, l *protocol.Limits) {
	data := b.data[b.used:]
	// It is sent without a copy, one message to a frame.
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

// namesAsVerb reports whether names have the meaning that they have for the verbs of lines. Requests
// in JSON are commands of Redis, and their names those of verbs.
func (inv *invocation) namesAsVerb() bool {
	return inv.row.Syntax == protocol.ArgsNames || inv.dialect == protocol.Object
}

// splitRun returns one request for each message of a run.
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

// preserveName moves the command's name out of the read buffer: RewriteAsMessages overwrites it
// there. MONITOR shows the name as it was spelt.
func (inv *invocation) preserveName() {
	for _, usual := range commonNames {
		if string(usual) == string(inv.args[0]) {
			inv.args[0] = usual
			return
		}
	}
	inv.args[0] = bytes.Clone(inv.args[0])
}

// commonNames are the spellings that need no copy.
var commonNames = [][]byte{[]byte("PUBLISH"), []byte("publish"), []byte("SPUBLISH"), []byte("spublish")}
