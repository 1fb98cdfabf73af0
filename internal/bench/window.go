package bench

import (
	"math"
	"sync/atomic"
)

// window is the flow control: how far each subscriber is with the messages of each publisher. A publisher has a share
// of its own of all that may be in flight, so that none can take the room of another.
type window struct {
	share      int    // messages a publisher may have in flight
	publishers int    // cells of one subscriber
	cells      []cell // by subscriber, then by publisher
	wake       []chan struct{}
}

// cell is how far one subscriber is with one publisher. Its subscriber writes got, its publisher writes want; each
// cell has a cache line of its own.
type cell struct {
	got  atomic.Int64 // messages that have come, or are known to be lost
	want atomic.Int64 // the publisher waits for got to be this much
	_    [48]byte
}

// notWaiting is what a publisher wants while it does not wait.
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

// of is the row of a subscriber: a cell for each publisher.
func (w *window) of(subscriber int) []cell {
	return w.cells[subscriber*w.publishers : (subscriber+1)*w.publishers]
}

// report says how far a subscriber is, and wakes the publisher if it waits for that.
func (w *window) report(row []cell, publisher, got int) {
	c := &row[publisher]
	c.got.Store(int64(got))
	if want := c.want.Load(); want <= int64(got) && c.want.CompareAndSwap(want, notWaiting) {
		select {
		case w.wake[publisher] <- struct{}{}:
		default: // it has been woken already
		}
	}
}

// await returns when every subscriber has got that many messages of a publisher, with the number that all of them
// have by then. It is not ok when stop was closed before.
func (w *window) await(publisher, position int, stop <-chan struct{}) (lowest int, ok bool) {
	low := int64(math.MaxInt64)
	for i := publisher; i < len(w.cells); i += w.publishers {
		c := &w.cells[i]
		got := c.got.Load()
		for got < int64(position) {
			// First say what is wanted, then look again: whichever of the two sides comes second sees the other.
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
