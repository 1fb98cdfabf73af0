package command

import (
	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/outbox"
	"github.com/conchmq/conch/protocol"
)

// encoder encodes each message once per format in use, however many subscribers receive it. It
// belongs to the core's goroutine.
type encoder struct {
	// messages and patterns hold the last encoding in each format. patterns holds frames of
	// pmessage, which also contain a pattern.
	messages [outbox.FormatCount]encoded
	patterns [outbox.FormatCount]encoded
	// hasOversized is set while an encoding is too large to keep after its batch.
	hasOversized bool
	// payloads are those of the last large messages: see encodedPayload.
	payloads [outbox.FormatCount]encodedPayload
	// epoch never changes.
	epoch string
	// reusedSeq is the sequence number of the last run whose frames are sent from the read
	// buffer.
	reusedSeq uint64
	memory    *outbox.MemoryLimit
	// replies is the room in which replies are built.
	replies arena
}

// encoded is the last message, or run of messages, in one format.
type encoded struct {
	arena       arena
	sequence    uint64 // of the first message
	messages    int
	pattern     string // of a pmessage: the pattern that matched
	previousSeq uint64 // of a frame with sequence numbers: see [outbox.Account.PreviousSeq]
	frames      outbox.Fragment
}

// arena is a buffer that frames are appended to. Frames for one kind of receiver lie side by
// side, so that a series of them reaches each subscriber as one fragment.
type arena struct {
	buf *outbox.Buffer
	at  int
}

// begin returns room to append about size bytes of frames.
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

// release drops the arena's reference to its buffer. From here on, the buffer is charged to the
// clients with frames in it.
func (a *arena) release(m *outbox.MemoryLimit) {
	if a.buf != nil {
		a.buf.ChargeTo(m)
		a.buf.Release()
		a.buf = nil
	}
}

// begin returns room for a reply.
func (e *encoder) begin(size int) []byte { return e.replies.begin(e.memory, size) }

// commit takes the frames that were appended to the room of begin. Frames outside of it stay
// where they are: append has moved them, or they were built elsewhere.
func (a *arena) commit(frames []byte) outbox.Fragment {
	if a.buf == nil || a.at == len(a.buf.Bytes) || len(frames) == 0 || &frames[0] != &a.buf.Bytes[a.at] {
		return outbox.Fragment{Bytes: frames}
	}
	a.at += len(frames)
	return outbox.Fragment{Bytes: frames, Buf: a.buf}
}

// encode returns m in the format of the subscription's connection.
//
// Frames of a run are sent on from where they were read, if they fill a good part of the read
// buffer: see [protocol.Run]. A single receiver gets them so in any case.
//
// They exist in one version of RESP only, that of the first receiver. The other version is a
// copy.
func (e *encoder) encode(f outbox.Format, m *broker.Message, s *broker.Subscription, previousSeq uint64) outbox.Fragment {
	last, pattern := &e.messages[f], ""
	if f.HasPattern() && s.Kind() == broker.Pattern {
		last, pattern = &e.patterns[f], s.Name()
	}
	// Encoded before, for an earlier subscriber.
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
	case isLarge(m): // a frame of the other version, around the payload where it lies
		e.hasOversized = true
		last.frames = e.encodeLarge(f, m, s, previousSeq)
	case reusable: // all receivers share one copy
		last.frames = last.arena.commit(inv.run.AppendFrames(last.arena.begin(e.memory, len(inv.run.Frames)), f.Version()))
	default:
		last.frames = last.arena.commit(appendFrames(last.arena.begin(e.memory, encodedSize(f, m, pattern)), f, e.epoch, m, s, previousSeq))
		e.hasOversized = e.hasOversized || last.frames.Buf == nil || !last.frames.Buf.IsPooled()
	}
	return last.frames
}

// appendFrames encodes m anew.
func appendFrames(b []byte, f outbox.Format, epoch string, m *broker.Message, s *broker.Subscription, previousSeq uint64) []byte {
	switch {
	case f.IsPresented():
		return appendPresented(b, f, epoch, m, s)
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

// encodedSize is about the size of m. Escapes are rare, and append grows if there are many.
func encodedSize(f outbox.Format, m *broker.Message, pattern string) int {
	size := 0
	for _, payload := range m.Payloads {
		size += len(payload)
	}
	frame := len("*4\r\n$8\r\npmessage\r\n$\r\n\r\n$\r\n\r\n$\r\n\r\n") + 3*4 + len(pattern) + len(m.Topic)
	switch {
	case f.IsPresented():
		frame += presentedOverhead
		size += size / 3 // of base64
	case f.HasSeq():
		frame += 2 * len(":18446744073709551615\r\n")
	}
	return size + len(m.Payloads)*frame
}

// dropOversized drops large encodings once their batch is applied: an idle server must not keep
// them.
func (e *encoder) dropOversized() {
	if !e.hasOversized {
		return
	}
	e.hasOversized = false
	for f := range outbox.FormatCount {
		e.messages[f].dropOversized(e.memory)
		e.patterns[f].dropOversized(e.memory)
		e.payloads[f] = encodedPayload{}
	}
}

// dropOversized drops the frames, and the buffer if it is too large for the pool.
func (e *encoded) dropOversized(m *outbox.MemoryLimit) {
	e.frames, e.sequence = outbox.Fragment{}, 0
	if e.arena.buf != nil && !e.arena.buf.IsPooled() {
		e.arena.release(m)
	}
}

// appendMessage appends a message without a sequence number.
func appendMessage(b []byte, v protocol.Version, topic, payload []byte, s *broker.Subscription) []byte {
	switch s.Kind() {
	case broker.Shard:
		return v.AppendMessage(b, "smessage", topic, payload)
	case broker.Pattern:
		return v.AppendPatternMessage(b, s.Name(), topic, payload)
	}
	return v.AppendMessage(b, "message", topic, payload)
}
