// Package cli is the command line of conch: the daemon, sub, pub, bench and completion, help, and exit statuses.
package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/conchmq/conch/internal/daemon"
	"github.com/conchmq/conch/protocol"
)

// Exit statuses. A process that a second signal ends has 128 plus the number of that signal, as shells have it.
const (
	statusOK      = 0
	statusFailure = 1 // conch was asked for something that cannot be done here, such as a port that is taken
	statusUsage   = 2 // conch was asked for something that makes no sense
	statusDefect  = 2 // the core panicked, as when the Go runtime ends a process that panicked
)

// exitError is an error that knows with which status the process ends. err is nil when all has been said in the log.
type exitError struct {
	status int
	err    error
}

func (f *exitError) Error() string {
	if f.err == nil {
		return fmt.Sprintf("exit status %d", f.status)
	}
	return f.err.Error()
}

func (f *exitError) Unwrap() error { return f.err }

// usageErr is a failure of whoever wrote the command line, the environment or the file.
func usageErr(format string, args ...any) error {
	return &exitError{status: statusUsage, err: fmt.Errorf(format+"; see conch --help", args...)}
}

// ProcessEnv is what this process has. It takes the signals over.
func ProcessEnv(version string) *Env {
	daemon.IgnoreBrokenPipes()
	signals := make(chan os.Signal, 8) // room for the impatient: the runtime drops what does not fit
	signal.Notify(signals, daemon.Signals...)
	return &Env{
		Version: version, Args: os.Args, LookupEnv: os.LookupEnv,
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Signals: signals,
	}
}

// Run is the program. Everything it needs from the process comes in as an argument, so that tests run it too. It
// returns the exit status.
func Run(e *Env) int {
	if isCompletionRequest(e.Args) {
		return report(complete(e.Args, e.Stdout), e.Stderr)
	}
	for _, s := range subcommands() {
		if len(e.Args) > 1 && e.Args[1] == s.name {
			call := *e
			call.Args = e.Args[2:]
			return report(s.execute(&call), e.Stderr)
		}
	}
	c, err := parse(e)
	if err == nil && c != nil { // no settings: the question was answered, on stdout
		err = exitStatus(daemon.Serve(c, e.Stderr, e.Signals))
	}
	return report(err, e.Stderr)
}

// exitStatus gives the errors of the daemon their status. The log has told why the core or a signal ended it.
func exitStatus(err error) error {
	var refused *daemon.OptionsError
	var ended *daemon.SignalError
	switch {
	case errors.As(err, &refused):
		return usageErr("%w", err)
	case errors.As(err, &ended):
		return &exitError{status: signalStatus(ended.Signal)}
	case errors.Is(err, daemon.ErrCorePanicked):
		return &exitError{status: statusDefect}
	}
	return err
}

// signalStatus is the status of a process that a signal ended, as shells have it.
func signalStatus(sig os.Signal) int {
	if n, ok := sig.(syscall.Signal); ok {
		return 128 + int(n)
	}
	return statusFailure
}

// report is the one place where an error is printed, in one line.
func report(err error, stderr io.Writer) int {
	if err == nil {
		return statusOK
	}
	f := &exitError{status: statusFailure, err: err}
	if !errors.As(err, &f) || f.err != nil {
		line := strings.Join(strings.Fields(err.Error()), " ")   // whatever was quoted: a line stays one
		line = string(protocol.EscapeMessage(nil, []byte(line))) // and drives no terminal
		_, _ = fmt.Fprintf(stderr, "conch: %s\n", line)          // should this fail, the status still tells
	}
	return f.status
}
