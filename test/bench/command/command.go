// Package command is the command line that the comparisons share.
package command

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Main runs a comparison until it is done or a signal ends it, and ends the process.
func Main(name string, run func(ctx context.Context, args []string, stdout, stderr io.Writer) error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := 0
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		if !errors.Is(err, flag.ErrHelp) { // the flags have been printed
			fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		}
		status = 1
	}
	stop()
	os.Exit(status)
}

// Selection is what to measure. Before Parse, it has the defaults.
type Selection struct {
	Only         string // scenarios, parted by commas; empty: all
	Servers      string
	Conch        string // binary; empty: the tree is built
	List         bool
	ServersUsage string // the usage of --servers
}

// Parse reads the flags of a comparison that has no others.
func (s *Selection) Parse(name string, args []string, stderr io.Writer) error {
	return parse(s.flags(name, stderr), args)
}

func (s *Selection) flags(name string, stderr io.Writer) *flag.FlagSet {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&s.Only, "only", "", "scenarios to run, by the names of --list, parted by commas")
	flags.StringVar(&s.Servers, "servers", s.Servers, s.ServersUsage)
	flags.StringVar(&s.Conch, "conch", "", "take this `binary` of conch instead of building the tree")
	flags.BoolVar(&s.List, "list", false, "list the scenarios and exit")
	return flags
}

func parse(flags *flag.FlagSet, args []string) error {
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%q is no flag", flags.Arg(0))
	}
	return nil
}

// Options are the options of a comparison that is measured in rounds. Before Parse, they are its defaults.
type Options struct {
	Selection
	Rounds        int
	Duration      time.Duration // of the measured part of each load
	JSON, Doc     string
	DurationUsage string        // the usage of --duration
	Shortest      time.Duration // that --duration may be
	ShortestWhy   string
	// Sections are names that --only takes too, each for a section of --doc. That flag needs whole ones.
	Sections []string
}

// Parse reads the flags of a comparison.
func (o *Options) Parse(name string, args []string, stderr io.Writer) error {
	flags := o.flags(name, stderr)
	flags.IntVar(&o.Rounds, "rounds", 5, "how often everything is measured; the medians count")
	flags.DurationVar(&o.Duration, "duration", o.Duration, o.DurationUsage)
	flags.StringVar(&o.JSON, "json", "", "write all outcomes to this `file`")
	flags.StringVar(&o.Doc, "doc", "", "rewrite the section of this `document` that a run writes, and the plots beside it")
	if err := parse(flags, args); err != nil {
		return err
	}
	switch {
	case o.Rounds < 1:
		return errors.New("--rounds is at least 1")
	case o.Duration < o.Shortest:
		return fmt.Errorf("--duration is at least %v: %s", o.Shortest, o.ShortestWhy)
	case o.Doc != "" && !o.onlySections():
		text := "--doc needs all scenarios: the section is written as a whole"
		if len(o.Sections) > 0 {
			text += "; --only may name sections: " + strings.Join(o.Sections, ", ")
		}
		return errors.New(text)
	}
	return nil
}

// onlySections tells whether --only leaves out nothing, or whole sections.
func (o *Options) onlySections() bool {
	if o.Only == "" {
		return true
	}
	for name := range strings.SplitSeq(o.Only, ",") {
		if !slices.Contains(o.Sections, name) {
			return false
		}
	}
	return true
}

// Chosen are the scenarios of a list of names, parted by commas, or all.
func Chosen[S any](all []S, name func(S) string, only string) (some []S, err error) {
	if only == "" {
		return all, nil
	}
	for wanted := range strings.SplitSeq(only, ",") {
		i := slices.IndexFunc(all, func(s S) bool { return name(s) == wanted })
		if i < 0 {
			return nil, fmt.Errorf("there is no scenario %q; --list shows them", wanted)
		}
		some = append(some, all[i])
	}
	return some, nil
}

// RaiseFileLimit allows as many open files as the system lets us, to this program and to those that it starts.
func RaiseFileLimit() error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	limit.Cur = limit.Max
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
}
