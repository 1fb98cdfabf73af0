// Command stalls measures what an attack on a server does to others: how long a PING on an idle connection takes at
// worst, and how much memory the server takes. Each scenario has a server of its own.
//
// It is run in the directory above this one: go run ./stalls, or make bench-stalls.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/conchmq/conch/internal/attack"
	"github.com/conchmq/conch/test/bench/command"
	"github.com/conchmq/conch/test/bench/servers"
)

func main() { command.Main("stalls", run) }

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) == 3 && args[0] == probeArg {
		return probe(ctx, args[1], args[2], os.Stdin, stdout)
	}
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	some, err := chosen(o.Only)
	if err != nil {
		return err
	}
	if o.List {
		for _, s := range some {
			fmt.Fprintf(stdout, "%-16s %s\n", s.Name, s.Title)
		}
		return nil
	}
	if err := command.RaiseFileLimit(); err != nil {
		return err
	}
	there, err := servers.Prepare(ctx, o.Servers, o.Conch, stderr)
	if err != nil {
		return err
	}
	fmt.Fprintln(stdout, servers.Look(ctx, there).Machine())
	fmt.Fprintln(stdout)
	return measureAll(ctx, some, strings.Split(o.Servers, ","), stdout)
}

func parse(args []string, stderr io.Writer) (command.Selection, error) {
	o := command.Selection{Servers: "conch,redis", ServersUsage: "servers to attack: conch, redis, or both"}
	if err := o.Parse("stalls", args, stderr); err != nil {
		return o, err
	}
	for name := range strings.SplitSeq(o.Servers, ",") {
		if name != servers.Conch && name != redis {
			return o, fmt.Errorf("there is no server %q: conch, redis, or both parted by a comma", name)
		}
	}
	return o, nil
}

// chosen are the scenarios of a list of names, or all. The number of a point names several.
func chosen(only string) (some []attack.Scenario, err error) {
	if only == "" {
		return attack.Scenarios(), nil
	}
	for name := range strings.SplitSeq(only, ",") {
		found := attack.Named(name)
		if len(found) == 0 {
			return nil, fmt.Errorf("there is no scenario %q; --list shows them", name)
		}
		some = append(some, found...)
	}
	return some, nil
}
