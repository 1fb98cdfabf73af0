package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/mattn/go-isatty"
	"github.com/urfave/cli/v3"

	"github.com/conchmq/conch/internal/config"
	"github.com/conchmq/conch/internal/daemon"
)

// subcommand is what conch does when its name is the first argument. The names are no addresses: they have no port.
type subcommand struct {
	name, synopsis, usage string
	flags                 func() []cli.Flag // for the completion
	run                   func(ctx context.Context, e *Env) error
}

// subcommands are all of them, in the order of the help. It is a function because completion is one, and lists them.
func subcommands() []subcommand {
	return []subcommand{
		{"sub", "[flags] topic...", "print the messages of topics and patterns", flagsOf(subTable), subscribe},
		{"pub", "[flags] topic [message]", "publish a message, or each line of the standard input", flagsOf(pubTable), publish},
		{"bench", "[address] [flags]", "put load on a server and measure it", flagsOf(benchTable), benchmark},
		{"completion", "bash|zsh|fish", "print what makes a shell complete conch's commands and flags", noFlags, completion},
	}
}

func flagsOf[T any](table []option[T]) func() []cli.Flag {
	return func() []cli.Flag { flags, _ := cliFlags(table); return flags }
}

func noFlags() []cli.Flag { return nil }

// Env is what conch needs from its process.
type Env struct {
	Version        string
	Args           []string // with the name of the program; for a subcommand, those behind its own name
	LookupEnv      config.Lookup
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Signals        <-chan os.Signal
}

// execute runs a subcommand until it is done or a signal ends it.
func (s *subcommand) execute(e *Env) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	caught := cancelOnSignal(ctx, cancel, e.Signals)
	err := s.run(ctx, e)
	sig := caught()
	var f *exitError
	if sig == nil || errors.As(err, &f) && (f.status == statusUnacked || f.status == statusFailure) {
		return err // it says what is in which file, and so more than that it was interrupted
	}
	return &exitError{status: signalStatus(sig)}
}

// endSignals are left to the system after the first one: a write that nobody reads can be ended by nothing else.
var endSignals = []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP}

// cancelOnSignal ends a context at the first signal to stop. What it returns waits for the goroutine that does so, and says
// which signal it was, if any.
func cancelOnSignal(ctx context.Context, cancel context.CancelFunc, signals <-chan os.Signal) (caught func() os.Signal) {
	found := make(chan os.Signal, 1)
	go func() {
		defer close(found)
		for {
			select {
			case sig := <-signals:
				if sig == daemon.VerbositySignal {
					continue
				}
				found <- sig
				signal.Reset(endSignals...)
				cancel()
				return
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() os.Signal {
		cancel()
		return <-found
	}
}

// The statuses of sub and pub, beside those of run.go.
const (
	statusUnacked = 3
	statusTimeout = 4
)

// statusTable is every status with which conch sub and conch pub end.
var statusTable = []struct{ status, meaning string }{
	{"0", "all went well; also when nobody reads standard output any more"},
	{"1", "it cannot be done: no server, or it says no (pub --unacked has the input); a file cannot be read or written"},
	{"2", "the command line makes no sense"},
	{"3", "pub: messages are not acknowledged"},
	{"4", "sub: --timeout was over before --count messages came"},
	{"128 + n", "ended by signal n: 130 by SIGINT, 143 by SIGTERM"},
}

func statusHelp() string {
	var b strings.Builder
	b.WriteString("Exit status:\n")
	for _, s := range statusTable {
		fmt.Fprintf(&b, "  %-9s %s\n", s.status, s.meaning)
	}
	return b.String()
}

// unlessClosed is an error of writing to standard output, or nil if nobody reads it any more: whoever looked at the
// first lines alone has got what was wanted.
func unlessClosed(err error) error {
	if err == nil || errors.Is(err, syscall.EPIPE) || errors.Is(err, io.ErrClosedPipe) {
		return nil
	}
	return fmt.Errorf("cannot write: %w", err)
}

func isTerminal(w any) bool {
	file, ok := w.(*os.File)
	return ok && isatty.IsTerminal(file.Fd())
}
