// Command peers measures conch beside Redis, Valkey, NATS and, for pages, Centrifugo, all with the same generator on the same machine, and
// holds the figures against conch's goals. What is lost is printed like what is won.
//
// It is run in the directory above this one: go run ./peers, or make bench-peers.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/conchmq/conch/test/bench/command"
	"github.com/conchmq/conch/test/bench/servers"
)

func main() { command.Main("peers", run) }

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) > 0 && args[0] == relayVerb {
		return beRelay(ctx, args[1:])
	}
	if len(args) > 0 && args[0] == neighborVerb {
		return beNeighbor(ctx, args[1:])
	}
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
	c := &contest{rounds: o.Rounds, duration: o.Duration, progress: stderr}
	if c.scenarios, err = chosen(o.Only); err != nil {
		return err
	}
	if err := command.RaiseFileLimit(); err != nil {
		return err
	}
	if c.servers, err = servers.Prepare(ctx, o.Servers, o.Conch, stderr); err != nil {
		return err
	}
	return c.play(ctx, o, stdout)
}

// play runs the contest and writes it everywhere it was asked for.
func (c *contest) play(ctx context.Context, o command.Options, stdout io.Writer) error {
	where := servers.Look(ctx, c.servers)
	fmt.Fprintln(stdout, where.Machine())
	for _, d := range c.described(where) {
		fmt.Fprintf(stdout, "%-7s %s\n        %s\n", d.Name, d.Version, d.Command)
	}
	fmt.Fprintln(stdout)
	if err := c.run(ctx); err != nil {
		return fmt.Errorf("stopped: %w", err)
	}
	c.report(stdout)
	var errs []error
	if o.JSON != "" {
		errs = append(errs, c.save(o.JSON, where))
	}
	if o.Doc != "" {
		errs = append(errs, c.write(o.Doc, where))
	}
	if n := len(c.failures()); n > 0 {
		errs = append(errs, fmt.Errorf("%d measurements failed, see above", n))
	}
	return errors.Join(errs...)
}

// defaultDuration is the measured part of a load.
const defaultDuration = 2 * time.Second

func parse(args []string, stderr io.Writer) (command.Options, error) {
	o := command.Options{
		Duration: defaultDuration, DurationUsage: "measured part of each load; paced ones take three times that",
		Selection: command.Selection{Servers: "conch,redis,valkey,nats,centrifugo", ServersUsage: "servers to compare; the relay is always there"},
		Sections:  sectionNames(),
		Shortest:  200 * time.Millisecond, ShortestWhy: "CPU time is counted in ticks of 10ms",
	}
	return o, o.Parse("peers", args, stderr)
}

// chosen are the scenarios of a list of names, or all. The name of a section stands for those in it.
func chosen(only string) ([]scenario, error) {
	var names []string
	for name := range strings.SplitSeq(only, ",") {
		i := slices.IndexFunc(sections, func(s section) bool { return s.name == name })
		if i < 0 {
			names = append(names, name)
			continue
		}
		for _, one := range scenarios {
			if sections[i].part(&one) {
				names = append(names, one.name)
			}
		}
	}
	only = strings.Join(names, ",")
	return command.Chosen(scenarios, func(s scenario) string { return s.name }, only)
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
