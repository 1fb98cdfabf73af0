package server

import (
	"slices"
	"sync"
)

// queue is what waits in an outbox, or what its writer has in hand: bytes, and whose they are.
type queue struct {
	chunks  deque[chunk]
	entries deque[entry] // of all chunks, in order
	oldest  cursor
}

// chunk is a piece of an outbox. It starts where a frame starts.
type chunk struct {
	bytes   []byte
	in      *buffer // what they lie in, to be released
	entries int     // how many of the queue's are its own; they cover its bytes
	own     bool    // nobody else reads what follows its bytes: there may be room to append
	parting bool    // the last words to an evicted subscriber
	gap     *gap    // instead of bytes, until a writer takes it
}

// entry says what some whole frames, side by side in one chunk, are.
type entry struct {
	account *account // whose messages they are; nil for the other kinds
	count   int      // messages
	bytes   int
	number  uint64 // of the last of the messages
	kind    kind
	way     way // how messages are written
}

// kind is what an entry stands for.
type kind uint8

// The kinds.
const (
	kindMessages kind = iota
	kindReplies       // to the connection's own commands: never dropped, and not held against its limit
	kindMissed        // messages that were never queued: no bytes. On its way into an outbox only
	kindOther         // commands that a monitor is shown, notes of what was missed, last words
)

// follows tells whether b says more of what a says, so that one entry will do.
func (a *entry) follows(b *entry) bool {
	return a.account == b.account && a.kind == b.kind && a.way == b.way
}

func (a *entry) extend(b *entry) {
	a.count += b.count
	a.bytes += b.bytes
	a.number = b.number
}

// queues are kept for the next outbox that has something to write: an idle one has none.
var queues = sync.Pool{New: func() any { return new(queue) }}

// keepEntries bounds what a pooled queue keeps after a long one.
const keepEntries = 64 << 10

// recycle gives back a queue that is empty.
func (q *queue) recycle() {
	q.chunks.reset()
	q.entries.reset()
	q.oldest = cursor{}
	queues.Put(q)
}

// push appends a chunk with its entries.
func (q *queue) push(c chunk, entries ...entry) {
	c.entries = len(entries)
	q.chunks.push(c)
	for i := range entries {
		q.entries.push(entries[i])
	}
}

// split cuts off the first chunks, about size bytes of them, and one at least.
func (q *queue) split(size int) *queue {
	front := queues.Get().(*queue)
	chunks, entries := 0, 0
	for i := range q.chunks.all() {
		c := &q.chunks.all()[i]
		if size -= len(c.bytes); chunks > 0 && size < 0 {
			break
		}
		chunks++
		entries += c.entries
	}
	front.chunks.items = append(front.chunks.items, q.chunks.all()[:chunks]...)
	front.entries.items = append(front.entries.items, q.entries.all()[:entries]...)
	q.chunks.skip(chunks)
	q.entries.skip(entries)
	q.oldest.skip(chunks, entries)
	return front
}

// deque is a list that is cheap to shorten at the front. Elsewhere a change costs the shorter side of it.
type deque[T any] struct {
	items []T
	head  int
}

func (d *deque[T]) all() []T    { return d.items[d.head:] }
func (d *deque[T]) len() int    { return len(d.items) - d.head }
func (d *deque[T]) at(i int) *T { return &d.items[d.head+i] }

func (d *deque[T]) push(v T) {
	if d.head > 0 && len(d.items) == cap(d.items) && d.head >= len(d.items)/2 {
		d.items = slices.Delete(d.items, 0, d.head)
		d.head = 0
	}
	d.items = append(d.items, v)
}

// skip drops the first n.
func (d *deque[T]) skip(n int) {
	clear(d.items[d.head : d.head+n]) // they must not keep anything alive
	if d.head += n; d.head == len(d.items) {
		d.items, d.head = d.items[:0], 0
	}
}

func (d *deque[T]) insert(i int, v T) { d.items = slices.Insert(d.items, d.head+i, v) }

func (d *deque[T]) remove(i int) {
	if i < d.len()/2 {
		copy(d.items[d.head+1:], d.items[d.head:d.head+i])
		d.skip(1)
		return
	}
	d.items = slices.Delete(d.items, d.head+i, d.head+i+1)
}

func (d *deque[T]) reset() {
	d.skip(d.len())
	if cap(d.items) > keepEntries {
		d.items = nil
	}
}
