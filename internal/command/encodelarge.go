package command

import (
	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/outbox"
	"github.com/conchmq/conch/protocol"
)

// isLarge reports whether the payload of a message is sent from where it was read, without a
// copy. Runs are never large: see Batch.findRun.
func isLarge(m *broker.Message) bool {
	return len(m.Payloads) == 1 && len(m.Payloads[0]) >= outbox.LargePayload
}

// encodeLarge encodes a large message in one format. The frame keeps the read buffer alive
// until it is written.
func (e *encoder) encodeLarge(f outbox.Format, m *broker.Message, s *broker.Subscription, previousSeq uint64) outbox.Fragment {
	payload := m.Payloads[0]
	frame := &outbox.LargeFrame{Payload: payload}
	if inv, ok := m.Tag.(*invocation); ok {
		frame.Buf = inv.buf
	}
	n := len(payload)
	if f.IsLine() {
		seq := m.Sequence
		if !f.HasSeq() {
			seq = 0
		}
		n = e.escapedLen(m)
		frame.Escaped = n != len(payload)
		frame.Head, frame.Tail = protocol.AppendUpdateHeader(nil, m.Topic, seq), protocol.AppendLineEnd(nil, f.IsCRLF())
	} else {
		frame.Head, frame.Tail = respFrame(f, m, s, previousSeq)
	}
	frame.Size = len(frame.Head) + n + len(frame.Tail)
	return outbox.Fragment{Large: frame}
}

// escapedLen is the length of the payload in a line. It is computed once for a message: 16 MiB
// take some 10 ms.
func (e *encoder) escapedLen(m *broker.Message) int {
	if e.escaped.sequence != m.Sequence {
		e.escaped.sequence, e.escaped.length = m.Sequence, protocol.EscapedLen(m.Payloads[0])
	}
	return e.escaped.length
}

// respFrame returns the bytes before and after the payload of a message in RESP.
func respFrame(f outbox.Format, m *broker.Message, s *broker.Subscription, previousSeq uint64) (head, tail []byte) {
	v, kind, pattern := f.Version(), "message", ""
	switch s.Kind() {
	case broker.Shard:
		kind = "smessage"
	case broker.Pattern:
		kind, pattern = "pmessage", s.Name()
	}
	elements := 3
	if kind == "pmessage" {
		elements++
	}
	if f.HasSeq() {
		elements += 2
		tail = protocol.AppendSeqs([]byte("\r\n"), m.Sequence, previousSeq)
	} else {
		tail = []byte("\r\n")
	}
	head = protocol.AppendBulkString(v.AppendHeader(nil, protocol.Push, elements), kind)
	if kind == "pmessage" {
		head = protocol.AppendBulkString(head, pattern)
	}
	head = protocol.AppendBulk(head, m.Topic)
	return protocol.AppendBulkHeader(head, len(m.Payloads[0])), tail
}
