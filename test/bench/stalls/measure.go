package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/conchmq/conch/internal/attack"
	"github.com/conchmq/conch/test/bench/servers"
)

const redis = "redis"

// settleTime is how long the server is watched after an attack: what it has taken on may stall it still.
const settleTime = time.Second

// figures are what one scenario did to one server.
type figures struct {
	stall, p99 time.Duration
	peak       int64 // bytes
	notes      []string
}

// measureAll prints a row for each scenario and server, as soon as there is one.
func measureAll(ctx context.Context, scenarios []attack.Scenario, names []string, out io.Writer) error {
	fmt.Fprintf(out, "%-16s %-6s %10s %10s %9s  %s\n", "scenario", "server", "stall", "p99", "peak MiB", "what")
	for _, s := range scenarios {
		for _, name := range names {
			if name == redis && s.ConchOnly != "" {
				fmt.Fprintf(out, "%-16s %-6s %10s %10s %9s  skipped: %s\n", s.Name, name, "-", "-", "-", s.ConchOnly)
				continue
			}
			f, err := measure(ctx, s, name)
			if ctx.Err() != nil {
				return fmt.Errorf("stopped: %w", ctx.Err())
			}
			if err != nil {
				f.notes = append(f.notes, err.Error())
			}
			what := append([]string{s.Title}, f.notes...)
			fmt.Fprintf(out, "%-16s %-6s %10s %10s %9d  %s\n", s.Name, name, shown(f.stall), shown(f.p99), f.peak>>20,
				strings.Join(what, "; "))
		}
	}
	return nil
}

// shown is a time with about three digits.
func shown(d time.Duration) string {
	switch {
	case d >= 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= 10*time.Millisecond:
		return d.Round(time.Millisecond).String()
	}
	return d.Round(10 * time.Microsecond).String()
}

// measure attacks a fresh server. An error goes into the row: that something broke is a figure, too.
func measure(ctx context.Context, s attack.Scenario, name string) (f figures, err error) {
	web, remove, err := webPorts(s)
	if err != nil {
		return f, err
	}
	defer remove()
	kept, removeKept, err := directory(s, name)
	if err != nil {
		return f, err
	}
	defer removeKept()
	p, err := servers.StartWith(ctx, servers.Named(name), func(port string) []string {
		return slices.Concat(arguments(s, name, port), web.options, kept)
	})
	if err != nil {
		return f, err
	}
	defer p.Stop()
	password := ""
	if s.NeedsPassword {
		password = attack.Password
	}
	prober, err := startProber(ctx, p.Address, password)
	if err != nil {
		return f, err
	}
	note := func(format string, args ...any) { f.notes = append(f.notes, fmt.Sprintf(format, args...)) }
	begin := func() {
		if err := prober.reset(); err != nil {
			note("prober: %v", err)
		}
	}
	err = (&attack.Target{Addr: p.Address, HTTP: web.http, HTTPS: web.https, Redis: name == redis, Begin: begin, Note: note}).Run(ctx, s)
	select {
	case <-ctx.Done():
	case <-time.After(settleTime):
	}
	var broken string
	var probed error
	if f.stall, f.p99, broken, probed = prober.end(); broken != "" {
		note("PING: %s", broken)
	}
	if died := p.Running(); died != nil {
		note("%v", died)
	}
	f.peak, _ = p.Peak() // none of a server that has died, which is noted
	return f, errors.Join(err, probed)
}

// web is where conch listens for HTTP.
type web struct {
	http, https string
	options     []string
}

// webPorts finds two free ports for a scenario that needs them, and makes a certificate. The caller removes it.
func webPorts(s attack.Scenario) (w web, remove func(), err error) {
	if !s.Web {
		return w, func() {}, nil
	}
	for _, address := range []*string{&w.http, &w.https} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return w, nil, err
		}
		*address = l.Addr().String()
		_ = l.Close() // nothing has connected
	}
	dir, err := os.MkdirTemp("", "conch-stalls-")
	if err != nil {
		return w, nil, err
	}
	certificate, err := attack.Certificate(dir)
	if err != nil {
		return w, nil, errors.Join(err, os.RemoveAll(dir))
	}
	w.options = append(certificate, "--http", w.http, "--https", w.https)
	return w, func() { _ = os.RemoveAll(dir) }, nil
}

// directory makes a directory for a scenario with streams that are kept, and the options for it. The caller removes it.
func directory(s attack.Scenario, name string) (options []string, remove func(), err error) {
	if s.Fsync == "" {
		return nil, func() {}, nil
	}
	dir, err := os.MkdirTemp("", "conch-stalls-")
	if err != nil {
		return nil, nil, err
	}
	options = []string{"--dir", dir + "/log", "--fsync", s.Fsync}
	if name == redis {
		words := map[string]string{"1s": "everysec"}
		options = []string{"--dir", dir, "--appendonly", "yes", "--appendfsync", cmp.Or(words[s.Fsync], s.Fsync)}
	}
	return options, func() { _ = os.RemoveAll(dir) }, nil
}

// arguments are those that a server is started with. Limits of the outboxes are the defaults of each.
func arguments(s attack.Scenario, name, port string) []string {
	var args []string
	if name == redis {
		args = []string{"--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no"}
		args = append(args, s.RedisArgs...)
	} else {
		args = []string{"127.0.0.1:" + port, "--log-level", "warn"}
		if s.Cap != "" {
			args = append(args, "--max-memory", s.Cap)
		}
	}
	if s.NeedsPassword {
		args = append(args, "--requirepass", attack.Password)
	}
	return args
}
