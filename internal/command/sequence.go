package command

import (
	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/outbox"
	"github.com/conchmq/conch/protocol"
)

// appendWithSeq appends a message, or a run, with sequence numbers. No message comes between
// those of a run: each one's previous number is that of the one before.
func appendWithSeq(b []byte, f outbox.Format, m *broker.Message, s *broker.Subscription, previousSeq uint64) []byte {
	if f.IsLine() {
		return protocol.AppendSeqUpdates(b, m.Topic, m.Payloads, f.IsCRLF(), m.Sequence)
	}
	seq := m.Sequence
	for _, payload := range m.Payloads {
		switch s.Kind() {
		case broker.Pattern:
			b = protocol.AppendSeqPatternMessage(b, s.Name(), m.Topic, payload, seq, previousSeq)
		case broker.Shard:
			b = protocol.AppendSeqMessage(b, "smessage", m.Topic, payload, seq, previousSeq)
		default:
			b = protocol.AppendSeqMessage(b, "message", m.Topic, payload, seq, previousSeq)
		}
		previousSeq, seq = seq, seq+1
	}
	return b
}

// repliesWithSeq reports whether the reply to a publish carries its sequence number. RESP2
// clients cannot parse it.
func (e *executor) repliesWithSeq(inv *invocation) bool {
	return e.wantsSeq && (inv.dialect == protocol.Line || e.version == protocol.RESP3)
}

// appendSeqReplies appends the replies to consecutive publishes.
func (e *executor) appendSeqReplies(inv *invocation, messages int, first uint64, receivers int) []byte {
	b := e.service.encoder.begin(max(512, messages*(len(inv.args[1])+48)))
	var room [24]byte
	for i := range messages {
		seq := first + uint64(i) //nolint:gosec // an index
		if inv.row.Syntax == protocol.ArgsInline {
			b = protocol.AppendSeqReply(b, receivers, seq)
		} else {
			b = appendVerb(b, inv, [][]byte{inv.args[1], protocol.AppendSeq(room[:0], seq)})
		}
	}
	return b
}
