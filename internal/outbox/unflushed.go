package outbox

import "sync"

// Fragment is adjacent frames in one buffer, or one large frame, on their way into an outbox.
type Fragment struct {
	Bytes   []byte
	Buf     *Buffer
	Large   *LargeFrame // instead of bytes
	place   *Mark       // instead of bytes: see place.go
	entries int         // number of entries in Unflushed that describe it
}

// Size is the number of bytes on the wire.
func (s *Fragment) Size() int {
	if s.Large != nil {
		return s.Large.Size
	}
	return len(s.Bytes)
}

// Retain holds the buffers of the fragment.
func (s *Fragment) Retain() {
	s.Buf.Retain()
	if s.Large != nil {
		s.Large.Buf.Retain()
	}
}

// Release ends that hold.
func (s *Fragment) Release() {
	s.Buf.Release()
	if s.Large != nil {
		s.Large.Buf.Release()
	}
}

// Unflushed collects the frames for one connection since the last flush. The core owns it.
//
// It exists to save locks: a round of the core takes the mutex of an outbox once, however many messages it
// queues.
type Unflushed struct {
	fragments []Fragment
	entries   []FrameInfo // of all fragments, in order: Fragment.entries each
	// barrier is the number of a record, 0 for none. The fragments from held on wait for it.
	barrier uint64
	held    int
	// stamps are the numbers of messages whose position is kept: see track.go.
	stamps []stamp
}

// maxPooledFragments bounds the capacity of a pooled Unflushed.
const maxPooledFragments = 4096

// unflushedPool keeps them for reuse: a connection has one only while frames are queued for it.
var unflushedPool = sync.Pool{New: func() any { return new(Unflushed) }}

// NewUnflushed returns an empty one.
func NewUnflushed() *Unflushed { return unflushedPool.Get().(*Unflushed) }

// Add appends frames and their description. Frames that are adjacent in memory join one fragment, which then
// costs one chunk instead of many. Each fragment holds its buffers once.
func (p *Unflushed) Add(s Fragment, e FrameInfo) {
	e.bytes = s.Size()
	spans, entries := len(p.fragments), len(p.entries)
	var last *Fragment
	if spans > 0 && (p.barrier == 0 || spans > p.held) && p.fragments[spans-1].place == nil {
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

// Recycle pools it after the outbox has taken its fragments. A pooled one must not keep buffers or accounts
// alive.
func (p *Unflushed) Recycle() {
	if cap(p.fragments)+cap(p.entries)+cap(p.stamps) > maxPooledFragments {
		return
	}
	clear(p.fragments)
	clear(p.entries)
	clear(p.stamps)
	*p = Unflushed{fragments: p.fragments[:0], entries: p.entries[:0], stamps: p.stamps[:0]}
	unflushedPool.Put(p)
}

// Discard releases the frames, and keeps the memory for others.
func (p *Unflushed) Discard() {
	for i := range p.fragments {
		p.fragments[i].Release()
	}
	clear(p.fragments)
	clear(p.stamps)
	*p = Unflushed{fragments: p.fragments[:0], entries: p.entries[:0], stamps: p.stamps[:0]}
}

// IsEmpty reports whether there are no frames.
func (p *Unflushed) IsEmpty() bool { return len(p.fragments) == 0 }

// contiguous reports whether b follows a in the same memory.
func contiguous(a, b []byte) bool {
	n := len(a)
	return cap(a) > n && len(b) > 0 && &a[:n+1][n] == &b[0]
}
