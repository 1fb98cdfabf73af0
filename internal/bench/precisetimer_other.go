//go:build !linux

package bench

import (
	"errors"
	"time"
)

// preciseTimer wakes a publisher at its time, as exactly as the runtime does.
type preciseTimer struct{ closed chan struct{} }

func newPreciseTimer() (*preciseTimer, error) { return &preciseTimer{make(chan struct{})}, nil }

// wait returns after d, or with an error once the timer is closed.
func (t *preciseTimer) wait(d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-t.closed:
		return errors.New("the timer is closed")
	}
}

// close is to be called once.
func (t *preciseTimer) close() { close(t.closed) }
