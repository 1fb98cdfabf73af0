package outbox

import (
	"sync"
	"sync/atomic"

	"github.com/conchmq/conch/internal/invariant"
)

// Buffer is reusable memory with a reference count. A reader or the core fills it once; the writers of all
// connections that share it read it. Each holder releases it, and the last release returns it to its pool.
//
// The count pays because garbage collection is not free. Without it, 16 KiB would be found, cleared and
// allocated anew for every 150 messages of 64 bytes.
//
// A nil Buffer stands for rare, large memory that the garbage collector frees.
type Buffer struct {
	Bytes []byte
	refs  atomic.Int32
	// pool takes the buffer back. nil: the garbage collector frees it.
	pool *Pool
	// memory counts the buffer once, from its first holder to its last, however many share it. nil in tests.
	memory *MemoryLimit
}

// Pool keeps buffers of one size for reuse.
type Pool struct {
	BufferSize int
	free       sync.Pool
}

var (
	// SmallBuffers are the first of an outbox: most outboxes hold one message for a moment.
	SmallBuffers = Pool{BufferSize: 1 << 10}
	// PageBuffers are the second: with 16 KiB, 1,000 subscribers with ten messages each took 10 MiB more.
	PageBuffers = Pool{BufferSize: 4 << 10}
	// MediumBuffers are the usual read buffers: a read of 64 pipelined publishes of 64 bytes is 7 KiB.
	MediumBuffers = Pool{BufferSize: 16 << 10}
	// LargeBuffers are for connections with reads that fill a medium one.
	LargeBuffers = Pool{BufferSize: 64 << 10}
)

// Get returns a buffer that the caller holds. Its bytes are stale: the pool does not clear them.
func (p *Pool) Get(m *MemoryLimit) *Buffer {
	b, _ := p.free.Get().(*Buffer)
	if b == nil {
		b = &Buffer{Bytes: make([]byte, p.BufferSize), pool: p}
	}
	b.refs.Store(1)
	return b.ChargeTo(m)
}

// NewBuffer returns a buffer of at least size bytes, which the caller holds. It is pooled up to the size of a
// large one.
func NewBuffer(m *MemoryLimit, size int) *Buffer {
	switch {
	case size <= MediumBuffers.BufferSize:
		return MediumBuffers.Get(m)
	case size <= LargeBuffers.BufferSize:
		return LargeBuffers.Get(m)
	}
	return WrapBuffer(m, make([]byte, size))
}

// WrapBuffer makes a buffer of existing bytes. Its last release leaves them to the garbage collector.
func WrapBuffer(m *MemoryLimit, bytes []byte) *Buffer {
	b := &Buffer{Bytes: bytes}
	b.refs.Store(1)
	return b.ChargeTo(m)
}

// ChargeTo counts the buffer in m until its last holder releases it. The caller must hold it, and no other limit
// may count it yet.
func (b *Buffer) ChargeTo(m *MemoryLimit) *Buffer {
	b.memory = m
	m.Charge(int64(len(b.Bytes)))
	return b
}

// IsPooled reports whether the last release returns the buffer to a pool.
func (b *Buffer) IsPooled() bool { return b.pool != nil }

// Size is the number of bytes of the buffer, 0 for a nil one.
func (b *Buffer) Size() int64 {
	if b == nil {
		return 0
	}
	return int64(len(b.Bytes))
}

// Retain adds a holder. Only a holder may call it: a released buffer may be in use elsewhere.
func (b *Buffer) Retain() {
	if b != nil {
		b.refs.Add(1)
	}
}

// Release ends one holder's use of the bytes. Under the race detector the last release overwrites them, so that
// a late reader shows.
func (b *Buffer) Release() {
	if b == nil {
		return
	}
	left := b.refs.Add(-1)
	invariant.Check(left >= 0, "a buffer is released more often than held")
	if left > 0 {
		return
	}
	b.memory.Charge(-int64(len(b.Bytes)))
	invariant.Scribble(b.Bytes)
	if b.pool != nil {
		b.pool.free.Put(b)
	}
}

// WorthPinning reports whether n bytes are enough of the buffer to hold all of it for them. A subscriber that
// does not read then pins at most four times the bytes that its limit counts.
func (b *Buffer) WorthPinning(n int) bool { return 4*n >= len(b.Bytes) }
