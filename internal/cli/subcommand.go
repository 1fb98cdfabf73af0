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

// Env is what conch uses of its process.
type Env struct {
	Version        string
	Args           []string // as os.Args
	LookupEnv      config.Lookup
	Environ        []string // as os.Environ
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Signals        <-chan os.Signal
}

// untilSignal makes an action that runs until it is done or a signal ends it.
func (e *Env) untilSignal(run func(ctx context.Context, arguments []string) error) cli.ActionFunc {
	return func(ctx context.Context, cmd *cli.Command) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		caught := cancelOnSignal(ctx, cancel, e.Signals)
		err := run(ctx, cmd.Args().Slice())
		sig := caught()
		var f *exitError
		if sig == nil || errors.As(err, &f) && (f.status == statusUnacked || f.status == statusFailure) {
			return err // it names the file with the messages, which a status alone would not
		}
		return &exitError{status: signalStatus(sig)}
	}
}

// endSignals have their default effect again after the first one: only that ends a write that blocks.
var endSignals = []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP}

// cancelOnSignal cancels a context at the first signal to stop. caught ends and awaits its goroutine, and returns that
// signal, or nil.
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

// statusTable has every exit status of conch sub and conch pub.
var statusTable = []struct{ status, meaning string }{
	{"0", "success; also when the reader of standard output is gone"},
	{"1", "failure: no server, or it refuses (pub --unacked has the input); a file cannot be read or written"},
	{"2", "the command line is invalid"},
	{"3", "pub: messages are not acknowledged"},
	{"4", "sub: --timeout was over before --count messages came"},
	{"128 + n", "ended by signal n: 130 by SIGINT, 143 by SIGTERM"},
}

func statusText() string {
	var b strings.Builder
	b.WriteString("\n\nExit status:\n")
	for _, s := range statusTable {
		fmt.Fprintf(&b, "%-9s %s\n", s.status, s.meaning)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// unlessClosed is an error of writing to standard output. A closed pipe is none: conch sub news | head -1 succeeds.
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
