//go:build !linux

package bench

import (
	"errors"
	"time"
)

// alarm wakes a publisher at its time, as exactly as the runtime does.
type alarm struct{ closed chan struct{} }

func newAlarm() (*alarm, error) { return &alarm{make(chan struct{})}, nil }

// wait returns after d, or with an error once the alarm is closed.
func (a *alarm) wait(d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-a.closed:
		return errors.New("the alarm is closed")
	}
}

// close is to be called once.
func (a *alarm) close() { close(a.closed) }
