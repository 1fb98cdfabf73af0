package outbox

import "sync"

// queue is a list of chunks: those of an outbox, or those that its writer has dequeued. Its owner is that of its
// chunks.
//
// Each chunk carries its own entries, so adding, dequeuing and dropping touch one chunk only. One slice of
// entries for all chunks took up to 1.2 s to grow.
type queue struct {
	First, last *Chunk
	length      int
	// oldest is where drop-oldest goes on. It makes the next drop O(1).
	oldest cursor
}

// queues are kept for the next outbox that has something to write: an idle outbox has none.
var queues = sync.Pool{New: func() any { return new(queue) }}

// recycle pools an empty queue.
func (q *queue) recycle() {
	*q = queue{}
	queues.Put(q)
}

func (q *queue) push(c *Chunk) { q.insert(nil, c) }

// insert puts c in front of another chunk, or at the end if before is nil.
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

// remove takes a chunk out of the queue. The caller moves the cursor off it first.
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

// split cuts off about size bytes of chunks from the front, and at least one chunk. Chunks stay whole: a large
// one may exceed size. A mark ends the part, and so does a barrier above released; neither is at the first chunk.
func (q *queue) split(size int, released uint64) *queue {
	front := queues.Get().(*queue)
	for c := q.First; c != nil; c = q.First {
		if size -= c.Size(); c.mark || c.barrier > released || front.length > 0 && size < 0 {
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

// cursor is the place of the oldest message in a queue. Nothing in front of it can be dropped.
type cursor struct {
	chunk  *Chunk // nil: the first
	entry  int    // index in the entries of the chunk
	offset int    // start of the entry in the bytes of the chunk
}

// findOldest moves the cursor to the first message, and reports whether there is one. The cursor stays in front
// of the last entry, which may still grow.
func (q *queue) findOldest() bool {
	at := &q.oldest
	if at.chunk == nil {
		*at = cursor{chunk: q.First}
	}
	for at.chunk != nil {
		c := at.chunk
		switch {
		case at.entry == len(c.entries), c.barrier > 0: // what came while a barrier stood is not dropped
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

// cursorToLast moves the cursor from behind the last chunk to its last entry: both may still grow.
func (q *queue) cursorToLast() {
	q.oldest = cursor{}
	if c := q.last; c != nil {
		last := len(c.entries) - 1
		q.oldest = cursor{chunk: c, entry: last, offset: c.Size() - c.entries[last].bytes}
	}
}
