package command

import (
	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/outbox"
	"github.com/conchmq/conch/protocol"
)

// isLarge reports whether the payload of a message is sent from where it was read, without a
// copy; large headers make it so, too. Runs are never large: see Batch.findRun.
func isLarge(m *broker.Message) bool {
	return len(m.Payloads) == 1 && (len(m.Payloads[0]) >= outbox.LargePayload || hasLargeHeaders(m))
}

// encodeLarge encodes a large message in one format. The frame keeps the read buffer alive
// until it is written.
func (e *encoder) encodeLarge(f outbox.Format, m *broker.Message, s *broker.Subscription, previousSeq uint64) outbox.Fragment {
	frame := newLargeFrame(f, e.epoch, m, s, previousSeq, e.encodedPayload(f, m))
	if inv, ok := m.Tag.(*invocation); ok {
		frame.Buf = inv.buf
	}
	return outbox.Fragment{Large: frame}
}

// newLargeFrame makes the frame of a large message.
func newLargeFrame(f outbox.Format, epoch string, m *broker.Message, s *broker.Subscription, previousSeq uint64, x encodedPayload) *outbox.LargeFrame {
	frame := &outbox.LargeFrame{Payload: m.Payloads[0], Encoding: x.encoding}
	switch {
	case f.IsPresented():
		frame.Head, frame.Tail = presentedFrame(f, epoch, m, s, x)
	case f.IsLine():
		seq := m.Sequence
		if !f.HasSeq() {
			seq = 0
		}
		frame.Head, frame.Tail = protocol.AppendUpdateHeader(nil, m.Topic, seq), protocol.AppendLineEnd(nil, f.IsCRLF())
	default:
		frame.Head, frame.Tail = respFrame(f, m, s, previousSeq)
	}
	frame.Size = len(frame.Head) + x.length + len(frame.Tail)
	return frame
}

// encodedPayload is how the payload of a large message stands in frames of a format.
type encodedPayload struct {
	sequence uint64
	encoding protocol.Encoding
	length   int
	tail     []byte // of frames with large headers; nil for all others
}

// encodedPayload is computed once for a message and format, however many patterns there are: 16
// MiB take some 10 ms.
func (e *encoder) encodedPayload(f outbox.Format, m *broker.Message) encodedPayload {
	if f.IsLine() {
		f = outbox.FormatLF // all lines have the same payload
	}
	x := &e.payloads[f]
	if x.sequence != m.Sequence {
		*x = encodePayload(f, m)
		if h := headersIn(f, m); len(h) >= outbox.LargePayload {
			x.tail = appendPresentedTail(nil, f, e.epoch, m.Sequence, h)
		}
	}
	return *x
}

// encodePayload finds out how the payload of a large message is encoded.
func encodePayload(f outbox.Format, m *broker.Message) encodedPayload {
	payload := m.Payloads[0]
	x := encodedPayload{sequence: m.Sequence, encoding: protocol.Verbatim, length: len(payload)}
	switch {
	case f.IsLine():
		x.encoding = protocol.LineEscaped
	case f.IsPresented():
		x.encoding = presentedEncoding(f, payload)
	}
	x.length = x.encoding.Len(payload)
	if x.length == len(payload) { // nothing is escaped
		x.encoding = protocol.Verbatim
	}
	return x
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
