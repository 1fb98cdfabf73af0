package daemon

import (
	"os"
	"os/signal"
	"syscall"
)

// reloadSignal reloads the TLS files. A closed terminal sends it too, and must not end conch.
var reloadSignal os.Signal = syscall.SIGHUP

// IgnoreBrokenPipes keeps the process alive when the reader of its log is gone. Without it, Go ends the process at the
// next line; with it, the line counts as dropped.
func IgnoreBrokenPipes() { signal.Ignore(syscall.SIGPIPE) }
