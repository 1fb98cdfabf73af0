// Command clients measures package client beside go-redis and rueidis: the same messages, published over 1 to 16
// connections to conch and to Redis, each of them acknowledged. What is lost is printed like what is won.
//
// It is run in the directory above this one: go run ./clients, or make bench-client.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/conchmq/conch/test/bench/command"
	"github.com/conchmq/conch/test/bench/servers"
)

func main() { command.Main("clients", run) }

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) > 0 && args[0] == generatorVerb {
		return beGenerator(args[1:], stdout)
	}
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	if o.List {
		for _, s := range scenarios {
			fmt.Fprintf(stdout, "%-8s %s\n", s.name, s.title)
		}
		return nil
	}
	c := &contest{rounds: o.Rounds, duration: o.Duration, progress: stderr}
	if c.scenarios, err = chosen(o.Only); err != nil {
		return err
	}
	there, err := servers.Prepare(ctx, o.Servers, o.Conch, stderr)
	if err != nil {
		return err
	}
	for name := range strings.SplitSeq(o.Servers, ",") {
		if there[name] {
			c.servers = append(c.servers, name)
		}
	}
	return c.play(ctx, o, servers.Look(ctx, there), stdout)
}

// play runs the contest and writes it everywhere it was asked for.
func (c *contest) play(ctx context.Context, o command.Options, where servers.Environment, stdout io.Writer) error {
	if err := c.run(ctx); err != nil {
		return fmt.Errorf("stopped: %w", err)
	}
	text := c.markdown(where)
	fmt.Fprint(stdout, text)
	var errs []error
	if o.JSON != "" {
		errs = append(errs, c.save(o.JSON, where))
	}
	if o.Doc != "" {
		errs = append(errs, c.write(o.Doc, text))
	}
	if n := len(c.failures()); n > 0 {
		errs = append(errs, fmt.Errorf("%d measurements failed, see above", n))
	}
	return errors.Join(errs...)
}

func parse(args []string, stderr io.Writer) (command.Options, error) {
	o := command.Options{
		Duration: time.Second, DurationUsage: "measured part of each load",
		Selection: command.Selection{Servers: "conch,redis", ServersUsage: "servers to publish to; valkey is one that there may be"},
		Shortest:  100 * time.Millisecond, ShortestWhy: "what starts and ends with a load would show",
	}
	if err := o.Parse("clients", args, stderr); err != nil {
		return o, err
	}
	if strings.Contains(o.Servers, "nats") {
		return o, errors.New("--servers has no nats: it has another protocol, and other clients")
	}
	return o, nil
}

// chosen are the scenarios of a list of names, or all.
func chosen(only string) ([]scenario, error) {
	return command.Chosen(scenarios, func(s scenario) string { return s.name }, only)
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
