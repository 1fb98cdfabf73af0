package server

import "sync"

// span is frames that lie side by side in memory, on their way into an outbox.
type span struct {
	bytes   []byte
	in      *buffer
	entries int // that say what they are
}

// post is what the core has queued for one connection since the last flush. It belongs to the core's goroutine.
type post struct {
	spans   []span
	entries []entry // of all spans, in order
}

// posts go round: a connection has one while something is queued for it.
var posts = sync.Pool{New: func() any { return new(post) }}

// add appends frames, and what they are. Frames that lie side by side become one span.
func (p *post) add(s span, e entry) {
	e.bytes = len(s.bytes)
	spans, entries := len(p.spans), len(p.entries)
	var last *span
	if spans > 0 {
		last = &p.spans[spans-1]
	}
	missed := last != nil && len(last.bytes) == 0 && e.kind == kindMissed
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
	s.in.hold()
	s.entries = 1
	p.spans, p.entries = append(p.spans, s), append(p.entries, e)
}

// recycle gives back a post whose spans are with an outbox.
func (p *post) recycle() {
	if cap(p.spans)+cap(p.entries) > keepEntries {
		return
	}
	clear(p.spans)
	clear(p.entries)
	p.spans, p.entries = p.spans[:0], p.entries[:0]
	posts.Put(p)
}
