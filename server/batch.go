package server

import (
	"bytes"
	"sync"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/protocol"
)

// keepCalls bounds what a pooled batch keeps after one with very many commands or arguments.
const keepCalls = 4096

// batch is one socket read on its way through the core: the bytes, the commands that alias them, the requests made
// of those. The reader fills it, the core applies it, and Applied puts it back into the pool.
type batch struct {
	broker.Batch
	in       *buffer
	data     []byte // what there is to parse, in it
	calls    []call
	args     [][]byte // room for arguments
	payloads [][]byte // room for payloads of runs
}

// call is one command, or a run of publishes: what the reader found out about it, for the moment when the core comes to
// it.
type call struct {
	handler *handler
	row     *protocol.Row
	dialect protocol.Dialect
	crlf    bool
	args    [][]byte        // of a run, those of the first command
	err     *protocol.Error // if there is one, it is the answer
	run     protocol.Run    // for a publish in RESP or in lines
	in      *buffer         // where the frames of run are
}

var batches = sync.Pool{New: func() any {
	b := new(batch)
	b.Note = b
	return b
}}

// newBatch makes a batch of the first n bytes of in, which it holds from now on.
func newBatch(from *broker.Subscriber, in *buffer, n int) *batch {
	b := batches.Get().(*batch)
	b.From, b.in, b.data = from, in, in.bytes[:n]
	return b
}

// release puts b back. Nobody may hold a byte of it from here on, but of in, whose holders are counted.
func (b *batch) release() {
	b.in.release()
	b.From, b.in, b.data = nil, nil, nil
	b.calls, b.Requests = emptied(b.calls), emptied(b.Requests) // or the pool would keep buffers alive
	b.args, b.payloads = emptied(b.args), emptied(b.payloads)
	batches.Put(b)
}

// emptied is s with nothing in it, ready to be filled again unless it has grown out of the ordinary.
func emptied[T any](s []T) []T {
	if cap(s) > keepCalls {
		return nil
	}
	clear(s)
	return s[:0]
}

// spare is what is free behind s, some at least: what is appended to it becomes part of s by grown.
func spare(s *[][]byte) [][]byte {
	if cap(*s)-len(*s) < 8 {
		*s = make([][]byte, 0, 256+2*cap(*s)) // the old array stays with the commands that alias it
	}
	return (*s)[len(*s):]
}

// grown is s with what was appended to what spare returned.
func grown(s, more [][]byte) [][]byte {
	if n := len(s) + len(more); n <= cap(s) {
		return s[:n]
	}
	return more // append had to make an array of its own
}

// findRun makes k the run that begins with cmd, which ends at data[n]. It returns where the run ends.
func (b *batch) findRun(k *call, cmd *protocol.Command, data []byte, n int, l protocol.Limits) (end int) {
	room := spare(&b.payloads)
	if cmd.Dialect == protocol.Line {
		k.run, end = protocol.FindLines(cmd, data, n, room, l)
	} else {
		k.run, end = protocol.FindRun(cmd, data, n, room, l)
		k.in = b.in
		k.keepName()
		k.run.Rename()
	}
	b.payloads = grown(b.payloads, k.run.Payloads)
	return end
}

// topics are the arguments that are topics or patterns.
func (k *call) topics() [][]byte {
	switch k.handler.op {
	case broker.Publish:
		return k.args[1:2]
	case broker.Subscribe, broker.Unsubscribe:
		return k.args[1:]
	}
	return nil
}

// request is what the core is asked.
func (k *call) request() broker.Request {
	r := broker.Request{Op: k.handler.op, Kind: k.handler.kind, Form: formRESP, Names: k.topics(), Call: k}
	if k.dialect == protocol.Line {
		r.Form = formLine
	}
	switch {
	case k.run.Payloads != nil:
		r.Payloads = k.run.Payloads
	case r.Op == broker.Publish:
		r.Payloads = k.args[2:3]
	}
	return r
}

// parts takes a run apart: a request for each message.
func (k *call) parts() []broker.Request {
	calls := make([]call, len(k.run.Payloads))
	requests := make([]broker.Request, len(calls))
	for i, payload := range k.run.Payloads {
		calls[i] = *k
		calls[i].args = [][]byte{k.args[0], k.args[1], payload}
		calls[i].run, calls[i].in = protocol.Run{}, nil
		requests[i] = calls[i].request()
	}
	return requests
}

// keepName moves the name of a publish out of the bytes that were read, where that of a message takes its place.
// MONITOR shows it as it was spelt.
func (k *call) keepName() {
	for _, usual := range usualNames {
		if string(usual) == string(k.args[0]) {
			k.args[0] = usual
			return
		}
	}
	k.args[0] = bytes.Clone(k.args[0])
}

var usualNames = [][]byte{[]byte("PUBLISH"), []byte("publish"), []byte("SPUBLISH"), []byte("spublish")}
