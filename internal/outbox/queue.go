package outbox

import "sync"

// queue is what waits in an outbox, or what its writer has dequeued: a list of chunks. Each carries its own entries, so
// that whatever is added, taken or dropped costs no more than one chunk: a slice over all of them took up to 1.2 s to grow.
type queue struct {
	First, last *Chunk
	length      int
	oldest      cursor
}

// queues are kept for the next outbox that has something to write: an idle one has none.
var queues = sync.Pool{New: func() any { return new(queue) }}

// recycle gives back a queue that is empty.
func (q *queue) recycle() {
	*q = queue{}
	queues.Put(q)
}

// push appends a chunk.
func (q *queue) push(c *Chunk) { q.insert(nil, c) }

// insert puts c in front of another chunk, or at the end if that is nil.
func (q *queue) insert(before, c *Chunk) {
	c.Next = before
	if before == nil {
		c.prev, q.last = q.last, c
	} else {
		c.prev, before.prev = before.prev, c
	}
	if c.prev == nil {
		q.First = c
	} else {
		c.prev.Next = c
	}
	q.length++
}

// remove takes a chunk out of the queue. The cursor is the caller's to move.
func (q *queue) remove(c *Chunk) {
	if c.prev == nil {
		q.First = c.Next
	} else {
		c.prev.Next = c.Next
	}
	if c.Next == nil {
		q.last = c.prev
	} else {
		c.Next.prev = c.prev
	}
	c.Next, c.prev = nil, nil
	q.length--
}

// split cuts off the first chunks, about size bytes of them, and one at least.
func (q *queue) split(size int) *queue {
	front := queues.Get().(*queue)
	for c := q.First; c != nil; c = q.First {
		if size -= c.Size(); front.length > 0 && size < 0 {
			break
		}
		if q.oldest.chunk == c {
			q.oldest = cursor{}
		}
		q.remove(c)
		front.push(c)
	}
	return front
}

// cursor is where the oldest message in a queue is. What is in front of it cannot be dropped.
type cursor struct {
	chunk  *Chunk // nil: the first
	entry  int    // of the chunk
	offset int    // in the chunk's bytes, where the entry starts
}

// findOldest moves the cursor to the first message. It stays in front of the last entry there is, which may still grow.
func (q *queue) findOldest() bool {
	at := &q.oldest
	if at.chunk == nil {
		*at = cursor{chunk: q.First}
	}
	for at.chunk != nil {
		c := at.chunk
		switch {
		case at.entry == len(c.entries):
			if c.Next == nil {
				return false
			}
			*at = cursor{chunk: c.Next}
		case c.entries[at.entry].Kind == kindMessages:
			return true
		case c.Next == nil && at.entry == len(c.entries)-1:
			return false
		default:
			at.offset += c.entries[at.entry].bytes
			at.entry++
		}
	}
	return false
}

// cursorToLast moves the cursor from behind the last chunk into it, in front of its last entry: both may still grow.
func (q *queue) cursorToLast() {
	q.oldest = cursor{}
	if c := q.last; c != nil {
		last := len(c.entries) - 1
		q.oldest = cursor{chunk: c, entry: last, offset: c.Size() - c.entries[last].bytes}
	}
}
