// Command stalls measures what an attack on a server does to others: how long a PING on an idle connection takes at
// worst, and how much memory the server takes. Each scenario has a server of its own.
//
// It is run in the directory above this one: go run ./stalls, or make bench-stalls.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"

	"github.com/conchmq/conch/internal/attack"
	"github.com/conchmq/conch/test/bench/servers"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := 0
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		if !errors.Is(err, flag.ErrHelp) { // the flags have been printed
			fmt.Fprintln(os.Stderr, "stalls:", err)
		}
		status = 1
	}
	stop()
	os.Exit(status)
}

// options are what the command line says.
type options struct {
	servers, only, binary string
	list                  bool
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	some, err := chosen(o.only)
	if err != nil {
		return err
	}
	if o.list {
		for _, s := range some {
			fmt.Fprintf(stdout, "%-16s %s\n", s.Name, s.Title)
		}
		return nil
	}
	if err := raiseFileLimit(); err != nil {
		return err
	}
	there, err := servers.Prepare(ctx, o.servers, o.binary, stderr)
	if err != nil {
		return err
	}
	// The prober must not wait for a processor of the runtime while the attackers use all: the kernel parts them better.
	runtime.GOMAXPROCS(4 * runtime.NumCPU())
	fmt.Fprintln(stdout, servers.Look(ctx, there).Machine())
	fmt.Fprintln(stdout)
	return measureAll(ctx, some, strings.Split(o.servers, ","), stdout)
}

func parse(args []string, stderr io.Writer) (o options, err error) {
	flags := flag.NewFlagSet("stalls", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.servers, "server", "conch,redis", "servers to attack: conch, redis, or both")
	flags.StringVar(&o.only, "scenario", "", "scenarios to run, by the names of --list or the numbers of points, parted by commas")
	flags.StringVar(&o.binary, "binary", "", "take this `binary` of conch instead of building the tree")
	flags.BoolVar(&o.list, "list", false, "list the scenarios and exit")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("%q is no flag", flags.Arg(0))
	}
	for name := range strings.SplitSeq(o.servers, ",") {
		if name != servers.Conch && name != redis {
			return o, fmt.Errorf("there is no server %q: conch, redis, or both parted by a comma", name)
		}
	}
	return o, nil
}

// chosen are the scenarios of a list of names, or all.
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

// raiseFileLimit allows as many open files as the system lets us, to this program and to those that it starts.
func raiseFileLimit() error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	limit.Cur = limit.Max
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
}
