package command

import (
	"bytes"
	"fmt"

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

// Admit refuses what a RESP2 subscriber may not do, and keeps back what belongs into a transaction. Unknown commands
// and wrong arguments are answered as such first, as in Redis; and a line of conch's own is never mistaken for a push,
// so lines are free.
func (e *executor) Admit(r *broker.Request) bool {
	inv, stats := r.Tag.(*invocation), &e.service.stats
	stats.begin(e)
	if e.inExec() {
		return e.admitQueued(r, inv)
	}
	if inv.piece == 0 {
		e.recordCommand(inv)
	}
	switch {
	case !e.admitPiece(inv):
		return false
	case inv.err != nil:
		e.logMissingCommand(inv)
		e.reject(inv, inv.err)
		return false
	case !e.unrestricted && e.rejectsUnauthorized(inv):
		return false
	case r.Op == broker.Subscribe && e.tooMany(r):
		e.reject(inv, e.errTooMany())
		return false
	case inv.predicates != nil && e.rejectsPredicates(r, inv):
		return false
	case inv.dialect == protocol.Line:
	case !inv.row.AllowedSubscribed && e.version == protocol.RESP2 && e.hasSubscriptions(formRESP):
		e.reject(inv, protocol.ErrSubscribed(inv.row.FullName()))
		return false
	case e.txn != nil && inv.row.NoMulti:
		e.reject(inv, protocol.Errorf("%s is not possible inside a transaction", inv.row.Name))
		return false
	case e.txn != nil && !inv.row.RunsInMulti:
		e.enqueue(r)
		return false
	}
	e.feedMonitors(inv)
	if inv.piece == 0 {
		stats.called(inv.row, max(1, len(r.Payloads)))
	}
	return true
}

// tooMany tells whether a command would take the connection over its limit. Names that it holds already do not count:
// a library that subscribes anew to all it knows must get through.
func (e *executor) tooMany(r *broker.Request) bool {
	room := e.service.options.MaxSubscriptions - e.sub.NumSubscriptions()
	if len(r.Names) <= room {
		return false
	}
	for _, name := range r.Names {
		if !e.sub.Holds(r.Kind, r.Form, name) {
			room--
		}
	}
	return room < 0
}

func (e *executor) errTooMany() *protocol.Error {
	return protocol.Errorf("you would listen to more than %d topics and patterns (--max-subscriptions)", e.service.options.MaxSubscriptions)
}

// rejectsPredicates answers a subscription whose predicates are not possible here.
func (e *executor) rejectsPredicates(r *broker.Request, inv *invocation) bool {
	err := e.checkPredicates(r, inv)
	if err != nil {
		e.reject(inv, err)
	}
	return err != nil
}

// rejectsUnauthorized checks a command, and answers it if the user may not run it.
func (e *executor) rejectsUnauthorized(inv *invocation) bool {
	err := e.authorize(inv)
	if err != nil {
		e.reject(inv, err)
	}
	return err != nil
}

// recordCommand takes note of how the peer speaks now.
func (e *executor) recordCommand(inv *invocation) {
	if inv.dialect != protocol.RESP {
		e.crlf = inv.crlf
	}
	e.speaksLines = inv.dialect == protocol.Line || e.speaksLines && inv.dialect == protocol.Inline // a PING in between changes nothing
	e.last = inv.row
	e.replyMode.skip, e.replyMode.skipNext = e.replyMode.skipNext, false
}

// hasSubscriptions tells whether the connection has subscriptions of a form.
func (e *executor) hasSubscriptions(f broker.Form) bool {
	return e.sub.Count(f, broker.Topic)+e.sub.Count(f, broker.Shard) > 0
}

// AcceptsRun wants a run message by message where each command in it is refused, answered, kept, or shown by itself.
func (e *executor) AcceptsRun(r *broker.Request) (parts []broker.Request, whole bool) {
	if e.mayPublish(r.Tag.(*invocation)) && e.txn == nil && !e.replyMode.skipNext && len(e.service.monitors) == 0 &&
		(e.version == protocol.RESP3 || !e.hasSubscriptions(formRESP)) {
		return nil, true
	}
	return r.Tag.(*invocation).splitRun(), false
}

// Published answers a publish, or several in a row.
func (e *executor) Published(r *broker.Request, messages int, first uint64, receivers int) {
	inv := r.Tag.(*invocation)
	if r.Stale {
		inv.question.stale.Store(true)
	}
	if e.repliesWithSeq(inv) {
		e.reply(e.appendSeqReplies(inv, messages, first, receivers))
		return
	}
	b := e.service.encoder.begin(max(512, messages*(len(inv.args[1])+16)))
	if inv.row.Syntax == protocol.ArgsInline {
		b = protocol.AppendInt(b, int64(receivers))
	} else {
		b = appendVerb(b, inv, inv.args[1:2])
	}
	for one := len(b); messages > 1; messages-- {
		b = append(b, b[:one]...)
	}
	e.reply(b)
}

// Subscribed confirms one name.
func (e *executor) Subscribed(r *broker.Request, name []byte, count int) {
	e.chargeSubscription(name)
	inv := r.Tag.(*invocation)
	if inv.row.Syntax == protocol.ArgsInline {
		e.push(e.version.AppendConfirmation(e.begin(), inv.row.FullName(), name, count))
		return
	}
	e.confirmVerb(inv, name, e.isLastOf(inv, r))
}

// Unsubscribed confirms one name.
func (e *executor) Unsubscribed(r *broker.Request, name []byte, count int) {
	e.chargeSubscription(name)
	inv := r.Tag.(*invocation)
	if inv.row.Syntax == protocol.ArgsInline {
		e.push(e.version.AppendConfirmation(e.begin(), inv.row.FullName(), name, count))
		return
	}
	last := e.isLastOf(inv, r)
	if len(r.Names) == 0 { // all were meant: the last one leaves none of its kind
		last = e.sub.CountKind(r.Form, r.Kind) == 0
	}
	e.confirmVerb(inv, name, last)
}

// isLastOf reports whether the name being confirmed is the last one of a verb that came as RESP.
func (e *executor) isLastOf(inv *invocation, r *broker.Request) bool {
	if inv.long != nil {
		return len(e.confirmedNames)+1 == inv.long.names
	}
	return len(e.confirmedNames)+1 == len(r.Names)
}

// confirmVerb answers SUB and its like: one line a name, or one simple string for all when the verb came as RESP.
func (e *executor) confirmVerb(inv *invocation, name []byte, last bool) {
	if inv.dialect == protocol.Line {
		if name == nil {
			e.replyVerb(inv, nil)
		} else {
			e.replyVerb(inv, [][]byte{name})
		}
		return
	}
	if name != nil {
		if inv.long != nil {
			name = bytes.Clone(name) // the piece that it came in is about to be given back
		}
		e.confirmedNames = append(e.confirmedNames, name)
	}
	if last {
		e.replyVerb(inv, e.confirmedNames)
		e.confirmedNames = nil
	}
}

// replyVerb answers a verb in the dialect it came in.
func (e *executor) replyVerb(inv *invocation, names [][]byte) {
	e.reply(appendVerb(e.begin(), inv, names))
}

func appendVerb(b []byte, inv *invocation, names [][]byte) []byte {
	if inv.dialect == protocol.Line {
		return protocol.AppendLineEnd(protocol.AppendLineOK(b, inv.row.Name, names...), inv.crlf)
	}
	return append(protocol.AppendLineOK(append(b, '+'), inv.row.Name, names...), "\r\n"...)
}

// Reply runs the commands that the core has no part in, at their instant in the order.
func (e *executor) Reply(r *broker.Request, v broker.View) {
	inv := r.Tag.(*invocation)
	w := &e.service.response
	*w = response{executor: e, inv: inv, view: v, buf: e.begin()}
	w.run()
	if inv.long == nil {
		e.reply(w.buf)
	} else if inv.long.reply = append(inv.long.reply, w.buf...); inv.isLast() {
		e.reply(inv.long.reply)
	}
	*w = response{} // it must not keep the reply, nor the connection, alive
}

// replyErr answers a command with an error.
func (e *executor) replyErr(inv *invocation, err *protocol.Error) {
	e.service.stats.rejected(inv.row, err)
	e.reply(appendErr(e.begin(), inv, err))
}

// appendErr words an error in the dialect of the command that it answers.
func appendErr(b []byte, inv *invocation, err *protocol.Error) []byte {
	if inv.dialect == protocol.Line && !err.Fatal {
		b = protocol.AppendLineEnd(protocol.AppendLineError(b, err), inv.crlf)
		return protocol.AppendHints(b, err, inv.crlf)
	}
	return protocol.AppendError(b, err)
}

// Deliver queues one message for one subscription. The limit is held against what waited before: an outbox under it
// takes one more message, however large, and a subscriber that reads gets it.
func (e *executor) Deliver(m *broker.Message, s *broker.Subscription) (over bool) {
	if e.service.memory.ExceededOnCore {
		e.service.evictLargest()
	}
	if e.closing {
		e.outbox.Discard(accountOf(s), len(m.Payloads))
		return false
	}
	over = e.overLimit()
	a, last := accountOf(s), m.Sequence+uint64(len(m.Payloads))-1
	info := outbox.FrameInfo{Account: a, Count: int32(len(m.Payloads)), LastSeq: last, Format: e.format(s.Form)} //nolint:gosec // of one run
	policy := e.outbox.Policy()
	if over && policy != outbox.Disconnect && e.outbox.HasGapRoom() { // or the notes alone are too much
		if over = false; policy == outbox.DropNewest || e.inExec() { // what a transaction holds back cannot be cut yet
			info.Kind = outbox.KindMissed
			a.LastSeq, a.LastLostSeq = last, last
			e.deliver(outbox.Fragment{}, info)
			return false
		}
	}
	if over { // what waits for it is lost with it: encoding one more for each pattern took 9.7 s once
		a.LastSeq = last
		e.outbox.Discard(a, len(m.Payloads))
		return true
	}
	frames := e.service.encoder.encode(info.Format, m, s, a.PreviousSeq(info.Format))
	a.LastSeq = last
	e.deliver(frames, info)
	if policy == outbox.DropOldest && int64(e.messageBytes) > e.outbox.Limit && !e.inExec() {
		e.Flush() // the outbox cuts what is too much: a round must not pile up more than that
	}
	return over
}

// accountOf finds the account of a subscription, and opens it at the first message: an idle subscription has none.
func accountOf(s *broker.Subscription) *outbox.Account {
	if a, ok := s.Data.(*outbox.Account); ok {
		return a
	}
	a := outbox.NewAccount(s.Name())
	s.Data = a
	return a
}

// deliver queues messages, or holds them back: what a transaction sends to its own connection comes after its answer,
// as in Redis 7.2.
func (e *executor) deliver(frames outbox.Fragment, info outbox.FrameInfo) {
	if !e.inExec() {
		e.queueMessages(frames, info)
		return
	}
	e.txn.holdDelivery(frames, info)
}

// queueMessages is queue for messages, which count against the limit.
func (e *executor) queueMessages(frames outbox.Fragment, info outbox.FrameInfo) {
	if size := frames.Size(); size > 0 {
		e.lastMessageBytes = size
		e.messageBytes += size
	}
	e.queue(frames, info)
}

// overLimit tells whether more messages wait than may.
func (e *executor) overLimit() bool { return e.outbox.IsOver(e.pendingBytes()) }

// pendingBytes is how many bytes of messages have yet to reach the outbox: a flush hands over those of the round, but not what
// a transaction holds back.
func (e *executor) pendingBytes() int64 {
	n := e.messageBytes
	if m := e.txn; m != nil {
		n += m.heldBytes
	}
	return int64(n)
}

// format is how this connection reads messages of a form.
func (e *executor) format(form broker.Form) outbox.Format {
	f := outbox.FormatRESP2
	switch {
	case form == formLine && e.crlf:
		f = outbox.FormatCRLF
	case form == formLine:
		f = outbox.FormatLF
	case e.version == protocol.RESP3:
		f = outbox.FormatRESP3
	}
	if e.wantsSeq {
		return f.WithSeq()
	}
	return f
}

// begin lends room for a reply; reply queues it.
func (e *executor) begin() []byte { return e.service.encoder.begin(512) }

func (e *executor) reply(frame []byte) {
	if !e.replyMode.off && !e.replyMode.skip {
		e.push(frame)
	}
}

// push queues what CLIENT REPLY does not silence: confirmations, which clients wait for.
func (e *executor) push(frame []byte) {
	if len(frame) > 0 {
		e.queue(e.service.encoder.replies.commit(frame), outbox.FrameInfo{Kind: outbox.KindReplies})
	}
}

// queue appends to what the next flush hands over.
func (e *executor) queue(s outbox.Fragment, info outbox.FrameInfo) {
	if e.unflushed == nil {
		e.unflushed = outbox.NewUnflushed()
	}
	e.unflushed.Add(s, info)
}

// Applied takes a batch back.
func (e *executor) Applied(b *broker.Batch) {
	switch note := b.Tag.(type) {
	case *Batch:
		e.batchesApplied++
		e.service.stats.end(e)
		e.service.encoder.dropOversized()
		if n := len(b.Requests); n > 0 && b.Requests[n-1].Unfinished && e.Reason() == CloseReasonNone {
			e.resubmitLater(b.Requests[n-1].Tag.(*invocation))
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
		if !e.outbox.IsEvicted() { // see expel
			e.sendCloseNotice(reason)
		}
	}
	e.Flush() // now: leave is about to wait for the writer that this may start
}

// sendCloseNotice queues the close notice. A slow connection loses what waits; whoever else must go gets it first.
func (e *executor) sendCloseNotice(reason CloseReason) {
	switch reason {
	case CloseReasonKilled:
	case CloseReasonAuthTimeout, CloseReasonPermissionRevoked, CloseReasonToken:
		e.push(e.closeNotice(reason))
	default:
		if e.outbox.Evict(e.transport, e.closeNotice(reason)) {
			e.transport.StartWriter()
		}
	}
}

// closeNoticeText is why a connection must go.
func (o *Options) closeNoticeText(reason CloseReason) string {
	switch reason {
	case CloseReasonAuthTimeout:
		return fmt.Sprintf("you did not say who you are within %v (--auth-timeout); the connection is closed", o.AuthTimeout)
	case CloseReasonPermissionRevoked:
		return "your user is gone, or may no longer listen to what you subscribed to; the connection is closed"
	case CloseReasonToken:
		return "your token has expired or was revoked; the connection is closed"
	case CloseReasonMaxMemory:
		return fmt.Sprintf("all connections together hold more than %d bytes (--max-memory), and you hold most of it; what waited "+
			"for you is lost, and the connection is closed", o.MaxMemory)
	case CloseReasonSlowSoft:
		return fmt.Sprintf("you read too slowly: over %d bytes were waiting for %v (--slow-soft, --slow-time); they are lost, "+
			"and the connection is closed", o.SlowSoft, o.SlowTime)
	}
	return fmt.Sprintf("you read too slowly: over %d bytes were waiting (--slow-hard); they are lost, and the connection is closed", o.SlowHard)
}

// closeNotice tells a peer why it must go, where its protocol has a way to say it: an unsolicited frame would be taken for a
// reply by RESP2 clients. Who has yet to authenticate waits for no message, and is told in any protocol.
func (e *executor) closeNotice(reason CloseReason) []byte {
	text := e.service.options.closeNoticeText(reason)
	if !e.speaksLines && reason == CloseReasonAuthTimeout {
		return protocol.AppendError(nil, protocol.Errorf("%s", text))
	}
	if !e.speaksLines && e.version == protocol.RESP2 {
		return nil
	}
	if !e.speaksLines { // a push of a kind of its own; unknown kinds are safe in RESP3
		b := e.version.AppendHeader(nil, protocol.Push, 3)
		b = protocol.AppendBulkString(protocol.AppendBulkString(b, "closing"), reason.String())
		return protocol.AppendBulkString(b, text)
	}
	return protocol.AppendLineEnd(protocol.AppendLineError(nil, protocol.Errorf("%s", text)), e.crlf)
}
