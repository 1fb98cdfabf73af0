package server

import (
	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/protocol"
)

// press encodes what the core says: each message once for each way of writing it that has a receiver, however many
// receive it. It belongs to the core's goroutine.
type press struct {
	messages [ways]impression
	patterns [ways]impression
	large    bool     // there is one that should not be kept
	shown    struct { // how long the last large message is in a line
		sequence uint64
		length   int
	}
	forwarded uint64 // the first message of the run whose frames are sent from where they were read
	memory    *memory
	replies   arena
	exchange  exchange // of the command being answered; here so that answering does not allocate
	monitors  []*conn  // who watches all commands, in the order in which they asked to
}

// way is a way of writing a message.
type way uint8

// The ways.
const (
	wayRESP2 way = iota
	wayRESP3
	wayNumberedRESP3
	wayLF // this one and what follows are lines
	wayCRLF
	wayNumberedLF
	wayNumberedCRLF
	ways
)

func (w way) line() bool     { return w >= wayLF }
func (w way) crlf() bool     { return w == wayCRLF || w == wayNumberedCRLF }
func (w way) numbered() bool { return w >= wayNumberedLF || w == wayNumberedRESP3 }

// impression is the last message, or run of messages, in one way of writing.
type impression struct {
	arena    arena
	sequence uint64 // of the first message
	messages int
	pattern  string // for a pmessage, what it matched
	previous uint64 // for a numbered one: see subscriptionAccount.previous
	span     fragment
}

// arena is a buffer that frames are appended to. Frames for one kind of receiver lie side by side in it, so that a
// series of them reaches each subscriber as one fragment.
type arena struct {
	in *buffer
	at int
}

// begin lends room to append about size bytes of frames to.
func (a *arena) begin(m *memory, size int) []byte {
	if a.in == nil || len(a.in.bytes)-a.at < size {
		a.leave(m)
		a.in, a.at = newBuffer(nil, size), 0
		if m != nil {
			m.core = m.core || m.over()
		}
	}
	return a.in.bytes[a.at:a.at]
}

// leave gives the buffer to those who hold frames in it. From here on it is counted as what clients hold.
func (a *arena) leave(m *memory) {
	if a.in != nil {
		a.in.chargeTo(m)
		a.in.release()
		a.in = nil
	}
}

// begin lends room for a reply.
func (p *press) begin(size int) []byte { return p.replies.begin(p.memory, size) }

// commit keeps frames that were appended to what begin lent. Those that were made elsewhere, by append for want of room
// or by somebody who did not ask, stay where they are.
func (a *arena) commit(frames []byte) fragment {
	if a.in == nil || a.at == len(a.in.bytes) || len(frames) == 0 || &frames[0] != &a.in.bytes[a.at] {
		return fragment{bytes: frames}
	}
	a.at += len(frames)
	return fragment{bytes: frames, buf: a.in}
}

// message returns m as the subscription's conn reads it.
func (p *press) message(w way, m *broker.Message, s *broker.Subscription, previous uint64) fragment {
	im, pattern := &p.messages[w], ""
	if !w.line() && s.Kind() == broker.Pattern { // a line does not say by what pattern it came
		im, pattern = &p.patterns[w], s.Name()
	}
	if im.sequence == m.Sequence && im.messages == len(m.Payloads) && im.pattern == pattern && im.previous == previous {
		return im.span
	}
	im.sequence, im.messages, im.pattern, im.previous = m.Sequence, len(m.Payloads), pattern, previous
	if im == &p.messages[w] && w <= wayRESP3 { // not by its pattern, which may be empty
		if im.span = p.forward(w, m, &im.arena); im.span.bytes != nil {
			return im.span
		}
	}
	if isLarge(m) {
		p.large = true
		im.span = p.largeMessage(w, m, s, previous)
		return im.span
	}
	b := im.arena.begin(p.memory, sizeOf(w, m, pattern))
	switch {
	case w.numbered():
		b = appendNumbered(b, w, m, s, previous)
	case w.line():
		b = protocol.AppendUpdates(b, m.Topic, m.Payloads, w.crlf())
	default:
		for _, payload := range m.Payloads {
			b = appendMessage(b, version(w), m.Topic, payload, s)
		}
	}
	im.span = im.arena.commit(b)
	p.large = p.large || im.span.buf == nil || im.span.buf.pool == nil
	return im.span
}

// sizeOf is about what m takes; escapes are rare, and append grows if there are many.
func sizeOf(w way, m *broker.Message, pattern string) int {
	size := 0
	for _, payload := range m.Payloads {
		size += len(payload)
	}
	frame := len("*4\r\n$8\r\npmessage\r\n$\r\n\r\n$\r\n\r\n$\r\n\r\n") + 3*4 + len(pattern) + len(m.Topic)
	if w.numbered() {
		frame += 2 * len(":18446744073709551615\r\n")
	}
	return size + len(m.Payloads)*frame
}

// forward sends frames on as they came in: see protocol.Run. If they fill a good part of what was read, or if there is
// only one to get them, they stay where they are; else all receivers share one copy. They can be there in one version
// of RESP only, that of the first who asks; the other one is a copy.
func (p *press) forward(w way, m *broker.Message, a *arena) fragment {
	k, ok := m.Tag.(*call)
	if !ok || k.run.Frames == nil || len(k.run.Payloads) != len(m.Payloads) {
		return fragment{}
	}
	if p.forwarded != m.Sequence && (m.Receivers == 1 || k.in.worthPinning(len(k.run.Frames))) {
		p.forwarded = m.Sequence
		k.run.SetVersion(version(w))
		return fragment{bytes: k.run.Frames, buf: k.in}
	}
	if isLarge(m) {
		return fragment{} // a frame of the other version, around the payload where it is
	}
	return a.commit(k.run.AppendFrames(a.begin(p.memory, len(k.run.Frames)), version(w)))
}

// forget drops large frames once their batch is done, so that an idle server does not keep the last ones.
func (p *press) forget() {
	if !p.large {
		return
	}
	p.large = false
	for w := range ways {
		p.messages[w].forget(p.memory)
		p.patterns[w].forget(p.memory)
	}
}

func (im *impression) forget(m *memory) {
	im.span, im.sequence = fragment{}, 0
	if im.arena.in != nil && im.arena.in.pool == nil {
		im.arena.leave(m)
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

// version is the RESP version of a way that is not a line.
func version(w way) protocol.Version {
	if w == wayRESP2 {
		return protocol.RESP2
	}
	return protocol.RESP3
}

// adjacent tells whether b lies right behind a in the same memory.
func adjacent(a, b []byte) bool {
	n := len(a)
	return cap(a) > n && len(b) > 0 && &a[:n+1][n] == &b[0]
}
