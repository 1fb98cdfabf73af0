package store

import (
	"sync"
	"time"
)

// ticker calls for one tick when the next deadline has come. Without a deadline it never wakes.
//
// set may come from any goroutine, and does not wait. run is the ticker's own goroutine.
type ticker struct {
	changed chan struct{} // has room for one

	mu    sync.Mutex
	due   time.Time // of the next tick; zero if there is none
	armed time.Time // when run wakes by itself; zero if it does not
	wakes int       // of run, for tests
}

func newTicker() *ticker { return &ticker{changed: make(chan struct{}, 1)} }

// set makes a time the next deadline, in place of the former one; zero is none. It wakes run only if that would wake too late.
func (t *ticker) set(due time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.due = due
	if !due.IsZero() && (t.armed.IsZero() || due.Before(t.armed)) {
		select {
		case t.changed <- struct{}{}:
		default: // run is about to look
		}
	}
}

// run calls tick for each deadline that comes, until stop is closed. A tick sets the next deadline, or none.
func (t *ticker) run(stop <-chan struct{}, tick func()) {
	timer := time.NewTimer(0)
	timer.Stop()
	defer timer.Stop()
	for {
		select {
		case <-stop:
			return
		case <-t.changed:
		case <-timer.C:
		}
		if t.take() {
			tick()
		}
		if wait, ok := t.arm(); ok {
			timer.Reset(wait)
		}
	}
}

// take takes the deadline if it has come.
func (t *ticker) take() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.wakes++
	t.armed = time.Time{}
	if t.due.IsZero() || time.Until(t.due) > 0 {
		return false
	}
	t.due = time.Time{}
	return true
}

// arm returns how long run waits for the deadline.
func (t *ticker) arm() (wait time.Duration, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.armed = t.due
	return time.Until(t.due), !t.due.IsZero()
}
