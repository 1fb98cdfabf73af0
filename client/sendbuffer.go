package client

import (
	"slices"

	"github.com/conchmq/conch/internal/invariant"
)

// blockSize is the size of a block, and roughly of one write.
const blockSize = 32 << 10

// block is a piece of memory that holds whole messages in wire format. Bytes are appended and never moved, so the
// writer reads what it was given while publishers append.
type block struct {
	offset    uint64 // in the stream of all bytes of the connection
	bytes     []byte
	lastCount uint64 // of the last message in it
	next      *block
}

func (b *block) end() uint64 { return b.offset + uint64(len(b.bytes)) }

// sendBuffer holds the bytes of all messages in flight or not yet written, in order. Blocks are reused: after a while
// none is allocated.
type sendBuffer struct {
	head, tail *block // nil while empty
	writing    *block // block of the last write; nil before the first, which takes head
	free       *block
	sent       uint64 // bytes given to the writer
}

// grow makes room for n bytes and returns the block to append them to. The stream ends at end.
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

// nextWrite returns all bytes of one block that are not sent, and the count of the last message in it.
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

// release frees the blocks before an offset. The writer must be done with them.
func (b *sendBuffer) release(before uint64) {
	for b.head != nil && b.head.end() <= before {
		blk := b.head
		b.head = blk.next
		if b.writing == blk {
			b.writing = blk.next
		}
		invariant.Scribble(slices.Clip(blk.bytes))
		if cap(blk.bytes) > blockSize { // made for one large message
			continue
		}
		blk.bytes = blk.bytes[:0]
		blk.next, b.free = b.free, blk
	}
	if b.head == nil {
		b.tail = nil
	}
}

// slice returns the bytes of one message, between two offsets.
func (b *sendBuffer) slice(from, to uint64) []byte {
	blk := b.head
	for blk.end() <= from {
		blk = blk.next
	}
	return blk.bytes[from-blk.offset : to-blk.offset]
}
