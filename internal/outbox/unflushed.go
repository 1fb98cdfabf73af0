package outbox

import "sync"

// fragment is frames that lie side by side in memory, or one large frame, on their way into an outbox.
type Fragment struct {
	Bytes   []byte
	Buf     *Buffer
	Large   *LargeFrame // instead of bytes
	entries int         // that say what they are
}

// size is how many bytes the fragment is on the wire.
func (s *Fragment) Size() int {
	if s.Large != nil {
		return s.Large.Size
	}
	return len(s.Bytes)
}

// retain and release are for what the fragment lies in.
func (s *Fragment) Retain() {
	s.Buf.Retain()
	if s.Large != nil {
		s.Large.Buf.Retain()
	}
}

func (s *Fragment) Release() {
	s.Buf.Release()
	if s.Large != nil {
		s.Large.Buf.Release()
	}
}

// unflushedFrames is what the core has queued for one connection since the last flush. It belongs to the core's goroutine.
type Unflushed struct {
	fragments []Fragment
	entries   []FrameInfo // of all fragments, in order
}

// maxPooledFragments bounds what a pooled unflushedFrames keeps room for.
const maxPooledFragments = 4096

// unflushedPool keeps what is reused: a connection has one while something is queued for it.
var unflushedPool = sync.Pool{New: func() any { return new(Unflushed) }}

func NewUnflushed() *Unflushed { return unflushedPool.Get().(*Unflushed) }

// add appends frames, and what they are. Frames that lie side by side become one fragment.
func (p *Unflushed) Add(s Fragment, e FrameInfo) {
	e.bytes = s.Size()
	spans, entries := len(p.fragments), len(p.entries)
	var last *Fragment
	if spans > 0 {
		last = &p.fragments[spans-1]
	}
	missed := last != nil && last.Size() == 0 && e.Kind == KindMissed
	if joins := last != nil && contiguous(last.Bytes, s.Bytes); joins || missed {
		last.Bytes = last.Bytes[:len(last.Bytes)+len(s.Bytes)]
		if before := &p.entries[entries-1]; before.mergeable(&e) {
			before.Merge(&e)
			return
		}
		last.entries++
		p.entries = append(p.entries, e)
		return
	}
	s.Retain()
	s.entries = 1
	p.fragments, p.entries = append(p.fragments, s), append(p.entries, e)
}

// recycle gives back an unflushedFrames whose fragments are with an outbox.
func (p *Unflushed) Recycle() {
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
