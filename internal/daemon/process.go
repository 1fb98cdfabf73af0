package daemon

import (
	"os"
	"os/signal"
	"syscall"
)

// VerbositySignal makes the log more talkative.
var VerbositySignal os.Signal = syscall.SIGUSR1

// reloadSignal has files read again. A terminal that is closed sends it too, and does not end conch.
var reloadSignal os.Signal = syscall.SIGHUP

var Signals = []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGHUP}

// IgnoreBrokenPipes keeps the broker alive when whoever reads its log goes away. Go would end the process at the next
// line; so the line is lost, and counted as lost.
func IgnoreBrokenPipes() { signal.Ignore(syscall.SIGPIPE) }

// descriptorLimit is how many descriptors this process may have open. The Go runtime has raised it as far as it may.
func descriptorLimit() (limit uint64, known bool) {
	var r syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r) != nil {
		return 0, false
	}
	return uint64(r.Cur), true //nolint:unconvert // it is signed on some systems
}
