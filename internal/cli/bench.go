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

	"github.com/urfave/cli/v3"

	"github.com/conchmq/conch/internal/bench"
	"github.com/conchmq/conch/internal/config"
)

// benchOptions are the options of conch bench.
type benchOptions struct {
	serverFlags
	load       bench.Load
	json       bool
	html       string // file of the page; empty: none
	noBaseline bool
}

const benchText = `conch bench                                             one publisher, one subscriber, at 127.0.0.1:8889
conch bench --subscribers 100 --pid $(pidof -s conch)   with the CPU time and memory of the server
conch bench --rate 5000 --html bench.html               paced: latency counts from the time each message was due
conch bench 127.0.0.1:4222 --dialect nats               another server
conch bench --url conchs://user@broker:8890 --password-file secret

Each load first runs for a short time against a relay: a process that reads and writes, and does nothing else. Its
figure is the baseline of this generator on this machine. A result near the baseline is marked, because it shows little
of the server. A load with a rate has no baseline.

Exit status: 0 is success, 1 lost messages or a failed server, 2 an invalid command line. SIGINT ends the load early,
prints the figures so far, and gives 130.

`

// benchCommand is conch bench.
func (e *Env) benchCommand() *cli.Command {
	return (&benchOptions{load: bench.Load{WarmUp: time.Second, StallTime: benchStallTime}}).command(e)
}

func (o *benchOptions) command(e *Env) *cli.Command {
	l := &o.load
	number := func(name, usage, fallback string, field *int) cli.Flag {
		return option(name, "NUMBER", usage, fallback, parsed(field, config.ParseCount))
	}
	return &cli.Command{
		Name: "bench", Usage: "put load on a server and measure what it delivers", ArgsUsage: "[address]",
		Description: benchText + serverText,
		Flags: append(o.flags(e),
			number("publishers", "connections that publish", "1", &l.Publishers),
			number("subscribers", "connections that listen, each to all topics", "1", &l.Subscribers),
			number("topics", "topics, used in turn, message by message", "1", &l.Topics),
			option("size", "SIZE", "bytes of a payload, or a range of them, such as 64-16KiB; 24 at least", "64", parsed(&l.Size, parseRange)),
			number("pipeline", "commands in one write", "64", &l.Pipeline),
			option("rate", "NUMBER", "messages a second, over all publishers, each at its time", "as fast as they go", parsed(&l.Rate, parseRate)),
			option("duration", "TIME", "how long to measure", "10s", parsed(&l.Duration, config.ParseDuration)),
			option("warm-up", "TIME", "the same load before that, not counted; 0 is none", "1s", parsed(&l.WarmUp, parseWarmUp)),
			option("dialect", "NAME", "resp2, resp3, line or nats", "resp2", parsed(&l.Dialect, bench.ParseDialect), "resp2", "resp3", "line", "nats"),
			number("in-flight", "messages sent and not yet with every subscriber", "4 MiB worth", &l.InFlight),
			number("pid", "the server's process on this machine: its CPU and memory", "none", &l.PID),
			option("html", "FILE", "write a page with plots there; it needs no network", "none", parsed(&o.html, fileName)),
			toggle("no-baseline", "do not measure the relay first", &o.noBaseline),
			toggle("json", "print the result as one JSON object, and nothing else, on stdout", &o.json),
		),
		Action: e.untilSignal(func(ctx context.Context, arguments []string) error {
			if len(arguments) > 0 && arguments[0] == "relay" { // not in the help: the process of the baseline
				return benchRelay(ctx, arguments[1:], e.Stdout)
			}
			if err := o.take(arguments); err != nil {
				return err
			}
			o.load.Origin = bench.NewOrigin(e.Version, e.Args[min(2, len(e.Args)):])
			return o.execute(ctx, e.Stdout, e.Stderr)
		}),
	}
}

func parseRange(text string) (s bench.Range, err error) {
	low, high, isRange := strings.Cut(text, "-")
	if s.Min, err = config.ParseSize(low); err != nil {
		return s, err
	}
	if s.Max = s.Min; isRange {
		s.Max, err = config.ParseSize(high)
	}
	if err == nil && s.Max < s.Min {
		return s, fmt.Errorf("expected the smaller size first, not %q", text)
	}
	return s, err
}

func parseRate(text string) (float64, error) {
	rate, err := strconv.ParseFloat(text, 64)
	if err != nil || !(rate > 0) {
		return 0, fmt.Errorf("expected messages a second, such as 5000 or 0.5, not %q", text)
	}
	return rate, nil
}

func parseWarmUp(text string) (time.Duration, error) {
	if text == "0" || text == "0s" {
		return 0, nil
	}
	return config.ParseDuration(text)
}

func fileName(text string) (string, error) {
	if text == "" {
		return "", errors.New("expected the name of a file")
	}
	return text, nil
}

// take reads the one argument, an address in place of a URL, and checks the options.
func (o *benchOptions) take(arguments []string) error {
	if len(arguments) > 1 {
		return usageErr("bench", "expected one address, got %d arguments: %q", len(arguments), arguments)
	}
	if len(arguments) == 1 {
		if err := config.CheckAddress(arguments[0]); err != nil {
			return usageErr("bench", "%w", err)
		}
		o.url = arguments[0]
	}
	options, err := o.options("bench")
	if err != nil {
		return err
	}
	if len(options.Addresses) > 0 {
		return usageErr("bench", "expected one server, not %d: several would share the load", len(options.Addresses))
	}
	o.load.Address, o.load.Username, o.load.Password = options.Addr, options.Username, options.Password
	o.load.Dialer = func(ctx context.Context) (net.Conn, error) { return dialServer(ctx, options) }
	if err := o.load.Check(); err != nil {
		return usageErr("bench", "%w", err)
	}
	return nil
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
	sock, err := o.load.Dialer(ctx)
	if err != nil {
		return o.explain(fmt.Errorf("cannot connect to %s: %w", o.load.Address, err))
	}
	_ = sock.Close() // unused
	return nil
}

// explain adds what to do to an error, if that is known.
func (o *benchOptions) explain(err error) error {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("bench: no server listens on %s; start a server first, e.g. conch %[1]s", o.load.Address)
	case strings.Contains(err.Error(), "NOAUTH "): // a text: the generator has no errors of the server
		return fmt.Errorf("bench: the server at %s requires a password (NOAUTH); %s", o.load.Address, passwordHint)
	}
	return fmt.Errorf("bench: %w", explainCertificate(err))
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

// benchStallTime is bench.Load.StallTime. Tests set it: a busy machine makes no progress for seconds.
var benchStallTime time.Duration

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
		l.Address, l.Dialer, l.Username, l.Password = address, nil, "", ""
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
		return usageErr("bench", "relay is for conch bench itself, and takes two numbers")
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
	if _, err := fmt.Fprintln(stdout, listener.Addr()); err != nil {
		return fmt.Errorf("bench relay: %w", err)
	}
	return bench.Relay(ctx, listener, subscribers, frame)
}
