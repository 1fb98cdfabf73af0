package server

import "sync"

// span is frames that lie side by side in memory, or one large frame, on their way into an outbox.
type span struct {
	bytes   []byte
	in      *buffer
	large   *largeFrame // instead of bytes
	entries int         // that say what they are
}

// size is how many bytes the span is on the wire.
func (s *span) size() int {
	if s.large != nil {
		return s.large.size
	}
	return len(s.bytes)
}

// hold and release are for what the span lies in.
func (s *span) hold() {
	s.in.hold()
	if s.large != nil {
		s.large.in.hold()
	}
}

func (s *span) release() {
	s.in.release()
	if s.large != nil {
		s.large.in.release()
	}
}

// post is what the core has queued for one connection since the last flush. It belongs to the core's goroutine.
type post struct {
	spans   []span
	entries []entry // of all spans, in order
}

// keepSpans bounds what a pooled post keeps room for.
const keepSpans = 4096

// posts go round: a connection has one while something is queued for it.
var posts = sync.Pool{New: func() any { return new(post) }}

// add appends frames, and what they are. Frames that lie side by side become one span.
func (p *post) add(s span, e entry) {
	e.bytes = s.size()
	spans, entries := len(p.spans), len(p.entries)
	var last *span
	if spans > 0 {
		last = &p.spans[spans-1]
	}
	missed := last != nil && last.size() == 0 && e.kind == kindMissed
	if joins := last != nil && adjacent(last.bytes, s.bytes); joins || missed {
		last.bytes = last.bytes[:len(last.bytes)+len(s.bytes)]
		if before := &p.entries[entries-1]; before.follows(&e) {
			before.extend(&e)
			return
		}
		last.entries++
		p.entries = append(p.entries, e)
		return
	}
	s.hold()
	s.entries = 1
	p.spans, p.entries = append(p.spans, s), append(p.entries, e)
}

// recycle gives back a post whose spans are with an outbox.
func (p *post) recycle() {
	if cap(p.spans)+cap(p.entries) > keepSpans {
		return
	}
	clear(p.spans)
	clear(p.entries)
	p.spans, p.entries = p.spans[:0], p.entries[:0]
	posts.Put(p)
}
