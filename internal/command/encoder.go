package command

import (
	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/outbox"
	"github.com/conchmq/conch/protocol"
)

// encoder encodes what the core sends: each message once for each format that has a receiver, however many
// receive it. It belongs to the core's goroutine.
type encoder struct {
	messages     [outbox.FormatCount]encoded
	patterns     [outbox.FormatCount]encoded
	hasOversized bool     // there is one that should not be kept
	escaped      struct { // how long the last large message is in a line
		sequence uint64
		length   int
	}
	reusedSeq uint64 // the first message of the run whose frames are sent from where they were read
	memory    *outbox.MemoryLimit
	replies   arena
}

// encoded is the last message, or run of messages, in one format.
type encoded struct {
	arena       arena
	sequence    uint64 // of the first message
	messages    int
	pattern     string // for a pmessage, what it matched
	previousSeq uint64 // for a numbered one: see subscriptionAccount.previousSeq
	frames      outbox.Fragment
}

// arena is a buffer that frames are appended to. Frames for one kind of receiver lie side by side in it, so that a
// series of them reaches each subscriber as one fragment.
type arena struct {
	buf *outbox.Buffer
	at  int
}

// begin lends room to append about size bytes of frames to.
func (a *arena) begin(m *outbox.MemoryLimit, size int) []byte {
	if a.buf == nil || len(a.buf.Bytes)-a.at < size {
		a.release(m)
		a.buf, a.at = outbox.NewBuffer(nil, size), 0
		if m != nil {
			m.CheckOnCore()
		}
	}
	return a.buf.Bytes[a.at:a.at]
}

// release gives the buffer to those who hold frames in it. From here on it is counted as what clients hold.
func (a *arena) release(m *outbox.MemoryLimit) {
	if a.buf != nil {
		a.buf.ChargeTo(m)
		a.buf.Release()
		a.buf = nil
	}
}

// begin lends room for a reply.
func (e *encoder) begin(size int) []byte { return e.replies.begin(e.memory, size) }

// commit keeps frames that were appended to what begin lent. Those that were made elsewhere, by append for want of room
// or by somebody who did not ask, stay where they are.
func (a *arena) commit(frames []byte) outbox.Fragment {
	if a.buf == nil || a.at == len(a.buf.Bytes) || len(frames) == 0 || &frames[0] != &a.buf.Bytes[a.at] {
		return outbox.Fragment{Bytes: frames}
	}
	a.at += len(frames)
	return outbox.Fragment{Bytes: frames, Buf: a.buf}
}

// encode returns m as the subscription's connection reads it. Frames of a run go on as they came in (see
// [protocol.Run]), where they lie, if they fill a good part of what was read, or if one subscriber alone gets them. They
// can be there in one version of RESP only, that of the first receiver.
func (e *encoder) encode(f outbox.Format, m *broker.Message, s *broker.Subscription, previousSeq uint64) outbox.Fragment {
	last, pattern := &e.messages[f], ""
	if !f.IsLine() && s.Kind() == broker.Pattern { // a line does not say by what pattern it came
		last, pattern = &e.patterns[f], s.Name()
	}
	if last.sequence == m.Sequence && last.messages == len(m.Payloads) && last.pattern == pattern && last.previousSeq == previousSeq {
		return last.frames
	}
	last.sequence, last.messages, last.pattern, last.previousSeq = m.Sequence, len(m.Payloads), pattern, previousSeq
	inv, reusable := m.Tag.(*invocation)
	reusable = reusable && last == &e.messages[f] && f <= outbox.FormatRESP3 && // not by its pattern, which may be empty
		inv.run.Frames != nil && len(inv.run.Payloads) == len(m.Payloads)
	switch {
	case reusable && e.reusedSeq != m.Sequence && (m.Receivers == 1 || inv.buf.WorthPinning(len(inv.run.Frames))):
		e.reusedSeq = m.Sequence
		inv.run.SetVersion(f.Version())
		last.frames = outbox.Fragment{Bytes: inv.run.Frames, Buf: inv.buf}
	case isLarge(m): // a frame of the other version, around the payload where it is
		e.hasOversized = true
		last.frames = e.encodeLarge(f, m, s, previousSeq)
	case reusable: // all receivers share one copy
		last.frames = last.arena.commit(inv.run.AppendFrames(last.arena.begin(e.memory, len(inv.run.Frames)), f.Version()))
	default:
		last.frames = last.arena.commit(appendFrames(last.arena.begin(e.memory, encodedSize(f, m, pattern)), f, m, s, previousSeq))
		e.hasOversized = e.hasOversized || last.frames.Buf == nil || !last.frames.Buf.IsPooled()
	}
	return last.frames
}

// appendFrames encodes m anew.
func appendFrames(b []byte, f outbox.Format, m *broker.Message, s *broker.Subscription, previousSeq uint64) []byte {
	switch {
	case f.HasSeq():
		return appendWithSeq(b, f, m, s, previousSeq)
	case f.IsLine():
		return protocol.AppendUpdates(b, m.Topic, m.Payloads, f.IsCRLF())
	}
	for _, payload := range m.Payloads {
		b = appendMessage(b, f.Version(), m.Topic, payload, s)
	}
	return b
}

// encodedSize is about what m takes; escapes are rare, and append grows if there are many.
func encodedSize(f outbox.Format, m *broker.Message, pattern string) int {
	size := 0
	for _, payload := range m.Payloads {
		size += len(payload)
	}
	frame := len("*4\r\n$8\r\npmessage\r\n$\r\n\r\n$\r\n\r\n$\r\n\r\n") + 3*4 + len(pattern) + len(m.Topic)
	if f.HasSeq() {
		frame += 2 * len(":18446744073709551615\r\n")
	}
	return size + len(m.Payloads)*frame
}

// dropOversized drops large frames once their batch is done, so that an idle server does not keep the last ones.
func (e *encoder) dropOversized() {
	if !e.hasOversized {
		return
	}
	e.hasOversized = false
	for f := range outbox.FormatCount {
		e.messages[f].dropOversized(e.memory)
		e.patterns[f].dropOversized(e.memory)
	}
}

func (e *encoded) dropOversized(m *outbox.MemoryLimit) {
	e.frames, e.sequence = outbox.Fragment{}, 0
	if e.arena.buf != nil && !e.arena.buf.IsPooled() {
		e.arena.release(m)
	}
}

func appendMessage(b []byte, v protocol.Version, topic, payload []byte, s *broker.Subscription) []byte {
	switch s.Kind() {
	case broker.Shard:
		return v.AppendMessage(b, "smessage", topic, payload)
	case broker.Pattern:
		return v.AppendPatternMessage(b, s.Name(), topic, payload)
	}
	return v.AppendMessage(b, "message", topic, payload)
}
