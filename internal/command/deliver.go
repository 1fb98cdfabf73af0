package command

import (
	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/outbox"
	"github.com/conchmq/conch/protocol"
)

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

// queue appends to what the next flush hands over.
func (e *executor) queue(s outbox.Fragment, info outbox.FrameInfo) {
	if e.unflushed == nil {
		e.unflushed = outbox.NewUnflushed()
	}
	e.unflushed.Add(s, info)
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
