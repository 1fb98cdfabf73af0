package command

import (
	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/outbox"
	"github.com/conchmq/conch/protocol"
)

// Deliver queues one message for one subscription. The limit is held against what waited before: an outbox under it
// takes one more message, however large, and a subscriber that reads gets it. What a transaction sends to its own
// connection is held back: it comes after the reply, as in Redis 7.2.
func (e *executor) Deliver(m *broker.Message, s *broker.Subscription) (over bool) {
	if e.service.memory.OverOnCore {
		e.service.evictLargest()
	}
	a, last := accountOf(s), m.Sequence+uint64(len(m.Payloads))-1
	info := outbox.FrameInfo{Account: a, Count: int32(len(m.Payloads)), LastSeq: last, Format: e.format(s.Form)} //nolint:gosec // of one run
	if e.closing || e.overLimit() {
		if lost, evict := e.overflow(&info); lost {
			return evict
		}
	}
	frames := e.service.encoder.encode(info.Format, m, s, a.PreviousSeq(info.Format))
	a.LastSeq = last
	if e.inExec() {
		e.txn.holdDelivery(frames, info)
		return false
	}
	e.lastMessageBytes = frames.Size()
	e.messageBytes += e.lastMessageBytes
	e.queued().Add(frames, info)
	if int64(e.messageBytes) > e.outbox.Limit && e.outbox.Policy() == outbox.DropOldest {
		e.Flush() // the outbox cuts what is too much: a round must not pile up more than that
	}
	return false
}

// overflow applies the policy for slow consumers to messages that come while too many wait. They are not lost under
// drop-oldest: older ones are, when they are flushed. Losses have a limit too, over which no policy helps.
func (e *executor) overflow(info *outbox.FrameInfo) (lost, evict bool) {
	a, policy := info.Account, e.outbox.Policy()
	switch {
	case e.closing:
	case policy == outbox.Disconnect || !e.outbox.HasGapRoom():
		evict = true // what waits is lost with it: encoding one more for each pattern took 9.7 s once
	case policy == outbox.DropNewest || e.inExec(): // what a transaction holds back cannot be cut yet
		info.Kind = outbox.KindMissed
		a.LastSeq, a.LastLostSeq = info.LastSeq, info.LastSeq
		if e.inExec() {
			e.txn.holdDelivery(outbox.Fragment{}, *info)
		} else {
			e.queued().Add(outbox.Fragment{}, *info)
		}
		return true, false
	default:
		return false, false
	}
	if !e.closing {
		a.LastSeq = info.LastSeq
	}
	e.outbox.Discard(a, int(info.Count))
	return true, evict
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

// queued is what the next flush hands over.
func (e *executor) queued() *outbox.Unflushed {
	if e.unflushed == nil {
		e.unflushed = outbox.NewUnflushed()
	}
	return e.unflushed
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
