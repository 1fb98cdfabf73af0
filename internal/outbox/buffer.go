package outbox

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
type Buffer struct {
	Bytes  []byte
	refs   atomic.Int32
	pool   *Pool        // nil: not to be used again
	memory *MemoryLimit // that counts it, from its first holder to its last, however many share it; nil in tests
}

// pool keeps buffers of one size.
type Pool struct {
	BufferSize int
	free       sync.Pool
}

var (
	SmallBuffers  = Pool{BufferSize: 1 << 10}  // an outbox starts with one: most hold one message for a moment
	MediumBuffers = Pool{BufferSize: 16 << 10} // a read of 64 pipelined publishes of 64 bytes is 7 KiB
	LargeBuffers  = Pool{BufferSize: 64 << 10} // for connections whose reads fill a medium one
)

// get returns a buffer that the caller holds. Its bytes are whatever they were.
func (p *Pool) Get(m *MemoryLimit) *Buffer {
	b, _ := p.free.Get().(*Buffer)
	if b == nil {
		b = &Buffer{Bytes: make([]byte, p.BufferSize), pool: p}
	}
	b.refs.Store(1)
	return b.ChargeTo(m)
}

// newBuffer returns a buffer for at least size bytes.
func NewBuffer(m *MemoryLimit, size int) *Buffer {
	switch {
	case size <= MediumBuffers.BufferSize:
		return MediumBuffers.Get(m)
	case size <= LargeBuffers.BufferSize:
		return LargeBuffers.Get(m)
	}
	return WrapBuffer(m, make([]byte, size))
}

// wrapBuffer makes a buffer of bytes that were made elsewhere.
func WrapBuffer(m *MemoryLimit, bytes []byte) *Buffer {
	b := &Buffer{Bytes: bytes}
	b.refs.Store(1)
	return b.ChargeTo(m)
}

// chargeTo has the buffer counted until its last holder releases it. The caller holds it.
func (b *Buffer) ChargeTo(m *MemoryLimit) *Buffer {
	b.memory = m
	m.Charge(int64(len(b.Bytes)))
	return b
}

// isPooled reports whether the buffer is used again once it is released.
func (b *Buffer) IsPooled() bool { return b.pool != nil }

// size is how many bytes the buffer takes.
func (b *Buffer) Size() int64 {
	if b == nil {
		return 0
	}
	return int64(len(b.Bytes))
}

func (b *Buffer) Retain() {
	if b != nil {
		b.refs.Add(1)
	}
}

// release ends one holder's use of the bytes.
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

// worthPinning tells whether n bytes are enough of the buffer to hold all of it for their sake: a subscriber that does not read
// then pins at most four times the bytes that its limit counts.
func (b *Buffer) WorthPinning(n int) bool { return 4*n >= len(b.Bytes) }
