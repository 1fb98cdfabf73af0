package command

import (
	"bytes"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/outbox"
	"github.com/conchmq/conch/protocol"
)

// Published implements [broker.Conn]: it replies to a publish, or to several in a row.
func (e *executor) Published(r *broker.Request, messages int, m *broker.Message) {
	inv, first, receivers := r.Tag.(*invocation), m.Sequence, m.Receivers
	e.service.times.note(first, e.service.stats.startedAt)
	if !m.Named {
		e.service.unnamed.note(r.Kind, m.Topic, first+uint64(messages)-1, e.id) //nolint:gosec // a count
	}
	e.holdFor(m.Barrier)
	if inv.dialect == protocol.Object {
		e.reply(e.appendPublished(receivers, first))
		return
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
	// All replies of a run are equal: the receivers are those of each message.
	for one := len(b); messages > 1; messages-- {
		b = append(b, b[:one]...)
	}
	e.reply(b)
}

// Subscribed implements [broker.Conn]: it confirms one name.
func (e *executor) Subscribed(r *broker.Request, name []byte, count int) {
	e.chargeSubscription(name)
	inv := r.Tag.(*invocation)
	switch {
	case inv.dialect == protocol.Object:
		e.reply(e.appendConfirmed("subscribed", name))
	case inv.row.Syntax == protocol.ArgsInline:
		e.push(e.version.AppendConfirmation(e.begin(), inv.row.FullName(), name, count))
	default:
		e.confirmVerb(inv, name, e.isLastOf(inv, r))
	}
	if e.confirming != nil && len(e.confirming.names) == 0 { // a verb over RESP has one confirmation for all
		e.reportUnknown()
	}
}

// Unsubscribed implements [broker.Conn]: it confirms one name.
func (e *executor) Unsubscribed(r *broker.Request, name []byte, count int) {
	e.chargeSubscription(name)
	e.noteLeft()
	inv := r.Tag.(*invocation)
	if inv.dialect == protocol.Object {
		e.reply(e.appendConfirmed("unsubscribed", name))
		return
	}
	if inv.row.Syntax == protocol.ArgsInline {
		e.push(e.version.AppendConfirmation(e.begin(), inv.row.FullName(), name, count))
		return
	}
	last := e.isLastOf(inv, r)
	if len(r.Names) == 0 {
		// All names were meant: the last one leaves none of its kind.
		last = e.sub.CountKind(r.Form, r.Kind) == 0
	}
	e.confirmVerb(inv, name, last)
}

// isLastOf reports whether the current name is the last one of a verb over RESP.
func (e *executor) isLastOf(inv *invocation, r *broker.Request) bool {
	if inv.long != nil {
		return e.numConfirmed()+1 == inv.long.names
	}
	return e.numConfirmed()+1 == len(r.Names)
}

// numConfirmed is how many names of a verb over RESP are confirmed.
func (e *executor) numConfirmed() int {
	if e.confirming == nil {
		return 0
	}
	return len(e.confirming.names)
}

// confirm returns the state of the command whose names are being confirmed.
func (e *executor) confirm() *confirming {
	if e.confirming == nil {
		e.confirming = new(confirming)
	}
	return e.confirming
}

// confirmVerb confirms a name of SUB and its like: with one line per name, or over RESP with
// one simple string for all.
func (e *executor) confirmVerb(inv *invocation, name []byte, last bool) {
	if inv.dialect == protocol.Line {
		names := [][]byte{name}
		if name == nil {
			names = nil
		}
		e.reply(appendVerb(e.begin(), inv, names))
		return
	}
	if name != nil {
		if inv.long != nil {
			// The buffer of the piece is about to be released.
			name = bytes.Clone(name)
		}
		e.confirm().names = append(e.confirm().names, name)
	}
	if last {
		e.reply(appendVerb(e.begin(), inv, e.confirm().names))
		if e.confirming.names = nil; len(e.confirming.unknown) == 0 {
			e.confirming = nil
		}
	}
}

// appendVerb appends OK, the verb and its names: a line, or a simple string over RESP.
func appendVerb(b []byte, inv *invocation, names [][]byte) []byte {
	if inv.dialect == protocol.Line {
		return protocol.AppendLineEnd(protocol.AppendLineOK(b, inv.row.Name, names...), inv.crlf)
	}
	return append(protocol.AppendLineOK(append(b, '+'), inv.row.Name, names...), "\r\n"...)
}

// Reply implements [broker.Conn]: it runs a command that is no operation of the core, at its
// instant of the order.
func (e *executor) Reply(r *broker.Request, v broker.View) {
	inv := r.Tag.(*invocation)
	if inv.handler == takeHandler {
		e.takeCursors(inv, v)
		return
	}
	w, s := &e.service.response, &e.service.streams
	*w = response{executor: e, inv: inv, view: v, buf: e.begin(), judgements: r.Judgements}
	w.run()
	usesState := inv.handler.keys != usesNone || w.setsState
	r.Unfinished = inv.long.isSearching()
	if usesState && !w.refused {
		s.hold(e)
	}
	if w.blocked { // the reply comes later
	} else if w.fill != nil {
		w.finishFill()
	} else if inv.long == nil {
		e.reply(w.buf)
	} else if inv.long.reply = append(inv.long.reply, w.buf...); inv.isLast() {
		e.reply(inv.long.reply)
		for _, frame := range w.more {
			e.reply(frame)
		}
	}
	if w.live.sequence != 0 {
		w.deliverEntry()
	}
	*w = response{} // it must keep neither the reply nor the connection alive
	if usesState && s.store != nil {
		s.endCommand(v)
	}
}

// replyErr replies to a command with an error, and counts it.
func (e *executor) replyErr(inv *invocation, err *protocol.Error) {
	e.service.stats.rejected(inv.row, err)
	e.reply(appendErr(e.begin(), inv, err))
}

// appendErr appends an error in the dialect of its command. A fatal error has one form in both
// dialects.
func appendErr(b []byte, inv *invocation, err *protocol.Error) []byte {
	if inv.dialect == protocol.Line && !err.Fatal {
		b = protocol.AppendLineEnd(protocol.AppendLineError(b, err), inv.crlf)
		return protocol.AppendHints(b, err, inv.crlf)
	}
	return protocol.AppendError(b, err)
}

// begin returns room for a reply, which reply or push queues afterwards.
func (e *executor) begin() []byte { return e.service.encoder.begin(512) }

// reply queues a reply, unless CLIENT REPLY suppresses it.
func (e *executor) reply(frame []byte) {
	if !e.replyMode.off && !e.replyMode.skip {
		e.push(frame)
	}
}

// push queues what CLIENT REPLY does not suppress: confirmations, which clients wait for, and
// close notices.
func (e *executor) push(frame []byte) {
	if e.isPresented() {
		frame = e.present(frame)
	}
	e.pushFrame(frame)
}

// pushFrame queues a frame as it is.
func (e *executor) pushFrame(frame []byte) {
	if len(frame) > 0 {
		e.queued().Add(e.service.encoder.replies.commit(frame), outbox.FrameInfo{Kind: outbox.KindReplies})
	}
}
