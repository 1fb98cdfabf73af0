package server

import (
	"sync"
	"sync/atomic"

	"github.com/conchmq/conch/internal/invariant"
)

// buffer is memory that goes round: filled by one, then read by the writers of all connections that get a part of it.
// Whoever holds it releases it, and the last one gives it back to its pool. It is counted because the garbage collector
// is not free: it would have to find, clear and hand out 16 KiB anew for every 150 messages of 64 bytes.
//
// A nil buffer stands for memory that is left to the garbage collector: what is rare and large.
type buffer struct {
	bytes  []byte
	refs   atomic.Int32
	pool   *pool        // nil: not to be used again
	memory *memoryLimit // that counts it, from its first holder to its last, however many share it; nil in tests
}

// pool keeps buffers of one size.
type pool struct {
	size int
	free sync.Pool
}

var (
	smallBuffers  = pool{size: 1 << 10}  // an outbox starts with one: most hold one message for a moment
	mediumBuffers = pool{size: 16 << 10} // a read of 64 pipelined publishes of 64 bytes is 7 KiB
	largeBuffers  = pool{size: 64 << 10} // for connections whose reads fill a medium one
)

// get returns a buffer that the caller holds. Its bytes are whatever they were.
func (p *pool) get(m *memoryLimit) *buffer {
	b, _ := p.free.Get().(*buffer)
	if b == nil {
		b = &buffer{bytes: make([]byte, p.size), pool: p}
	}
	b.refs.Store(1)
	return b.chargeTo(m)
}

// newBuffer returns a buffer for at least size bytes.
func newBuffer(m *memoryLimit, size int) *buffer {
	switch {
	case size <= mediumBuffers.size:
		return mediumBuffers.get(m)
	case size <= largeBuffers.size:
		return largeBuffers.get(m)
	}
	return wrapBuffer(m, make([]byte, size))
}

// wrapBuffer makes a buffer of bytes that were made elsewhere.
func wrapBuffer(m *memoryLimit, bytes []byte) *buffer {
	b := &buffer{bytes: bytes}
	b.refs.Store(1)
	return b.chargeTo(m)
}

// chargeTo has the buffer counted until its last holder releases it. The caller holds it.
func (b *buffer) chargeTo(m *memoryLimit) *buffer {
	b.memory = m
	m.charge(int64(len(b.bytes)))
	return b
}

// isPooled reports whether the buffer is used again once it is released.
func (b *buffer) isPooled() bool { return b.pool != nil }

// size is how many bytes the buffer takes.
func (b *buffer) size() int64 {
	if b == nil {
		return 0
	}
	return int64(len(b.bytes))
}

func (b *buffer) retain() {
	if b != nil {
		b.refs.Add(1)
	}
}

// release ends one holder's use of the bytes.
func (b *buffer) release() {
	if b == nil {
		return
	}
	left := b.refs.Add(-1)
	invariant.Check(left >= 0, "a buffer is released more often than held")
	if left > 0 {
		return
	}
	b.memory.charge(-int64(len(b.bytes)))
	invariant.Scribble(b.bytes)
	if b.pool != nil {
		b.pool.free.Put(b)
	}
}

// worthPinning tells whether n bytes are enough of the buffer to hold all of it for their sake: a subscriber that does not read
// then pins at most four times the bytes that its limit counts.
func (b *buffer) worthPinning(n int) bool { return 4*n >= len(b.bytes) }
