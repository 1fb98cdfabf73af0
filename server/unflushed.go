package server

import "sync"

// fragment is frames that lie side by side in memory, or one large frame, on their way into an outbox.
type fragment struct {
	bytes   []byte
	buf     *buffer
	large   *largeFrame // instead of bytes
	entries int         // that say what they are
}

// size is how many bytes the fragment is on the wire.
func (s *fragment) size() int {
	if s.large != nil {
		return s.large.size
	}
	return len(s.bytes)
}

// retain and release are for what the fragment lies in.
func (s *fragment) retain() {
	s.buf.retain()
	if s.large != nil {
		s.large.buf.retain()
	}
}

func (s *fragment) release() {
	s.buf.release()
	if s.large != nil {
		s.large.buf.release()
	}
}

// unflushedFrames is what the core has queued for one connection since the last flush. It belongs to the core's goroutine.
type unflushedFrames struct {
	fragments []fragment
	entries   []frameInfo // of all fragments, in order
}

// maxPooledFragments bounds what a pooled unflushedFrames keeps room for.
const maxPooledFragments = 4096

// unflushedPool keeps what is reused: a connection has one while something is queued for it.
var unflushedPool = sync.Pool{New: func() any { return new(unflushedFrames) }}

func newUnflushed() *unflushedFrames { return unflushedPool.Get().(*unflushedFrames) }

// add appends frames, and what they are. Frames that lie side by side become one fragment.
func (p *unflushedFrames) add(s fragment, e frameInfo) {
	e.bytes = s.size()
	spans, entries := len(p.fragments), len(p.entries)
	var last *fragment
	if spans > 0 {
		last = &p.fragments[spans-1]
	}
	missed := last != nil && last.size() == 0 && e.kind == kindMissed
	if joins := last != nil && contiguous(last.bytes, s.bytes); joins || missed {
		last.bytes = last.bytes[:len(last.bytes)+len(s.bytes)]
		if before := &p.entries[entries-1]; before.mergeable(&e) {
			before.merge(&e)
			return
		}
		last.entries++
		p.entries = append(p.entries, e)
		return
	}
	s.retain()
	s.entries = 1
	p.fragments, p.entries = append(p.fragments, s), append(p.entries, e)
}

// recycle gives back an unflushedFrames whose fragments are with an outbox.
func (p *unflushedFrames) recycle() {
	if cap(p.fragments)+cap(p.entries) > maxPooledFragments {
		return
	}
	clear(p.fragments)
	clear(p.entries)
	p.fragments, p.entries = p.fragments[:0], p.entries[:0]
	unflushedPool.Put(p)
}

// contiguous tells whether b lies right behind a in the same memory.
func contiguous(a, b []byte) bool {
	n := len(a)
	return cap(a) > n && len(b) > 0 && &a[:n+1][n] == &b[0]
}
