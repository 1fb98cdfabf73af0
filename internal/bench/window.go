package bench

import (
	"math"
	"sync/atomic"
)

// window is the flow control: the position of each subscriber in the messages of each publisher. Each publisher has its
// own share of the messages in flight, so that none can use the share of another.
type window struct {
	share      int    // messages a publisher may have in flight
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
		share: inFlight / publishers, publishers: publishers,
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
		got := c.got.Load()
		for got < int64(position) {
			// Store want, then load got again: either this side sees the new got, or the other side sees want.
			c.want.Store(int64(position))
			if got = c.got.Load(); got >= int64(position) {
				c.want.Store(notWaiting)
				break
			}
			select {
			case <-w.wake[publisher]:
			case <-stop:
				return 0, false
			}
			got = c.got.Load()
		}
		low = min(low, got)
	}
	return int(low), true
}
