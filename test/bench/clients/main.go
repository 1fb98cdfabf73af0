// Command clients measures package client beside go-redis and rueidis: the same messages, published over 1 to 16
// connections to conch and to Redis, each of them acknowledged. What is lost is printed like what is won.
//
// It is run in the directory above this one: go run ./clients, or make bench-client.
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
			fmt.Fprintln(os.Stderr, "clients:", err)
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
	if len(args) > 0 && args[0] == generatorVerb {
		return beGenerator(args[1:], stdout)
	}
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	if o.list {
		for _, s := range scenarios {
			fmt.Fprintf(stdout, "%-8s %s\n", s.name, s.title)
		}
		return nil
	}
	c := &contest{rounds: o.rounds, duration: o.duration, progress: stderr}
	if c.scenarios, err = chosen(o.only); err != nil {
		return err
	}
	there, err := servers.Prepare(ctx, o.with, o.conch, stderr)
	if err != nil {
		return err
	}
	for name := range strings.SplitSeq(o.with, ",") {
		if there[name] {
			c.servers = append(c.servers, name)
		}
	}
	return c.play(ctx, o, servers.Look(ctx, there), stdout)
}

// play runs the contest and writes it everywhere it was asked for.
func (c *contest) play(ctx context.Context, o options, where servers.Environment, stdout io.Writer) error {
	if err := c.run(ctx); err != nil {
		return fmt.Errorf("stopped: %w", err)
	}
	text := c.markdown(where)
	fmt.Fprint(stdout, text)
	var errs []error
	if o.json != "" {
		errs = append(errs, c.save(o.json, where))
	}
	if o.doc != "" {
		errs = append(errs, c.write(o.doc, text))
	}
	if n := len(c.failures()); n > 0 {
		errs = append(errs, fmt.Errorf("%d measurements failed, see above", n))
	}
	return errors.Join(errs...)
}

func parse(args []string, stderr io.Writer) (o options, err error) {
	flags := flag.NewFlagSet("clients", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&o.rounds, "rounds", 5, "how often everything is measured; the medians count")
	flags.DurationVar(&o.duration, "duration", time.Second, "measured part of each load")
	flags.StringVar(&o.only, "only", "", "scenarios to run, by the names of --list, parted by commas")
	flags.StringVar(&o.with, "servers", "conch,redis", "servers to publish to; valkey is one that there may be")
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
	case o.duration < 100*time.Millisecond:
		return o, errors.New("--duration is at least 100ms: what starts and ends with a load would show")
	case strings.Contains(o.with, "nats"):
		return o, errors.New("--servers has no nats: it has another protocol, and other clients")
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

// save writes all there is as JSON.
func (c *contest) save(file string, where servers.Environment) error {
	text, err := json.MarshalIndent(map[string]any{
		"environment": where, "rounds": c.rounds, "duration": c.duration.String(), "outcomes": c.outcomes,
	}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}
