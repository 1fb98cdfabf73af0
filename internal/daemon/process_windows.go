package daemon

import (
	"os"
	"syscall"
)

// VerbositySignal does not exist here: CONFIG SET loglevel changes the log level.
var VerbositySignal os.Signal

// Signals are the signals that Serve handles: the runtime makes them of Ctrl-C, and of a closed console.
var Signals = []os.Signal{syscall.SIGINT, syscall.SIGTERM}

// descriptorLimit is unknown: there is none but memory.
func descriptorLimit() (limit uint64, known bool) { return 0, false }
