// Package cli is the command line of conch: it starts the daemon, has sub, pub, bench, completion and help, and decides
// exit statuses.
package cli

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/urfave/cli/v3"

	"github.com/conchmq/conch/internal/daemon"
	"github.com/conchmq/conch/protocol"
)

// Exit statuses. A second signal ends the process with 128 plus its number, as in shells.
const (
	statusOK      = 0
	statusFailure = 1 // a valid command line that cannot be carried out, e.g. because the port is taken
	statusUsage   = 2 // an invalid command line, environment or file
	statusDefect  = 2 // the core panicked; the status is that of a Go process that panics
)

// exitError is an error with the exit status of the process. A nil err prints nothing: the log has it.
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

// ProcessEnv is the Env of this process. From now on, signals arrive there.
func ProcessEnv(version string) *Env {
	daemon.IgnoreBrokenPipes()
	signals := make(chan os.Signal, 8) // the runtime drops signals that find no room
	signal.Notify(signals, daemon.Signals...)
	return &Env{
		Version: version, Args: os.Args, LookupEnv: os.LookupEnv, Environ: os.Environ(),
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Signals: signals,
	}
}

// Run is the program; it returns the exit status. It touches nothing of the process but e, so that tests can run it.
func Run(e *Env) int {
	out := bufio.NewWriter(e.Stdout) // it keeps the first error, because the library drops errors
	root := newRoot(e, out)
	var unknown error
	root.CommandNotFound = func(ctx context.Context, _ *cli.Command, name string) { // of help; it cannot return an error
		if unknown = checkSubcommand(root, name); unknown == nil {
			_ = cli.ShowCommandHelp(ctx, root, serve) // conch 127.0.0.1:7777 --help
		}
	}
	err := root.Run(context.Background(), e.Args)
	if f := new(exitError); err != nil && !errors.As(err, &f) && strings.HasPrefix(err.Error(), "flag ") {
		err = e.explainUsage(context.Background(), &cli.Command{}, err, false) // of conch help, which the library makes
	}
	return report(cmp.Or(err, unknown, unlessClosed(out.Flush())), e.Stderr)
}

// exitStatus maps the errors of the daemon to exit statuses. A panic and a second signal are in the log already.
func exitStatus(err error) error {
	var refused *daemon.OptionsError
	var ended *daemon.SignalError
	switch {
	case errors.As(err, &refused):
		return usageErr(serve, "%w", err)
	case errors.As(err, &ended):
		return &exitError{status: signalStatus(ended.Signal)}
	case errors.Is(err, daemon.ErrCorePanicked):
		return &exitError{status: statusDefect}
	}
	return err
}

// signalStatus is the status of a process that a signal ended, as in shells.
func signalStatus(sig os.Signal) int {
	if n, ok := sig.(syscall.Signal); ok {
		return 128 + int(n)
	}
	return statusFailure
}

// report prints an error in one line, and returns the exit status. No other place prints errors.
func report(err error, stderr io.Writer) int {
	if err == nil {
		return statusOK
	}
	f := &exitError{status: statusFailure, err: err}
	if !errors.As(err, &f) || f.err != nil {
		line := strings.Join(strings.Fields(err.Error()), " ")   // an error may quote line ends
		line = string(protocol.EscapeMessage(nil, []byte(line))) // and terminal sequences
		_, _ = fmt.Fprintf(stderr, "conch: %s\n", line)          // if this fails, the status remains
	}
	return f.status
}
