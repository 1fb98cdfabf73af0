// Package daemon runs the broker: it builds log, core, server and listeners, drains and stops them. Errors that need an
// exit status of their own are typed; package cli maps them.
package daemon

import (
	"errors"
	"os"

	"github.com/conchmq/conch/internal/aclfile"
)

// ErrCorePanicked is returned after a panic on the core. The log has the panic and its stack.
var ErrCorePanicked = errors.New("the core panicked")

// SignalError is returned when a second signal ends the daemon while connections drain. The log has the signal.
type SignalError struct{ Signal os.Signal }

func (e *SignalError) Error() string { return "ended by signal: " + e.Signal.String() }

// OptionsError wraps the reason for which the server refused its options.
type OptionsError struct{ Err error }

func (e *OptionsError) Error() string { return e.Err.Error() }

func (e *OptionsError) Unwrap() error { return e.Err }

// optionsError wraps an error of server.New, unless it is about a file.
func optionsError(err error) error {
	if err == nil || errors.Is(err, aclfile.Err) {
		return err
	}
	return &OptionsError{err}
}
