package client

import (
	"slices"

	"github.com/conchmq/conch/internal/invariant"
)

// blockSize is how much memory for messages is taken at once, and about how much one write brings to the socket.
const blockSize = 32 << 10

// block is a piece of memory with whole messages in it, as they go over the wire. Bytes are added behind those that
// are there and never moved, so that the writer may read what it was given while others add.
type block struct {
	offset    uint64 // where it stands in the stream of all bytes of the connection
	bytes     []byte
	lastCount uint64 // count of the last message in it
	next      *block
}

func (b *block) end() uint64 { return b.offset + uint64(len(b.bytes)) }

// sendBuffer are the bytes of all messages that are in flight or wait to be written, in order. Memory is used again and
// again: after a while none is allocated any more.
type sendBuffer struct {
	head, tail *block // nil while there is nothing
	writing    *block // the one that the writer got last; nil: it has none yet, and the head is next
	free       *block
	sent       uint64 // how many bytes the writer has been given
}

// grow makes room for n bytes and returns the segment to add them to. The stream is at position end.
func (b *sendBuffer) grow(n int, end uint64) *block {
	if b.tail != nil && cap(b.tail.bytes)-len(b.tail.bytes) >= n {
		return b.tail
	}
	blk := b.free
	if blk != nil && cap(blk.bytes) >= n {
		b.free, blk.next = blk.next, nil
	} else {
		blk = &block{bytes: make([]byte, 0, max(blockSize, n))}
	}
	blk.offset = end
	if b.tail == nil {
		b.head = blk
	} else {
		b.tail.next = blk
	}
	b.tail = blk
	return blk
}

// nextWrite gives the writer all that is there of one segment, and the count of the last message in it.
func (b *sendBuffer) nextWrite() (chunk []byte, last uint64) {
	if b.writing == nil {
		b.writing = b.head
	}
	for b.writing.end() == b.sent {
		b.writing = b.writing.next
	}
	chunk = b.writing.bytes[b.sent-b.writing.offset:]
	b.sent += uint64(len(chunk))
	return chunk, b.writing.lastCount
}

// release gives back what lies before a position. The writer must be done with it.
func (b *sendBuffer) release(before uint64) {
	for b.head != nil && b.head.end() <= before {
		blk := b.head
		b.head = blk.next
		if b.writing == blk {
			b.writing = blk.next
		}
		invariant.Scribble(slices.Clip(blk.bytes))
		if cap(blk.bytes) > blockSize { // a large message had it to itself
			continue
		}
		blk.bytes = blk.bytes[:0]
		blk.next, b.free = b.free, blk
	}
	if b.head == nil {
		b.tail = nil
	}
}

// slice returns the bytes between two positions, which are those of one message.
func (b *sendBuffer) slice(from, to uint64) []byte {
	blk := b.head
	for blk.end() <= from {
		blk = blk.next
	}
	return blk.bytes[from-blk.offset : to-blk.offset]
}
