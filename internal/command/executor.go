package command

import (
	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/acl"
	"github.com/conchmq/conch/internal/outbox"
	"github.com/conchmq/conch/protocol"
)

// The forms of a subscription: fixed by how it was made.
const (
	// formRESP and formLine are the forms of a subscription. The command that makes it fixes
	// its form.
	formRESP broker.Form = iota // by RESP or an inline command: frames in the connection's RESP version
	formLine                    // by SUB or PSUB in a line: UPDATE lines
)

// executor is the core's side of a connection. All its fields and methods belong to the core's
// goroutine, and every other connection waits for them: they must neither block nor take long.
type executor struct {
	*Conn
	// crlf is how the last line from the client ended; lines to it end the same way.
	crlf bool
	// speaksLines is set after a line, until a RESP command. The close notice is then a line.
	speaksLines bool
	// version is the RESP version. HELLO sets it.
	version protocol.Version
	// unrestricted means that the user may run anything: no rule is checked.
	unrestricted bool
	// evicted means that the connection is no client any more, though its socket may be open
	// for a moment.
	evicted bool
	// closing means that the connection closes once the current request is done: see
	// evictAfterRequest.
	closing     bool
	replyMode   replyMode
	clientFlags clientFlags
	// wantsSeq means that messages and replies to publishes carry sequence numbers: see
	// handle_seq.go.
	wantsSeq bool
	// database is the number of the last SELECT; CLIENT LIST shows it.
	database int8
	// batchesApplied counts the batches applied since the last flush.
	batchesApplied int16
	// user is nil before the first command.
	user *acl.User
	// token is the one that the client authenticated with, nil after a password.
	token *acl.Token
	name  string
	// library comes from CLIENT SETINFO; nil without it.
	library *library
	// last is the last command, for CLIENT LIST; nil if that was unknown.
	last *protocol.CommandSpec
	// confirming is nil if no command is about to be confirmed.
	confirming *confirming
	// txn holds the commands since MULTI; nil outside of a transaction.
	txn *transaction
	// chargedSubs, chargedPatterns and chargedPredicates are what the memory usage counts now:
	// see chargeSubscription.
	chargedPredicates int
	chargedSubs       int32
	chargedPatterns   int32
	// unflushed holds the frames since the last flush; nil if there are none. One flush needs
	// one lock of the outbox for all of them.
	unflushed *outbox.Unflushed
	// messageBytes counts the bytes of messages in unflushed, lastMessageBytes those of the
	// last one.
	messageBytes     int
	lastMessageBytes int
}

// confirming is the state of a command whose names are being confirmed, one after the other.
type confirming struct {
	// names are those so far confirmed for a verb over RESP, which gets one reply for all.
	names [][]byte
	// unknown are subscriptions of it that have missed an unknown number of messages.
	unknown []*broker.Subscription
}

// replyMode is the state of CLIENT REPLY, which suppresses replies. Messages and confirmations
// are sent in any mode.
type replyMode struct {
	off      bool // until CLIENT REPLY ON
	skip     bool // the reply to the current command
	skipNext bool // the reply to the next command
}

var _ broker.Conn = (*executor)(nil)

// Applied implements [broker.Conn]: the core is done with a batch. The batch goes back to the
// pool, or Leave returns.
func (e *executor) Applied(b *broker.Batch) {
	switch note := b.Tag.(type) {
	case *Batch:
		e.service.appended(note)
		if c := e.blockedClient(); c != nil && c.batch == nil {
			e.service.stats.end(e)
			c.batch = note // its last command goes on
			return
		}
		e.finishBatch(note)
	case batchPart:
		e.service.stats.end(e)
		e.chargeBatch(-int64(note))
	case leaveApplied:
		close(note)
	}
}

// finishBatch returns a batch to the pool.
func (e *executor) finishBatch(b *Batch) {
	// The reader learns of applied batches at the flush: one lock for all of them.
	e.batchesApplied++
	e.service.stats.end(e)
	e.service.encoder.dropOversized()
	if inv := b.last(); inv != nil && inv.long != nil && inv.isLast() {
		e.endLong(inv.long)
	}
	// The core has not finished the last command: it held too many names for one instant.
	if n := len(b.Requests); n > 0 && b.Requests[n-1].Unfinished && e.Reason() == CloseReasonNone {
		e.resubmitLater(&b.Requests[n-1])
	}
	e.chargeBatch(-b.charged)
	b.release()
}

// Flush implements [broker.Conn]: it moves the unflushed frames to the outbox, under one lock
// and with one wake-up for all of them.
func (e *executor) Flush() {
	e.service.streams.endRound()
	e.service.stats.end(e) // the batch may be one that the core defers
	if e.batchesApplied > 0 {
		e.window.applied(int(e.batchesApplied))
	}
	x := e.streamClient.Load()
	if x != nil {
		x.holdFrames(e)
	}
	if e.addToOutbox() {
		e.transport.StartWriter()
	}
	if x != nil {
		x.startFills()
		if x.hasLeft {
			x.hasLeft = false
			e.service.cursors.proposeEnded(e)
		}
	}
	e.unflushed, e.messageBytes, e.lastMessageBytes, e.batchesApplied = nil, 0, 0, 0
}

// Ended implements [broker.Conn]: nothing is queued after it.
func (e *executor) Ended(why broker.EndReason, evict any) {
	e.removeMonitor()
	e.endMulti()
	e.unwatchAll()
	if c := e.blockedClient(); c != nil {
		e.service.streams.blocked.end(c)
	}
	if why == broker.Evicted {
		e.closing = true // names that the core unsubscribes afterwards must not reach the client
		e.evicted = true
		// From here on, CLIENT LIST leaves the connection out.
		e.service.Counts.clients.Add(-1)
		reason, asked := evict.(CloseReason)
		// The core itself evicts for one reason only: Deliver has returned true.
		if !asked {
			reason = CloseReasonSlowHard
		}
		e.End(reason)
		if !e.outbox.IsEvicted() { // evictNow has sent the close notice already
			e.sendCloseNotice(reason)
		}
		if f := e.getFiller(); f != nil {
			f.writerProgressed()
		}
	}
	if reason := e.Reason(); reason == CloseReasonShutdown || reason == CloseReasonRemoved {
		e.sendNextNotice(reason)
	}
	e.Flush() // not later: Leave is about to wait for the writer that this may start
}
