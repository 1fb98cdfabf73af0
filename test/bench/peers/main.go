// Command peers measures conch beside Redis, Valkey and NATS, all with the same generator on the same machine, and
// holds the figures against conch's goals. What is lost is printed like what is won.
//
// It is run in the directory above this one: go run ./peers, or make bench-peers.
package main

import (
	"context"
	"encoding/json"
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

	"github.com/conchmq/conch/test/bench/servers"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := 0
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		if !errors.Is(err, flag.ErrHelp) { // the flags have been printed
			fmt.Fprintln(os.Stderr, "peers:", err)
		}
		status = 1
	}
	stop()
	os.Exit(status)
}

// options are what the command line says.
type options struct {
	rounds     int
	duration   time.Duration
	only, with string
	conch      string
	list       bool
	json, doc  string
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) > 0 && args[0] == relayVerb {
		return beRelay(ctx, args[1:])
	}
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	if o.list {
		for _, s := range scenarios {
			fmt.Fprintf(stdout, "%-12s %s\n", s.name, s.title)
		}
		return nil
	}
	c := &contest{rounds: o.rounds, duration: o.duration, progress: stderr}
	if c.scenarios, err = chosen(o.only); err != nil {
		return err
	}
	if err := raiseFileLimit(); err != nil {
		return err
	}
	if c.servers, err = servers.Prepare(ctx, o.with, o.conch, stderr); err != nil {
		return err
	}
	return c.play(ctx, o, stdout)
}

// play runs the contest and writes it everywhere it was asked for.
func (c *contest) play(ctx context.Context, o options, stdout io.Writer) error {
	where := servers.Look(ctx, c.servers)
	fmt.Fprintln(stdout, where.Machine())
	for _, d := range where.Servers {
		fmt.Fprintf(stdout, "%-7s %s\n        %s\n", d.Name, d.Version, d.Command)
	}
	fmt.Fprintln(stdout)
	if err := c.run(ctx); err != nil {
		return fmt.Errorf("stopped: %w", err)
	}
	c.report(stdout)
	var errs []error
	if o.json != "" {
		errs = append(errs, c.save(o.json, where))
	}
	if o.doc != "" {
		errs = append(errs, c.write(o.doc, where))
	}
	if n := len(c.failures()); n > 0 {
		errs = append(errs, fmt.Errorf("%d measurements failed, see above", n))
	}
	return errors.Join(errs...)
}

func parse(args []string, stderr io.Writer) (o options, err error) {
	flags := flag.NewFlagSet("peers", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&o.rounds, "rounds", 5, "how often everything is measured; the medians count")
	flags.DurationVar(&o.duration, "duration", 2*time.Second, "measured part of each load; paced ones take three times that")
	flags.StringVar(&o.only, "only", "", "scenarios to run, by the names of --list, parted by commas")
	flags.StringVar(&o.with, "servers", "conch,redis,valkey,nats", "servers to compare; the relay is always there")
	flags.StringVar(&o.conch, "conch", "", "take this `binary` of conch instead of building the tree")
	flags.BoolVar(&o.list, "list", false, "list the scenarios and exit")
	flags.StringVar(&o.json, "json", "", "write all outcomes to this `file`")
	flags.StringVar(&o.doc, "doc", "", "rewrite the section of this `document` that a run writes, and the plots beside it")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	switch {
	case flags.NArg() > 0:
		return o, fmt.Errorf("%q is no flag", flags.Arg(0))
	case o.rounds < 1:
		return o, errors.New("--rounds is at least 1")
	case o.duration < 200*time.Millisecond:
		return o, errors.New("--duration is at least 200ms: CPU time is counted in ticks of 10ms")
	case o.doc != "" && o.only != "":
		return o, errors.New("--doc wants all scenarios: the section is written as a whole")
	}
	return o, nil
}

// chosen are the scenarios of a list of names, or all.
func chosen(only string) (some []scenario, err error) {
	if only == "" {
		return scenarios, nil
	}
	for name := range strings.SplitSeq(only, ",") {
		i := slices.IndexFunc(scenarios, func(s scenario) bool { return s.name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no scenario %q; --list shows them", name)
		}
		some = append(some, scenarios[i])
	}
	return some, nil
}

// raiseFileLimit allows as many open files as the system lets us, to this program and to those that it starts.
func raiseFileLimit() error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	limit.Cur = limit.Max
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
}

// save writes all there is as JSON.
func (c *contest) save(file string, where servers.Environment) error {
	type reached struct {
		Scenario, Figure, Goal, Peer string
		Value                        *float64
		Met                          bool
	}
	var verdicts []reached
	var all []outcome
	for _, s := range c.scenarios {
		all = append(all, c.outcomes[s.name]...)
		for _, g := range s.goals {
			v := c.outcomes[s.name].judge(g)
			one := reached{Scenario: s.name, Figure: string(g.figure), Goal: g.String(), Peer: v.Peer, Met: v.Met}
			if v.word() != "not measured" { // JSON has no NaN
				one.Value = &v.Value
			}
			verdicts = append(verdicts, one)
		}
	}
	text, err := json.MarshalIndent(map[string]any{
		"environment": where, "rounds": c.rounds, "duration": c.duration.String(), "verdicts": verdicts, "outcomes": all,
	}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}
