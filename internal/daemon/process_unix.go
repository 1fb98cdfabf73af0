//go:build unix

package daemon

import (
	"os"
	"syscall"
)

// VerbositySignal lowers the log level by one.
var VerbositySignal os.Signal = syscall.SIGUSR1

// Signals are the signals that Serve handles.
var Signals = []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGHUP}

// descriptorLimit is the limit of open descriptors. The Go runtime has raised it to the hard limit.
func descriptorLimit() (limit uint64, known bool) {
	var r syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r) != nil {
		return 0, false
	}
	return uint64(r.Cur), true //nolint:unconvert // signed on some systems
}
