package command

import (
	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/outbox"
	"github.com/conchmq/conch/protocol"
)

// Deliver implements [broker.Conn]: it queues messages for one subscription.
//
// The limit applies to what waited before. An outbox below it takes one more message, however
// large, and a subscriber that reads gets it.
//
// Messages of a transaction to its own connection are held back: they follow its replies, as in
// Redis 7.2.
func (e *executor) Deliver(m *broker.Message, s *broker.Subscription) (over bool) {
	if e.service.memory.OverOnCore {
		e.service.evictLargest()
	}
	a, last := accountOf(s), m.Sequence+uint64(len(m.Payloads))-1
	info := outbox.FrameInfo{Account: a, Count: int32(len(m.Payloads)), Format: e.format(s.Form)} //nolint:gosec // of one run
	if e.closing {
		// Evicted: what comes until it has left its names is lost.
		e.outbox.Discard(a, int(info.Count))
		return false
	}
	e.holdFor(m.Barrier)
	if e.overLimit() {
		if lost, evict := e.overflow(&info, last); lost {
			return evict
		}
	}
	if a.Track != nil {
		e.queued().Stamp(a.Track, m.Sequence, len(m.Payloads))
	}
	frames := e.service.encoder.encode(info.Format, m, s, a.PreviousSeq(info.Format))
	a.LastSeq, a.LostLast = last, false
	if e.inExec() {
		e.txn.holdDelivery(frames, info)
		return false
	}
	e.lastMessageBytes = frames.Size()
	e.messageBytes += e.lastMessageBytes
	e.queued().Add(frames, info)
	if int64(e.messageBytes) > e.outbox.Limit && e.outbox.Policy() == outbox.DropOldest {
		e.Flush() // the outbox drops the excess: a round must not pile up more
	}
	return false
}

// overflow applies the slow consumer policy to messages that come while too many wait.
//
// Under drop-oldest they are not lost: older ones are, at the flush. Gaps have a limit too,
// above which no policy helps.
func (e *executor) overflow(info *outbox.FrameInfo, lastSeq uint64) (lost, evict bool) {
	a, policy := info.Account, e.outbox.Policy()
	switch {
	case policy == outbox.Disconnect || !e.outbox.HasGapRoom():
		a.LastSeq = lastSeq
		e.outbox.Discard(a, int(info.Count))
		return true, true // what waits is lost as well: encoding one more for each pattern took 9.7 s once
	case policy == outbox.DropNewest || e.inExec(): // messages held back for EXEC cannot be dropped yet
		info.Kind = outbox.KindMissed
		a.LastSeq, a.LostLast = lastSeq, true
		if e.inExec() {
			e.txn.holdDelivery(outbox.Fragment{}, *info)
		} else {
			e.queued().Add(outbox.Fragment{}, *info)
		}
		return true, false
	}
	return false, false
}

// accountOf returns the account of a subscription, and opens it at the first message: an idle
// subscription has none.
func accountOf(s *broker.Subscription) *outbox.Account {
	if a, ok := s.Data.(*outbox.Account); ok {
		return a
	}
	a := outbox.NewAccount(s.Name())
	s.Data = a
	return a
}

// queued holds the frames for the next flush.
func (e *executor) queued() *outbox.Unflushed {
	if e.unflushed == nil {
		e.unflushed = outbox.NewUnflushed()
	}
	return e.unflushed
}

// overLimit reports whether more bytes of messages wait than SlowHard.
func (e *executor) overLimit() bool { return e.outbox.IsOver(e.pendingBytes()) }

// pendingBytes counts the bytes of messages that have yet to reach the outbox: those of the
// current round, and those that a transaction holds back.
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
	case e.isPresented():
		return e.presentation
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
