package connect

import (
	"sync"
	"time"

	"github.com/conchmq/conch/internal/command"
)

// The states of a connector.
const (
	stateConnecting = "connecting"
	stateRunning    = "running"
	statePaused     = "paused"
	stateStandby    = "standby" // another node of the cluster runs it
	stateWaiting    = "waiting" // for the next try
	stateFailed     = "failed"  // likewise, after an error that trying again does not change
	stateEnded      = "ended"   // its source has ended for good
)

// account is what is seen of a connector. Its goroutines write it, any goroutine reads it.
type account struct {
	mu  sync.Mutex // guards row; held for a few instructions, because the core reads it
	row command.Connector
}

// update changes the row.
func (a *account) update(change func(row *command.Connector)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change(&a.row)
}

// read is the row at one moment.
func (a *account) read() command.Connector {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.row
}

// enter notes a state; a empty error leaves the last one.
func (a *account) enter(state, err string) {
	a.update(func(row *command.Connector) {
		now := time.Now()
		if row.State != state {
			row.State, row.Since = state, now
		}
		if err != "" {
			row.LastError, row.ErrorAt = err, now
		}
	})
}
