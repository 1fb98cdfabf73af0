// Command cluster measures three nodes of conch on this machine beside three of NATS JetStream and beside one conch, and holds the figures
// against conch's goals. What is lost is printed like what is won.
//
// It is run in the directory above this one: go run ./cluster, or make bench-cluster.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/conchmq/conch/test/bench/command"
	"github.com/conchmq/conch/test/bench/servers"
)

func main() { command.Main("cluster", run) }

// options are those of the command line.
type options struct {
	command.Selection
	rounds   int
	duration time.Duration // of the measured part of each load
	kills    int
	behind   int // MB
	keep     string
	doc      string
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	if o.List {
		for _, s := range scenarios {
			fmt.Fprintf(stdout, "%-12s %s\n", s.name, s.title)
		}
		return nil
	}
	c := &comparison{options: o, progress: stderr}
	if c.scenarios, err = command.Chosen(scenarios, func(s scenario) string { return s.name }, o.Only); err != nil {
		return err
	}
	if o.rounds == 0 {
		c.scenarios = nil
	}
	if err := c.load(); err != nil {
		return err
	}
	if err := command.RaiseFileLimit(); err != nil {
		return err
	}
	there, err := servers.Prepare(ctx, servers.Conch+",nats", o.Conch, stderr)
	if err != nil {
		return err
	}
	c.where = servers.Look(ctx, there)
	err = c.run(ctx)
	fmt.Fprintln(stdout, c.markdown())
	return errors.Join(err, c.save())
}

func parse(args []string, stderr io.Writer) (o options, err error) {
	flags := flag.NewFlagSet("cluster", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.Only, "only", "", "scenarios to run, by the names of --list, parted by commas")
	flags.StringVar(&o.Conch, "conch", "", "take this `binary` of conch instead of building the tree")
	flags.BoolVar(&o.List, "list", false, "list the scenarios and exit")
	flags.IntVar(&o.rounds, "rounds", 3, "how often each load is measured; the medians count. 0 measures nothing, and writes what --json has")
	flags.DurationVar(&o.duration, "duration", 4*time.Second, "measured part of each load")
	flags.IntVar(&o.kills, "kills", 20, "how often the leader is killed")
	flags.IntVar(&o.behind, "behind", 1000, "how many MB a node is behind")
	flags.StringVar(&o.keep, "json", "", "keep all outcomes in this `file`, with those that it has of earlier runs")
	flags.StringVar(&o.doc, "doc", "", "rewrite the section of this `document` that a run writes, from all outcomes")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	switch {
	case flags.NArg() > 0:
		err = fmt.Errorf("%q is no flag", flags.Arg(0))
	case o.rounds < 0 || o.kills < 1 || o.behind < 1:
		err = errors.New("--kills and --behind are at least 1, and --rounds is not negative")
	case o.duration < time.Second:
		err = errors.New("--duration is at least 1s: CPU time is counted in ticks of 10ms")
	}
	return o, err
}
