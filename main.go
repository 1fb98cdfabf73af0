// Conch is a broker for publish and subscribe. It serves Redis clients, and anybody who can type a line.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"

	"github.com/conchmq/conch/protocol"
)

// version is set at build time: -ldflags "-X main.version=v1.2.3".
var version = "dev"

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

func main() {
	ignoreBrokenPipes()
	signals := make(chan os.Signal, 8) // room for the impatient: the runtime drops what does not fit
	signal.Notify(signals, handledSignals...)
	os.Exit(run(os.Args, os.LookupEnv, os.Stdin, os.Stdout, os.Stderr, signals))
}

// run is the program. Everything it needs from the process comes in as an argument, so that tests run it too.
func run(args []string, env lookup, stdin io.Reader, stdout, stderr io.Writer, signals <-chan os.Signal) int {
	if isCompletionRequest(args) {
		return report(complete(args, stdout), stderr)
	}
	for _, s := range subcommands() {
		if len(args) > 1 && args[1] == s.name {
			return report(s.execute(&Env{args[2:], env, stdin, stdout, stderr}, signals), stderr)
		}
	}
	s, err := parse(args, env, stdout)
	if err == nil && s != nil { // no settings: the question was answered, on stdout
		err = serve(s, stderr, signals)
	}
	return report(err, stderr)
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
