package main

import "sync"

// batchSize is how many items a producer hands over at once where it batches: what one socket read yields when
// commands are pipelined.
const batchSize = 64

// item is what crosses: 16 bytes, of which 8 point to a payload of 64 that stays where it is.
type item struct {
	from    int
	payload *[64]byte
}

// queue carries items from many producers to one consumer. All of them are bounded: a producer waits while it is full.
type queue interface {
	// put hands items over, in their order. The queue keeps nothing of the slice.
	put(items []item)
	// close says that every put has returned.
	close()
	// take calls use with whatever is ready, in order, waiting for something to be so; false when nothing will come
	// any more. use must not keep the slice. One goroutine takes.
	take(use func([]item)) bool
}

// itemChannel sends each item by itself.
type itemChannel struct {
	items chan item
	one   [1]item // the consumer's
}

func newItemChannel(depth int) *itemChannel { return &itemChannel{items: make(chan item, depth)} }

func (q *itemChannel) put(items []item) {
	for _, i := range items {
		q.items <- i
	}
}

func (q *itemChannel) close() { close(q.items) }

func (q *itemChannel) take(use func([]item)) (ok bool) {
	if q.one[0], ok = <-q.items; ok {
		use(q.one[:])
	}
	return ok
}

// batchChannel sends one batch for each put. The batches come back through a pool, so nothing is allocated for long.
type batchChannel struct {
	batches chan *batch
	pool    sync.Pool
}

type batch struct {
	items  [batchSize]item
	length int
}

func newBatchChannel(depth int) *batchChannel {
	q := &batchChannel{batches: make(chan *batch, depth)}
	q.pool.New = func() any { return new(batch) }
	return q
}

func (q *batchChannel) put(items []item) {
	b := q.pool.Get().(*batch)
	b.length = copy(b.items[:], items)
	q.batches <- b
}

func (q *batchChannel) close() { close(q.batches) }

func (q *batchChannel) take(use func([]item)) bool {
	b, ok := <-q.batches
	if !ok {
		return false
	}
	use(b.items[:b.length])
	q.pool.Put(b)
	return true
}

// swapped is a buffer that producers append to and the consumer takes whole, leaving its empty one in its place: one
// short lock on each side, however much there is.
type swapped struct {
	limit int

	mu     sync.Mutex
	filled sync.Cond // the consumer waits here for the first item
	room   sync.Cond // producers wait here for the swap
	buffer []item
	closed bool

	spare []item // the consumer's, between two swaps
}

func newSwapped(limit int) *swapped {
	q := &swapped{limit: limit, buffer: make([]item, 0, limit), spare: make([]item, 0, limit)}
	q.filled.L, q.room.L = &q.mu, &q.mu
	return q
}

func (q *swapped) put(items []item) {
	q.mu.Lock()
	for len(q.buffer)+len(items) > q.limit {
		q.room.Wait()
	}
	if len(q.buffer) == 0 {
		q.filled.Signal() // only on the first: the consumer sleeps at most then
	}
	q.buffer = append(q.buffer, items...)
	q.mu.Unlock()
}

func (q *swapped) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.filled.Signal()
}

func (q *swapped) take(use func([]item)) bool {
	q.mu.Lock()
	for len(q.buffer) == 0 && !q.closed {
		q.filled.Wait()
	}
	taken := q.buffer
	q.buffer = q.spare[:0]
	q.mu.Unlock()
	q.room.Broadcast()
	q.spare = taken
	use(taken)
	return len(taken) > 0
}
