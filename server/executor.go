package server

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

var _ broker.Conn = (*conn)(nil)

// Admit refuses what a RESP2 subscriber may not do, and keeps back what belongs into a transaction. Unknown commands
// and wrong arguments are answered as such first, as in Redis; and a line of conch's own is never mistaken for a push,
// so lines are free.
func (c *conn) Admit(r *broker.Request) bool {
	inv, stats := r.Tag.(*invocation), &c.srv.stats
	stats.begin(c)
	if c.inExec() {
		return c.admitQueued(r, inv)
	}
	if inv.piece == 0 {
		c.recordCommand(inv)
	}
	switch {
	case !c.admitPiece(inv):
		return false
	case inv.err != nil:
		c.logMissingCommand(inv)
		c.reject(inv, inv.err)
		return false
	case !c.executor.unrestricted && c.rejectsUnauthorized(inv):
		return false
	case r.Op == broker.Subscribe && c.tooMany(r):
		c.reject(inv, c.errTooMany())
		return false
	case inv.predicates != nil && c.rejectsPredicates(r, inv):
		return false
	case inv.dialect == protocol.Line:
	case !inv.row.AllowedSubscribed && c.executor.version == protocol.RESP2 && c.hasSubscriptions(formRESP):
		c.reject(inv, protocol.ErrSubscribed(inv.row.FullName()))
		return false
	case c.executor.txn != nil && inv.row.NoMulti:
		c.reject(inv, protocol.Errorf("%s is not possible inside a transaction", inv.row.Name))
		return false
	case c.executor.txn != nil && !inv.row.RunsInMulti:
		c.enqueue(r)
		return false
	}
	c.srv.encoder.feedMonitors(c, inv)
	if inv.piece == 0 {
		stats.called(inv.row, max(1, len(r.Payloads)))
	}
	return true
}

// tooMany tells whether a command would take the connection over its limit. Names that it holds already do not count:
// a library that subscribes anew to all it knows must get through.
func (c *conn) tooMany(r *broker.Request) bool {
	room := c.srv.options.MaxSubscriptions - c.sub.NumSubscriptions()
	if len(r.Names) <= room {
		return false
	}
	for _, name := range r.Names {
		if !c.sub.Holds(r.Kind, r.Form, name) {
			room--
		}
	}
	return room < 0
}

func (c *conn) errTooMany() *protocol.Error {
	return protocol.Errorf("you would listen to more than %d topics and patterns (--max-subscriptions)", c.srv.options.MaxSubscriptions)
}

// rejectsPredicates answers a subscription whose predicates are not possible here.
func (c *conn) rejectsPredicates(r *broker.Request, inv *invocation) bool {
	err := c.checkPredicates(r, inv)
	if err != nil {
		c.reject(inv, err)
	}
	return err != nil
}

// rejectsUnauthorized checks a command, and answers it if the user may not run it.
func (c *conn) rejectsUnauthorized(inv *invocation) bool {
	err := c.authorize(inv)
	if err != nil {
		c.reject(inv, err)
	}
	return err != nil
}

// recordCommand takes note of how the peer speaks now.
func (c *conn) recordCommand(inv *invocation) {
	e := &c.executor
	if inv.dialect != protocol.RESP {
		e.crlf = inv.crlf
	}
	e.speaksLines = inv.dialect == protocol.Line || e.speaksLines && inv.dialect == protocol.Inline // a PING in between changes nothing
	e.last = inv.row
	e.replyMode.skip, e.replyMode.skipNext = e.replyMode.skipNext, false
}

// hasSubscriptions tells whether the connection has subscriptions of a form.
func (c *conn) hasSubscriptions(f broker.Form) bool {
	return c.sub.Count(f, broker.Topic)+c.sub.Count(f, broker.Shard) > 0
}

// AcceptsRun wants a run message by message where each command in it is refused, answered, kept, or shown by itself.
func (c *conn) AcceptsRun(r *broker.Request) (parts []broker.Request, whole bool) {
	e := &c.executor
	if c.mayPublish(r.Tag.(*invocation)) && e.txn == nil && !e.replyMode.skipNext && len(c.srv.encoder.monitors) == 0 &&
		(e.version == protocol.RESP3 || !c.hasSubscriptions(formRESP)) {
		return nil, true
	}
	return r.Tag.(*invocation).splitRun(), false
}

// Published answers a publish, or several in a row.
func (c *conn) Published(r *broker.Request, messages int, first uint64, receivers int) {
	inv := r.Tag.(*invocation)
	if r.Stale {
		inv.question.stale.Store(true)
	}
	if c.repliesWithSeq(inv) {
		c.reply(c.appendSeqReplies(inv, messages, first, receivers))
		return
	}
	b := c.srv.encoder.begin(max(512, messages*(len(inv.args[1])+16)))
	if inv.row.Syntax == protocol.ArgsInline {
		b = protocol.AppendInt(b, int64(receivers))
	} else {
		b = appendVerb(b, inv, inv.args[1:2])
	}
	for one := len(b); messages > 1; messages-- {
		b = append(b, b[:one]...)
	}
	c.reply(b)
}

// Subscribed confirms one name.
func (c *conn) Subscribed(r *broker.Request, name []byte, count int) {
	c.chargeSubscription(name)
	inv := r.Tag.(*invocation)
	if inv.row.Syntax == protocol.ArgsInline {
		c.push(c.executor.version.AppendConfirmation(c.begin(), inv.row.FullName(), name, count))
		return
	}
	c.confirmVerb(inv, name, c.isLastOf(inv, r))
}

// Unsubscribed confirms one name.
func (c *conn) Unsubscribed(r *broker.Request, name []byte, count int) {
	c.chargeSubscription(name)
	inv := r.Tag.(*invocation)
	if inv.row.Syntax == protocol.ArgsInline {
		c.push(c.executor.version.AppendConfirmation(c.begin(), inv.row.FullName(), name, count))
		return
	}
	last := c.isLastOf(inv, r)
	if len(r.Names) == 0 { // all were meant: the last one leaves none of its kind
		last = c.sub.CountKind(r.Form, r.Kind) == 0
	}
	c.confirmVerb(inv, name, last)
}

// isLastOf reports whether the name being confirmed is the last one of a verb that came as RESP.
func (c *conn) isLastOf(inv *invocation, r *broker.Request) bool {
	if inv.long != nil {
		return len(c.executor.confirmedNames)+1 == inv.long.names
	}
	return len(c.executor.confirmedNames)+1 == len(r.Names)
}

// confirmVerb answers SUB and its like: one line a name, or one simple string for all when the verb came as RESP.
func (c *conn) confirmVerb(inv *invocation, name []byte, last bool) {
	if inv.dialect == protocol.Line {
		if name == nil {
			c.replyVerb(inv, nil)
		} else {
			c.replyVerb(inv, [][]byte{name})
		}
		return
	}
	if name != nil {
		if inv.long != nil {
			name = bytes.Clone(name) // the piece that it came in is about to be given back
		}
		c.executor.confirmedNames = append(c.executor.confirmedNames, name)
	}
	if last {
		c.replyVerb(inv, c.executor.confirmedNames)
		c.executor.confirmedNames = nil
	}
}

// replyVerb answers a verb in the dialect it came in.
func (c *conn) replyVerb(inv *invocation, names [][]byte) { c.reply(appendVerb(c.begin(), inv, names)) }

func appendVerb(b []byte, inv *invocation, names [][]byte) []byte {
	if inv.dialect == protocol.Line {
		return protocol.AppendLineEnd(protocol.AppendLineOK(b, inv.row.Name, names...), inv.crlf)
	}
	return append(protocol.AppendLineOK(append(b, '+'), inv.row.Name, names...), "\r\n"...)
}

// Reply runs the commands that the core has no part in, at their instant in the order.
func (c *conn) Reply(r *broker.Request, v broker.View) {
	inv := r.Tag.(*invocation)
	w := &c.srv.encoder.response
	*w = response{conn: c, inv: inv, view: v, buf: c.begin()}
	w.run()
	if inv.long == nil {
		c.reply(w.buf)
	} else if inv.long.reply = append(inv.long.reply, w.buf...); inv.isLast() {
		c.reply(inv.long.reply)
	}
	*w = response{} // it must not keep the reply, nor the connection, alive
}

// replyErr answers a command with an error.
func (c *conn) replyErr(inv *invocation, err *protocol.Error) {
	c.srv.stats.rejected(inv.row, err)
	c.reply(appendErr(c.begin(), inv, err))
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
func (c *conn) Deliver(m *broker.Message, s *broker.Subscription) (over bool) {
	if c.srv.memory.ExceededOnCore {
		c.srv.evictLargest()
	}
	if c.executor.closing {
		c.outbox.Discard(accountOf(s), len(m.Payloads))
		return false
	}
	over = c.overLimit()
	a, last := accountOf(s), m.Sequence+uint64(len(m.Payloads))-1
	e := outbox.FrameInfo{Account: a, Count: int32(len(m.Payloads)), LastSeq: last, Format: c.format(s.Form)} //nolint:gosec // of one run
	policy := c.outbox.Policy()
	if over && policy != outbox.Disconnect && c.outbox.HasGapRoom() { // or the notes alone are too much
		if over = false; policy == outbox.DropNewest || c.inExec() { // what a transaction holds back cannot be cut yet
			e.Kind = outbox.KindMissed
			a.LastSeq, a.LastLostSeq = last, last
			c.deliver(outbox.Fragment{}, e)
			return false
		}
	}
	if over { // what waits for it is lost with it: encoding one more for each pattern took 9.7 s once
		a.LastSeq = last
		c.outbox.Discard(a, len(m.Payloads))
		return true
	}
	frames := c.srv.encoder.encode(e.Format, m, s, a.PreviousSeq(e.Format))
	a.LastSeq = last
	c.deliver(frames, e)
	if policy == outbox.DropOldest && int64(c.executor.messageBytes) > c.outbox.Limit && !c.inExec() {
		c.Flush() // the outbox cuts what is too much: a round must not pile up more than that
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
func (c *conn) deliver(frames outbox.Fragment, e outbox.FrameInfo) {
	if !c.inExec() {
		c.queueMessages(frames, e)
		return
	}
	c.executor.txn.holdDelivery(frames, e)
}

// queueMessages is queue for messages, which count against the limit.
func (c *conn) queueMessages(frames outbox.Fragment, e outbox.FrameInfo) {
	if size := frames.Size(); size > 0 {
		c.executor.lastMessageBytes = size
		c.executor.messageBytes += size
	}
	c.queue(frames, e)
}

// overLimit tells whether more messages wait than may.
func (c *conn) overLimit() bool { return c.outbox.IsOver(c.pendingBytes()) }

// pendingBytes is how many bytes of messages have yet to reach the outbox: a flush hands over those of the round, but not what
// a transaction holds back.
func (c *conn) pendingBytes() int64 {
	n := c.executor.messageBytes
	if m := c.executor.txn; m != nil {
		n += m.heldBytes
	}
	return int64(n)
}

// format is how this connection reads messages of a form.
func (c *conn) format(form broker.Form) outbox.Format {
	f := outbox.FormatRESP2
	switch {
	case form == formLine && c.executor.crlf:
		f = outbox.FormatCRLF
	case form == formLine:
		f = outbox.FormatLF
	case c.executor.version == protocol.RESP3:
		f = outbox.FormatRESP3
	}
	if c.executor.wantsSeq {
		return f.WithSeq()
	}
	return f
}

// begin lends room for a reply; reply queues it.
func (c *conn) begin() []byte { return c.srv.encoder.begin(512) }

func (c *conn) reply(frame []byte) {
	if !c.executor.replyMode.off && !c.executor.replyMode.skip {
		c.push(frame)
	}
}

// push queues what CLIENT REPLY does not silence: confirmations, which clients wait for.
func (c *conn) push(frame []byte) {
	if len(frame) > 0 {
		c.queue(c.srv.encoder.replies.commit(frame), outbox.FrameInfo{Kind: outbox.KindReplies})
	}
}

// queue appends to what the next flush hands over.
func (c *conn) queue(s outbox.Fragment, e outbox.FrameInfo) {
	if c.executor.unflushed == nil {
		c.executor.unflushed = outbox.NewUnflushed()
	}
	c.executor.unflushed.Add(s, e)
}

// Applied takes a batch back.
func (c *conn) Applied(b *broker.Batch) {
	switch note := b.Tag.(type) {
	case *batch:
		c.executor.batchesApplied++
		c.srv.stats.end(c)
		c.srv.encoder.dropOversized()
		if n := len(b.Requests); n > 0 && b.Requests[n-1].Unfinished && CloseReason(c.reason.Load()) == CloseReasonNone {
			c.resubmitLater(b.Requests[n-1].Tag.(*invocation))
		}
		c.usage.batches.Add(-note.charged)
		c.srv.memory.Charge(-note.charged)
		note.release()
	case leaveApplied:
		close(note)
	}
}

// Flush hands over what was queued, under one lock and with one wake-up for all of it.
func (c *conn) Flush() {
	e := &c.executor
	c.srv.stats.end(c) // of a batch that the core puts off
	if e.batchesApplied > 0 {
		c.window.applied(e.batchesApplied)
	}
	if e.unflushed != nil {
		if c.outbox.Add(e.unflushed, e.lastMessageBytes) {
			c.startWriter()
		}
		e.unflushed.Recycle()
	}
	e.unflushed, e.messageBytes, e.lastMessageBytes, e.batchesApplied = nil, 0, 0, 0
}

func (c *conn) startWriter() {
	c.writing.Add(1)
	go c.write()
}

// Ended is the core's last word: it will queue nothing more.
func (c *conn) Ended(e broker.EndReason, evict any) {
	c.srv.encoder.removeMonitor(c)
	c.endMulti()
	if e == broker.Evicted {
		c.executor.closing = true // names that are still to be left reach it no more
		c.executor.evicted = true
		c.srv.counts.clients.Add(-1)
		reason, asked := evict.(CloseReason)
		if !asked {
			reason = CloseReasonSlowHard
		}
		c.end(reason)
		if !c.outbox.IsEvicted() { // see expel
			c.sendCloseNotice(reason)
		}
	}
	c.Flush() // now: leave is about to wait for the writer that this may start
}

// sendCloseNotice queues the close notice. A slow connection loses what waits; whoever else must go gets it first.
func (c *conn) sendCloseNotice(reason CloseReason) {
	switch reason {
	case CloseReasonKilled:
	case CloseReasonAuthTimeout, CloseReasonPermissionRevoked, CloseReasonToken:
		c.push(c.closeNotice(reason))
	default:
		if c.outbox.Evict(c.sock, c.closeNotice(reason)) {
			c.startWriter()
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
func (c *conn) closeNotice(reason CloseReason) []byte {
	text := c.srv.options.closeNoticeText(reason)
	if !c.executor.speaksLines && reason == CloseReasonAuthTimeout {
		return protocol.AppendError(nil, protocol.Errorf("%s", text))
	}
	if !c.executor.speaksLines && c.executor.version == protocol.RESP2 {
		return nil
	}
	if !c.executor.speaksLines { // a push of a kind of its own; unknown kinds are safe in RESP3
		b := c.executor.version.AppendHeader(nil, protocol.Push, 3)
		b = protocol.AppendBulkString(protocol.AppendBulkString(b, "closing"), reason.String())
		return protocol.AppendBulkString(b, text)
	}
	return protocol.AppendLineEnd(protocol.AppendLineError(nil, protocol.Errorf("%s", text)), c.executor.crlf)
}
