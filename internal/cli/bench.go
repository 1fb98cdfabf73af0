package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/conchmq/conch/internal/bench"
	"github.com/conchmq/conch/internal/config"
)

// benchOptions are the options of conch bench.
type benchOptions struct {
	load       bench.Load
	json       bool
	html       string // file of the page; empty: none
	noBaseline bool
}

var benchTable = []option[benchOptions]{
	benchCount("publishers", "1", "connections that publish", "4", func(o *benchOptions) *int { return &o.load.Publishers }),
	benchCount("subscribers", "1", "connections that listen, each to all topics", "100", func(o *benchOptions) *int { return &o.load.Subscribers }),
	benchCount("topics", "1", "topics, used in turn, message by message", "100", func(o *benchOptions) *int { return &o.load.Topics }),
	benchOption("size", "SIZE", "64", "bytes of a payload, or a range of them; 24 at least", "64-16KiB", setBenchSize),
	benchCount("pipeline", "64", "commands in one write", "1", func(o *benchOptions) *int { return &o.load.Pipeline }),
	benchOption("rate", "NUMBER", "as fast as they go", "messages a second, over all publishers, each at its time", "5000", setBenchRate),
	benchOption("duration", "TIME", "10s", "how long to measure", "10s", setBenchDuration),
	benchOption("warm-up", "TIME", "1s", "the same load before that, not counted; 0 is none", "1s", setBenchWarmUp),
	benchOption("dialect", "NAME", "resp2", "resp2, resp3, line or nats", "line", setBenchDialect),
	benchCount("in-flight", "4 MiB worth", "messages sent and not yet with every subscriber", "1000", func(o *benchOptions) *int { return &o.load.InFlight }),
	benchCount("pid", "none", "the server's process on this machine: its CPU and memory", "4711", func(o *benchOptions) *int { return &o.load.PID }),
	benchOption("html", "FILE", "none", "write a page with plots there; it needs no network", "bench.html", setBenchPage),
	toggle("no-baseline", "", "do not measure the relay first", func(o *benchOptions) *bool { return &o.noBaseline }),
	toggle("json", "", "print the result as one JSON object, and nothing else, on stdout", func(o *benchOptions) *bool { return &o.json }),
}

func benchOption(name, value, fallback, usage, example string, set func(*benchOptions, string) error) option[benchOptions] {
	return option[benchOptions]{name: name, value: value, fallback: fallback, usage: usage, example: example, set: set}
}

func benchCount(name, fallback, usage, example string, field func(*benchOptions) *int) option[benchOptions] {
	set := func(o *benchOptions, text string) (err error) { *field(o), err = config.ParseCount(text); return err }
	return benchOption(name, "NUMBER", fallback, usage, example, set)
}

func setBenchSize(o *benchOptions, text string) (err error) {
	low, high, isRange := strings.Cut(text, "-")
	s := &o.load.Size
	if s.Min, err = config.ParseSize(low); err != nil {
		return err
	}
	if s.Max = s.Min; isRange {
		s.Max, err = config.ParseSize(high)
	}
	if err == nil && s.Max < s.Min {
		return fmt.Errorf("expected the smaller size first, not %q", text)
	}
	return err
}

func setBenchRate(o *benchOptions, text string) (err error) {
	if o.load.Rate, err = strconv.ParseFloat(text, 64); err != nil || !(o.load.Rate > 0) {
		return fmt.Errorf("expected messages a second, such as 5000 or 0.5, not %q", text)
	}
	return nil
}

func setBenchDuration(o *benchOptions, text string) (err error) {
	o.load.Duration, err = config.ParseDuration(text)
	return err
}

func setBenchWarmUp(o *benchOptions, text string) (err error) {
	if o.load.WarmUp = 0; text == "0" || text == "0s" {
		return nil
	}
	o.load.WarmUp, err = config.ParseDuration(text)
	return err
}

func setBenchDialect(o *benchOptions, text string) (err error) {
	o.load.Dialect, err = bench.ParseDialect(text)
	return err
}

func setBenchPage(o *benchOptions, text string) error {
	if o.html = text; text == "" {
		return errors.New("expected the name of a file")
	}
	return nil
}

// parseBench reads the arguments after "bench". It returns nil after it has answered --help.
func parseBench(args []string, stdout io.Writer) (*benchOptions, error) {
	o := &benchOptions{load: bench.Load{Address: "127.0.0.1:8889", WarmUp: time.Second}}
	arguments, help, err := readOptions("bench", benchTable, o, args, nil)
	switch {
	case err != nil:
		return nil, err
	case help:
		return nil, answer(stdout, benchHelp())
	}
	return o, o.takeAddress(arguments)
}

// takeAddress reads the one positional argument, and checks the options.
func (o *benchOptions) takeAddress(arguments []string) error {
	if len(arguments) > 1 {
		return subcommandUsageErr("bench", "expected one address, got %d arguments: %q", len(arguments), arguments)
	}
	if len(arguments) == 1 {
		o.load.Address = arguments[0]
		if err := config.CheckAddress(o.load.Address); err != nil {
			return subcommandUsageErr("bench", "%w", err)
		}
	}
	if err := o.load.Check(); err != nil {
		return subcommandUsageErr("bench", "%w", err)
	}
	return nil
}

// benchHelp is what conch bench --help prints.
func benchHelp() string {
	var b strings.Builder
	b.WriteString(`conch bench puts load on a server and measures what it delivers.

Usage: conch bench [address] [flags]

Examples:
  conch bench                                        one publisher, one subscriber, at 127.0.0.1:8889
  conch bench --subscribers 100 --pid $(pidof conch) with the CPU time and memory of the server
  conch bench --rate 5000 --html bench.html          paced: latency counts from the time each message was due
  conch bench 127.0.0.1:4222 --dialect nats          another server

`)
	b.WriteString(optionsHelp(benchTable))
	b.WriteString(`
Each load runs first, for a short time, against a relay: a process that reads and writes and does nothing else.
What it reaches is the baseline of this generator on this machine. A result near it is marked: it shows little of the
server. A load with a rate has no baseline.

Exit status: 0; 1 when messages were lost or the server failed; 2 for a wrong command line; 130 after SIGINT, which
ends the load and prints what there is.
`)
	return b.String()
}

// benchmark is the subcommand: conch bench.
func benchmark(ctx context.Context, e *Env) error {
	if len(e.Args) > 0 && e.Args[0] == "relay" { // not in the help: the process of the baseline
		return benchRelay(ctx, e.Args[1:], e.Stdout)
	}
	o, err := parseBench(e.Args, e.Stdout)
	if err != nil || o == nil {
		return err
	}
	o.load.Origin = bench.NewOrigin(e.Version, e.Args)
	return o.execute(ctx, e.Stdout, e.Stderr)
}

// execute measures the relay, then the server, and prints the result.
func (o *benchOptions) execute(ctx context.Context, stdout, stderr io.Writer) error {
	if err := o.probe(ctx); err != nil {
		return err
	}
	show := bench.NewProgress(stderr, isTerminal(stderr))
	baseline, note := o.baseline(ctx, show, stderr)
	r, err := bench.Run(ctx, o.load, show.Watch("load"))
	show.End()
	if r == nil {
		return o.explain(err)
	}
	r.CompareTo(baseline)
	r.BaselineNote = note
	if err := o.print(r, stdout); err != nil {
		return err
	}
	switch {
	case err != nil && !errors.Is(err, context.Canceled):
		return o.explain(err)
	case r.Lost > 0:
		return fmt.Errorf("bench: %d deliveries were lost", r.Lost)
	}
	return nil
}

// probe connects once: a missing server is an error before the baseline is measured, not after.
func (o *benchOptions) probe(ctx context.Context) error {
	sock, err := new(net.Dialer).DialContext(ctx, "tcp", o.load.Address)
	if err != nil {
		return o.explain(fmt.Errorf("cannot connect to %s: %w", o.load.Address, err))
	}
	_ = sock.Close() // unused
	return nil
}

// explain adds what to do to an error, if that is known.
func (o *benchOptions) explain(err error) error {
	if errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("bench: no server listens on %s; start a server first, e.g. conch %s", o.load.Address, o.load.Address)
	}
	return fmt.Errorf("bench: %w", err)
}

func (o *benchOptions) print(r *bench.Result, stdout io.Writer) error {
	write := r.WriteTable
	if o.json {
		write = r.WriteJSON
	}
	if err := write(stdout); err != nil {
		return fmt.Errorf("cannot write the result: %w", err)
	}
	if o.html == "" {
		return nil
	}
	file, err := os.Create(o.html)
	if err != nil {
		return fmt.Errorf("cannot write the page: %w", err)
	}
	if err := errors.Join(r.WritePage(file), file.Close()); err != nil {
		return fmt.Errorf("cannot write the page: %w", err)
	}
	return nil
}

// maxBaselineTime bounds how long the relay is measured.
const maxBaselineTime = 2 * time.Second

// baseline measures the relay. The relay is a process of its own, so that its CPU time is not that of the generator.
// Without a result, the note has the reason.
func (o *benchOptions) baseline(ctx context.Context, show *bench.Progress, stderr io.Writer) (deliveries float64, note string) {
	switch {
	case o.noBaseline:
		return 0, "not measured"
	case o.load.Rate > 0:
		return 0, "none for a load with a rate"
	case o.load.Dialect == bench.Raw:
		return 0, "none: this is the relay itself"
	}
	l := bench.RelayLoad(o.load)
	l.Duration, l.WarmUp = min(l.Duration, maxBaselineTime), min(l.WarmUp, maxBaselineTime/4)
	address, stop, err := startRelay(l, stderr)
	if err == nil {
		defer stop()
		l.Address = address
		var r *bench.Result
		r, err = bench.Run(ctx, l, show.Watch("baseline"))
		show.End()
		if err == nil && r.Lost == 0 {
			return r.DeliveriesPerSecond, ""
		}
	}
	if err == nil {
		err = errors.New("the relay lost messages")
	}
	return 0, "not measured: " + err.Error()
}

// startRelay runs this program again, as a relay. The relay ends when its standard input closes: by stop, or by the
// death of this process.
func startRelay(l bench.Load, stderr io.Writer) (address string, stop func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return "", nil, fmt.Errorf("cannot find this program: %w", err)
	}
	command := exec.Command(self, "bench", "relay", strconv.Itoa(l.Subscribers), strconv.Itoa(bench.FrameLength(l)))
	command.Stderr = stderr
	stdin, err := command.StdinPipe()
	if err != nil {
		return "", nil, fmt.Errorf("cannot start the relay: %w", err)
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		return "", nil, fmt.Errorf("cannot start the relay: %w", err)
	}
	if err := command.Start(); err != nil {
		return "", nil, fmt.Errorf("cannot start the relay: %w", err)
	}
	stop = func() {
		_ = stdin.Close()
		_ = command.Wait() // the relay prints its errors on stderr
	}
	if _, err := fmt.Fscanln(stdout, &address); err != nil {
		stop()
		return "", nil, fmt.Errorf("the relay printed no address: %w", err)
	}
	return address, stop, nil
}

// benchRelay is the process of the relay: it prints its address, and runs until its standard input ends.
func benchRelay(ctx context.Context, args []string, stdout io.Writer) error {
	var subscribers, frame int
	if _, err := fmt.Sscan(strings.Join(args, " "), &subscribers, &frame); err != nil {
		return subcommandUsageErr("bench", "relay is for conch bench itself, and takes two numbers")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("bench relay: %w", err)
	}
	ctx, end := context.WithCancel(ctx)
	defer end()
	go func() { // not awaited: a read of standard input cannot be interrupted, and the process ends now
		_, _ = io.Copy(io.Discard, os.Stdin)
		end()
	}()
	if err := answer(stdout, listener.Addr().String()+"\n"); err != nil {
		return err
	}
	return bench.Relay(ctx, listener, subscribers, frame)
}
