package command

import (
	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/outbox"
	"github.com/conchmq/conch/protocol"
)

// transaction holds the commands since MULTI. It belongs to the core's goroutine, like the
// executor.
type transaction struct {
	queued []broker.Request
	// bytes is about the memory of the queued commands. buffered is the part in buffers, which
	// charge themselves.
	bytes    int
	buffered int
	// charged is the other part, in the sum of all connections.
	charged int
	// largeReplies counts the commands with large replies or much work.
	largeReplies int
	// aborted means that a command was refused: EXEC refuses them all.
	aborted bool
	inExec  bool
	// watched are the keys of WATCH, in the order of all nodes.
	watched []keyVersion
	// spent is the part of execBudget that is used up.
	spent int
	// messages are those that the transaction sends to its own connection. They follow its
	// reply.
	messages []heldDelivery
	// heldBytes is the size of messages.
	heldBytes int
	// missed is the index in messages of each account's current gap: see holdDelivery.
	missed map[*outbox.Account]int
}

// inExec reports whether the connection's EXEC is running.
func (e *executor) inExec() bool { return e.txn != nil && e.txn.inExec }

// abortTxn makes EXEC fail, if there is a transaction: half of one must not run. A refused EXEC
// ends the transaction. It returns the error to reply with.
func (e *executor) abortTxn(inv *invocation, why *protocol.Error) *protocol.Error {
	if inv.row != nil && inv.row.Name == "EXEC" {
		e.endMulti()
		return protocol.ErrExecAbort(why)
	}
	if e.txn != nil {
		e.txn.aborted = true
	}
	return why
}

// admitQueued admits a command of a running EXEC. It was checked when it was queued; rules and
// limits may have changed since.
//
// Redis refuses SSUBSCRIBE here, though not its siblings; so does conch.
func (e *executor) admitQueued(r *broker.Request, inv *invocation) bool {
	switch {
	case e.isReplica && !inv.ordered: // it was of a connection that is gone
		return false
	case inv.ordered:
		return e.admitOrdered(r, inv)
	case e.rejectsUnordered(inv):
		return false
	}
	if e.closing {
		e.replyErr(inv, errClosing)
		return false
	}
	if err := e.authorizeQueued(inv); err != nil {
		e.replyErr(inv, err)
		return false
	}
	e.feedMonitors(r, inv)
	switch {
	case inv.row.Name == "SSUBSCRIBE":
		e.replyErr(inv, protocol.Errorf("SSUBSCRIBE isn't allowed for a DENY BLOCKING client"))
		return false
	case r.Op == broker.Subscribe && e.overMaxSubscriptions(r):
		e.replyErr(inv, e.errTooManySubscriptions())
		return false
	}
	if err := e.durableError(r); err != nil {
		e.replyErr(inv, err)
		return false
	}
	e.service.stats.called(inv.row, 1)
	return true
}

// errClosing is the reply to the rest of a transaction after a command in it that cost the
// connection its rights.
var errClosing = &protocol.Error{Code: protocol.CodeNoPerm, Text: "connection is closing: this command did not run"}

const (
	// queuedOverhead is about the memory of one queued command besides its arguments.
	queuedOverhead = 256
	// maxLargeReplies bounds one transaction: it runs in one instant, while other connections
	// wait.
	maxLargeReplies = 16
)

// enqueue queues a request. Its bytes are copied: the read buffer goes back to the reader.
func (e *executor) enqueue(r *broker.Request) {
	m, inv := e.txn, new(*r.Tag.(*invocation))
	inv.own(&e.service.memory, m)
	if inv.row.LargeReply || inv.row.Costly {
		m.largeReplies++
	}
	// EXEC will fail now, so the command is not kept.
	if m.largeReplies > maxLargeReplies {
		m.aborted = true
		inv.buf.Release()
		e.replyErr(inv, protocol.Errorf("more than %d commands with large replies or much work in one transaction", maxLargeReplies))
		return
	}
	// A transaction may take as much memory as one command.
	if limit := e.service.options.Limits.Command; m.bytes > limit {
		inv.buf.Release()
		m.release()
		m.aborted = true
		e.replyErr(inv, protocol.Errorf("transaction is larger than %d bytes (--max-command)", limit))
		return
	}
	e.chargeQueued(m, m.bytes, m.bytes-m.buffered)
	if m.aborted {
		inv.buf.Release()
	} else {
		m.queued = append(m.queued, inv.queuedRequest(r))
	}
	e.reply(append(e.begin(), "+QUEUED\r\n"...))
}

// own copies the arguments for the transaction. Large ones get a counted buffer, which messages
// made of them share.
func (inv *invocation) own(memory *outbox.MemoryLimit, m *transaction) {
	size := 0
	for _, arg := range inv.args {
		size += len(arg)
	}
	room, args := make([]byte, size), inv.args
	inv.args, inv.run, inv.buf, inv.read = make([][]byte, len(args)), protocol.Run{}, nil, nil
	m.bytes += queuedOverhead + size + 32*len(args)
	// Messages of it are sent without a copy.
	if size >= outbox.LargePayload {
		inv.buf = outbox.WrapBuffer(memory, room)
		m.buffered += size
	}
	at := 0
	for i, arg := range args {
		end := at + copy(room[at:], arg)
		inv.args[i] = room[at:end:end]
		at = end
	}
	inv.add = inv.add.own(inv.args)
}

// chargeQueued sets what the connection has queued, and what of it does not charge itself.
func (e *executor) chargeQueued(m *transaction, all, charged int) {
	e.usage.queued.Store(int64(all))
	e.service.memory.Charge(int64(charged - m.charged))
	m.charged = charged
}

// queuedRequest is r with the transaction's own arguments. Verdicts are evaluated again at
// EXEC.
func (inv *invocation) queuedRequest(r *broker.Request) broker.Request {
	own := *r
	own.Tag, own.Names = inv, inv.topics()
	if r.Op == broker.Publish {
		own.Payloads = inv.args[2:3]
	}
	return own
}

// release drops what was queued.
func (m *transaction) release() {
	for i := range m.queued {
		m.queued[i].Tag.(*invocation).buf.Release()
	}
	m.queued, m.messages = nil, nil
}

// BeginExec implements [broker.Transactor]: it replies with the header of the replies to come,
// or with an error.
func (e *executor) BeginExec(r *broker.Request, v broker.View) []broker.Request {
	if inv := r.Tag.(*invocation); inv.txn != nil {
		e.txn, inv.txn = inv.txn, nil
	}
	m, s := e.txn, &e.service.streams
	if len(e.watchedKeys()) > 0 {
		s.beginRound(v) // what is due by now has changed
	}
	switch {
	case m == nil:
		e.fail(r, protocol.Errorf("EXEC without MULTI"))
		return nil
	case m.aborted:
		e.endMulti()
		e.fail(r, &protocol.Error{Code: protocol.CodeExecAbort, Text: "Transaction discarded because of previous errors."})
		return nil
	case e.watchedChanged(), s.haveChanged(m.watched):
		e.endMulti()
		e.reply(e.version.AppendNullArray(e.begin()))
		return nil
	}
	e.reply(protocol.AppendArray(e.begin(), len(m.queued)))
	// The core calls EndExec only if there are commands.
	m.inExec = len(m.queued) > 0
	if s.inExec = m.inExec; !m.inExec {
		e.endMulti()
	}
	return m.queued
}

// fail replies with an error to an EXEC that was admitted, and has nothing to run.
func (e *executor) fail(r *broker.Request, err *protocol.Error) {
	answer := protocol.AppendError(e.begin(), err)
	e.service.stats.failed(r.Tag.(*invocation).row, answer, protocol.RESP)
	e.reply(answer)
}

// EndExec implements [broker.Transactor]: the messages of the transaction to its own connection
// follow its replies.
func (e *executor) EndExec(_ *broker.Request, v broker.View) {
	e.service.streams.inExec = false
	e.service.streams.endCommand(v)
	messages := e.txn.messages
	e.txn.messages = nil
	e.endMulti()
	for _, d := range messages {
		if size := d.frames.Size(); size > 0 {
			e.lastMessageBytes = size
			e.messageBytes += size
		}
		e.queued().Add(d.frames, d.entry)
		d.frames.Release()
	}
}

// heldDelivery is encoded messages with their account.
type heldDelivery struct {
	frames outbox.Fragment
	entry  outbox.FrameInfo
}

// holdDelivery keeps messages until the end of EXEC. Consecutive losses of a subscription
// become one: a transaction may cause millions.
func (m *transaction) holdDelivery(frames outbox.Fragment, e outbox.FrameInfo) {
	if e.Kind != outbox.KindMissed {
		m.missed = nil
	} else if i, ok := m.missed[e.Account]; ok {
		m.messages[i].entry.Merge(&e)
		return
	} else {
		if m.missed == nil {
			m.missed = make(map[*outbox.Account]int)
		}
		m.missed[e.Account] = len(m.messages)
	}
	frames.Retain()
	m.heldBytes += frames.Size()
	m.messages = append(m.messages, heldDelivery{frames, e})
}

// multi is MULTI.
func multi(w *response) {
	if w.executor.txn != nil {
		w.fail(protocol.Errorf("MULTI calls can not be nested"))
		return
	}
	w.executor.txn = new(transaction)
	w.ok()
}

// discard is DISCARD.
func discard(w *response) {
	if w.executor.txn == nil {
		w.fail(protocol.Errorf("DISCARD without MULTI"))
		return
	}
	w.executor.endMulti()
	w.ok()
}

// endMulti drops the transaction, if there is one, and releases its buffers.
func (e *executor) endMulti() {
	if m := e.txn; m != nil {
		for i := range m.messages {
			m.messages[i].frames.Release()
		}
		m.release()
		e.chargeQueued(m, 0, 0)
	}
	e.txn = nil
	e.unwatchAll()
}
