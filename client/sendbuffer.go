package client

import (
	"slices"

	"github.com/conchmq/conch/internal/invariant"
)

// segmentSize is how much memory for messages is taken at once, and about how much one write brings to the socket.
const segmentSize = 32 << 10

// segment is a piece of memory with whole messages in it, as they go over the wire. Bytes are added behind those that
// are there and never moved, so that the writer may read what it was given while others add.
type segment struct {
	begin uint64 // where it stands in the stream of all bytes of the connection
	bytes []byte
	last  uint64 // count of the last message in it
	next  *segment
}

func (s *segment) end() uint64 { return s.begin + uint64(len(s.bytes)) }

// segments are the bytes of all messages that are in flight or wait to be written, in order. Memory is used again and
// again: after a while none is allocated any more.
type segments struct {
	head, tail *segment // nil while there is nothing
	writing    *segment // the one that the writer got last; nil: it has none yet, and the head is next
	spare      *segment
	handed     uint64 // how many bytes the writer has been given
}

// grow makes room for n bytes and returns the segment to add them to. The stream is at position end.
func (q *segments) grow(n int, end uint64) *segment {
	if q.tail != nil && cap(q.tail.bytes)-len(q.tail.bytes) >= n {
		return q.tail
	}
	s := q.spare
	if s != nil && cap(s.bytes) >= n {
		q.spare, s.next = s.next, nil
	} else {
		s = &segment{bytes: make([]byte, 0, max(segmentSize, n))}
	}
	s.begin = end
	if q.tail == nil {
		q.head = s
	} else {
		q.tail.next = s
	}
	q.tail = s
	return s
}

// piece gives the writer all that is there of one segment, and the count of the last message in it.
func (q *segments) piece() (piece []byte, last uint64) {
	if q.writing == nil {
		q.writing = q.head
	}
	for q.writing.end() == q.handed {
		q.writing = q.writing.next
	}
	piece = q.writing.bytes[q.handed-q.writing.begin:]
	q.handed += uint64(len(piece))
	return piece, q.writing.last
}

// release gives back what lies before a position. The writer must be done with it.
func (q *segments) release(before uint64) {
	for q.head != nil && q.head.end() <= before {
		s := q.head
		q.head = s.next
		if q.writing == s {
			q.writing = s.next
		}
		invariant.Scribble(slices.Clip(s.bytes))
		if cap(s.bytes) > segmentSize { // a large message had it to itself
			continue
		}
		s.bytes = s.bytes[:0]
		s.next, q.spare = q.spare, s
	}
	if q.head == nil {
		q.tail = nil
	}
}

// at returns the bytes between two positions, which are those of one message.
func (q *segments) at(from, to uint64) []byte {
	s := q.head
	for s.end() <= from {
		s = s.next
	}
	return s.bytes[from-s.begin : to-s.begin]
}
