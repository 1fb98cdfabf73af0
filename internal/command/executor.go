package command

import (
	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/acl"
	"github.com/conchmq/conch/internal/outbox"
	"github.com/conchmq/conch/protocol"
)

// The forms of a subscription: fixed by how it was made.
const (
	formRESP broker.Form = iota // by a RESP or inline command: frames in the connection's RESP version
	formLine                    // by SUB or PSUB in a line: UPDATE lines
)

// executor is what the core's goroutine knows of a connection. All of it, and every method in this file, belongs to that
// goroutine.
type executor struct {
	*Conn
	crlf              bool             // how its last line ended, and so how lines to it end
	speaksLines       bool             // it speaks lines, and no RESP since: the close notice can be a line
	version           protocol.Version // of RESP
	user              *acl.User        // nil before the first command
	token             *acl.Token       // of user, that it came in with; nil if with a password
	unrestricted      bool             // user may do everything, and nothing need be judged
	evicted           bool             // it is no client any more, though its socket may be open for a moment
	closing           bool             // it is closed as soon as the request at hand is done: see evictAfterRequest
	database          int              // what SELECT chose; shown in CLIENT LIST, without effect
	name              string
	library           *library              // what CLIENT SETINFO said, nil if nothing
	last              *protocol.CommandSpec // the command it sent last, as CLIENT LIST shows it; nil if there is none such
	replyMode         replyMode             // CLIENT REPLY
	clientFlags       clientFlags
	wantsSeq          bool     // it has asked for numbers: see handle_seq.go
	confirmedNames    [][]byte // confirmed so far by a verb that came as RESP, whose answer is one string
	txn               *transaction
	chargedSubs       int               // subscriptions, when they were counted last
	chargedPatterns   int               // of them
	chargedPredicates int               // of their predicates, then
	unflushed         *outbox.Unflushed // queued since the last flush; nil if nothing is
	messageBytes      int               // bytes of messages among it
	lastMessageBytes  int               // bytes of the last of them
	batchesApplied    int               // batches applied since the last flush
}

// replyMode is how CLIENT REPLY keeps replies from being sent. Messages and confirmations are sent all the same.
type replyMode struct {
	off      bool // until CLIENT REPLY ON
	skip     bool // the reply to the command at hand
	skipNext bool // the reply to the one that follows
}

var _ broker.Conn = (*executor)(nil)

// Applied takes a batch back.
func (e *executor) Applied(b *broker.Batch) {
	switch note := b.Tag.(type) {
	case *Batch:
		e.batchesApplied++
		e.service.stats.end(e)
		e.service.encoder.dropOversized()
		if n := len(b.Requests); n > 0 && b.Requests[n-1].Unfinished && e.Reason() == CloseReasonNone {
			e.resubmitLater(&b.Requests[n-1])
		}
		e.usage.batches.Add(-note.charged)
		e.service.memory.Charge(-note.charged)
		note.release()
	case leaveApplied:
		close(note)
	}
}

// Flush hands over what was queued, under one lock and with one wake-up for all of it.
func (e *executor) Flush() {
	e.service.stats.end(e) // of a batch that the core puts off
	if e.batchesApplied > 0 {
		e.window.applied(e.batchesApplied)
	}
	if e.unflushed != nil {
		if e.outbox.Add(e.unflushed, e.lastMessageBytes) {
			e.transport.StartWriter()
		}
		e.unflushed.Recycle()
	}
	e.unflushed, e.messageBytes, e.lastMessageBytes, e.batchesApplied = nil, 0, 0, 0
}

// Ended is the core's last word: it will queue nothing more.
func (e *executor) Ended(why broker.EndReason, evict any) {
	e.removeMonitor()
	e.endMulti()
	if why == broker.Evicted {
		e.closing = true // names that are still to be left reach it no more
		e.evicted = true
		e.service.Counts.clients.Add(-1)
		reason, asked := evict.(CloseReason)
		if !asked {
			reason = CloseReasonSlowHard
		}
		e.End(reason)
		if !e.outbox.IsEvicted() { // see evictNow
			e.sendCloseNotice(reason)
		}
	}
	e.Flush() // now: leave is about to wait for the writer that this may start
}
