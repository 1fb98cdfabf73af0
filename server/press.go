package server

import (
	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/protocol"
)

// arenaSize is how much memory the core takes at a time to encode into. Frames for one kind of receiver lie side by
// side in it, so that a run of them reaches each subscriber as one span. Four times shareAt: a span that is shared pins
// at most four times its own length, and the outbox's count of bytes stays honest to that factor.
const arenaSize = 4 * shareAt

// press encodes what the core says: each message once for each way of writing it that has a receiver, however many
// receive it. It belongs to the core's goroutine.
type press struct {
	messages [ways]impression
	patterns [ways]impression
	large    bool // there is one that should not be kept
	replies  arena
	exchange exchange // of the command being answered; here so that answering does not allocate
	monitors []*conn  // who watches all commands, in the order in which they asked to
}

// way is a way of writing a message.
type way uint8

// The ways.
const (
	wayRESP2 way = iota
	wayRESP3
	wayLF
	wayCRLF
	ways
)

// impression is the last message in one way of writing.
type impression struct {
	arena    arena
	sequence uint64 // of the message
	pattern  string // for a pmessage, what it matched
	frame    []byte
}

// arena is memory that frames are appended to. It is never reused: whoever got a frame may keep it, and the garbage
// collector frees the arena with the last of them. (Counting references pays only for much larger frames.)
type arena struct{ free []byte }

// begin lends room to append one frame to, for about size bytes. Large frames get an array of their own.
func (a *arena) begin(size int) []byte {
	if size >= shareAt {
		return make([]byte, 0, size)
	}
	if cap(a.free) < size {
		a.free = make([]byte, 0, arenaSize)
	}
	return a.free
}

// commit keeps a frame that was appended to what begin lent.
func (a *arena) commit(frame []byte) []byte {
	if len(frame) > 0 && cap(a.free) > 0 && &frame[0] == &a.free[:1][0] {
		a.free = frame[len(frame):]
	}
	return frame
}

// message returns m as the subscription's conn reads it.
func (p *press) message(w way, m *broker.Message, s *broker.Subscription) []byte {
	p.large = p.large || len(m.Payload) > arenaSize
	if w >= wayLF || s.Kind() != broker.Pattern { // a line does not say by what pattern it came
		im := &p.messages[w]
		if im.sequence != m.Sequence {
			im.sequence = m.Sequence
			b := im.arena.begin(2*len(m.Topic) + len(m.Payload) + 64) // escapes are rare: append grows if there are many
			im.frame = im.arena.commit(appendMessage(b, w, m, s.Kind()))
		}
		return im.frame
	}
	im := &p.patterns[w]
	if im.sequence != m.Sequence || im.pattern != s.Name() {
		im.sequence, im.pattern = m.Sequence, s.Name()
		b := im.arena.begin(len(im.pattern) + len(m.Topic) + len(m.Payload) + 80)
		im.frame = im.arena.commit(version(w).AppendPatternMessage(b, im.pattern, m.Topic, m.Payload))
	}
	return im.frame
}

// forget drops large frames once their batch is done, so that an idle server does not keep the last ones.
func (p *press) forget() {
	if !p.large {
		return
	}
	p.large = false
	for w := range ways {
		p.messages[w].frame, p.messages[w].sequence = nil, 0
		p.patterns[w].frame, p.patterns[w].sequence = nil, 0
	}
}

func appendMessage(b []byte, w way, m *broker.Message, k broker.Kind) []byte {
	switch {
	case w >= wayLF:
		return protocol.AppendLineEnd(protocol.AppendUpdate(b, m.Topic, m.Payload), w == wayCRLF)
	case k == broker.Shard:
		return version(w).AppendMessage(b, "smessage", m.Topic, m.Payload)
	}
	return version(w).AppendMessage(b, "message", m.Topic, m.Payload)
}

// version is the RESP version of a way that is not a line.
func version(w way) protocol.Version {
	if w == wayRESP3 {
		return protocol.RESP3
	}
	return protocol.RESP2
}

// adjacent tells whether b lies right behind a in the same memory.
func adjacent(a, b []byte) bool {
	n := len(a)
	return cap(a) > n && len(b) > 0 && &a[:n+1][n] == &b[0]
}
