// Package daemon is the running broker: it builds log, core, server and listeners, and takes them down again. Its errors
// are typed where the exit status depends on them; the command line maps them.
package daemon

import (
	"errors"
	"os"
)

// ErrCorePanicked ends the daemon when its core panicked. The log has the panic.
var ErrCorePanicked = errors.New("the core panicked")

// SignalError ends the daemon when a second signal came before the first one was through. The log has the signal.
type SignalError struct{ Signal os.Signal }

func (e *SignalError) Error() string { return "ended by signal: " + e.Signal.String() }

// OptionsError is about options that the server refuses.
type OptionsError struct{ Err error }

func (e *OptionsError) Error() string { return e.Err.Error() }

func (e *OptionsError) Unwrap() error { return e.Err }
