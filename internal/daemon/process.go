package daemon

import (
	"os"
	"os/signal"
	"syscall"
)

// VerbositySignal lowers the log level by one.
var VerbositySignal os.Signal = syscall.SIGUSR1

// reloadSignal reloads the TLS files. A closed terminal sends it too, and must not end conch.
var reloadSignal os.Signal = syscall.SIGHUP

// Signals are the signals that Serve handles.
var Signals = []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGHUP}

// IgnoreBrokenPipes keeps the process alive when the reader of its log is gone. Without it, Go ends the process at the
// next line; with it, the line counts as dropped.
func IgnoreBrokenPipes() { signal.Ignore(syscall.SIGPIPE) }

// descriptorLimit is the limit of open descriptors. The Go runtime has raised it to the hard limit.
func descriptorLimit() (limit uint64, known bool) {
	var r syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r) != nil {
		return 0, false
	}
	return uint64(r.Cur), true //nolint:unconvert // signed on some systems
}
