//go:build !linux

package bench

import (
	"errors"
	"time"
)

// preciseTimer wakes a publisher on schedule, with the precision of the runtime's timers.
type preciseTimer struct{ closed chan struct{} }

func newPreciseTimer() (*preciseTimer, error) { return &preciseTimer{make(chan struct{})}, nil }

// wait returns after d, or with an error when the timer is closed.
func (t *preciseTimer) wait(d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-t.closed:
		return errors.New("the timer is closed")
	}
}

// close must be called once.
func (t *preciseTimer) close() { close(t.closed) }
