package bench

import (
	"math"
	"sync/atomic"
)

// window is the flow control: the position of each subscriber in the messages of each publisher. Each publisher has its
// own share of the messages in flight, so that none can use the share of another.
type window struct {
	share      int    // messages a publisher may have in flight
	topics     int    // of a spread load, where subscriber s has topic s % topics; else 1
	publishers int    // cells of one subscriber
	cells      []cell // by subscriber, then by publisher
	wake       []chan struct{}
}

// cell is the position of one subscriber in the messages of one publisher. The subscriber writes got, the publisher writes
// want. Each cell fills a cache line, so that neighbors do not contend.
type cell struct {
	got  atomic.Int64 // messages received or known to be lost
	want atomic.Int64 // the publisher waits until got reaches it
	_    [48]byte
}

// notWaiting is the value of want while the publisher does not wait.
const notWaiting = math.MaxInt64

func newWindow(publishers, subscribers, inFlight int) *window {
	w := &window{
		share: inFlight / publishers, publishers: publishers, topics: 1,
		cells: make([]cell, publishers*subscribers), wake: make([]chan struct{}, publishers),
	}
	for i := range w.cells {
		w.cells[i].want.Store(notWaiting)
	}
	for i := range w.wake {
		w.wake[i] = make(chan struct{}, 1)
	}
	return w
}

// of returns the cells of a subscriber, one for each publisher.
func (w *window) of(subscriber int) []cell {
	return w.cells[subscriber*w.publishers : (subscriber+1)*w.publishers]
}

// report sets the position of a subscriber, and wakes the publisher if it waits for that position.
func (w *window) report(row []cell, publisher, got int) {
	c := &row[publisher]
	c.got.Store(int64(got))
	if want := c.want.Load(); want <= int64(got) && c.want.CompareAndSwap(want, notWaiting) {
		select {
		case w.wake[publisher] <- struct{}{}:
		default: // already woken
		}
	}
}

// await waits until every subscriber has position messages of a publisher. It returns the number that all of them have by
// then. ok is false if stop is closed before.
func (w *window) await(publisher, position int, stop <-chan struct{}) (lowest int, ok bool) {
	low := int64(math.MaxInt64)
	for i := publisher; i < len(w.cells); i += w.publishers {
		c := &w.cells[i]
		got, ok := c.await(int64(position), w.wake[publisher], stop)
		if !ok {
			return 0, false
		}
		low = min(low, got)
	}
	return int(low), true
}

// awaitSpread is await for a spread load: it looks at the subscribers of each message's topic, and at no others. All
// messages before from have arrived.
func (w *window) awaitSpread(publisher, from, position int, stop <-chan struct{}) (lowest int, ok bool) {
	for n := from; n < position; n++ {
		for i := w.cellOf(publisher, n); i < len(w.cells); i += w.topics * w.publishers {
			if _, ok := w.cells[i].await(int64(n)+1, w.wake[publisher], stop); !ok {
				return 0, false
			}
		}
	}
	return max(from, position), true
}

// cellOf is the cell of the first subscriber that a publisher's message is for.
func (w *window) cellOf(publisher, sequence int) int {
	return (publisher+sequence)%w.topics*w.publishers + publisher
}

// await waits until a subscriber has that position, and returns the one that it has by then.
func (c *cell) await(position int64, wake, stop <-chan struct{}) (got int64, ok bool) {
	for got = c.got.Load(); got < position; got = c.got.Load() {
		// Store want, then load got again: either this side sees the new got, or the other side sees want.
		c.want.Store(position)
		if got = c.got.Load(); got >= position {
			c.want.Store(notWaiting)
			break
		}
		select {
		case <-wake:
		case <-stop:
			return 0, false
		}
	}
	return got, true
}
