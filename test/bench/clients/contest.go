package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/conchmq/conch/test/bench/median"
	"github.com/conchmq/conch/test/bench/page"
	"github.com/conchmq/conch/test/bench/servers"
)

// figure is one thing that is measured, by the name under which it is shown.
type figure string

const (
	rate        figure = "acknowledged messages/s"
	cpu         figure = "client's CPU µs/message"
	brokerCPU   figure = "server's CPU µs/message"
	allocations figure = "allocations/message"
	volume      figure = "bytes allocated/message"
	connections figure = "connections used" // of those that it could use
	p50         figure = "p50 µs"
	p99         figure = "p99 µs"
)

// sample is what one measurement yields.
type sample map[figure]float64

// entrant is who is measured: a way to publish to a server, over so many connections.
type entrant struct {
	Scenario    string
	Server, Way string
	Connections int
}

// outcome is one measurement. It has a sample or an error.
type outcome struct {
	entrant
	Round  int
	Sample sample `json:",omitempty"`
	Error  string `json:",omitempty"`
}

// contest is one run of the comparison.
type contest struct {
	rounds    int
	duration  time.Duration
	scenarios []scenario
	servers   []string // by name
	progress  io.Writer
	outcomes  []outcome
}

// run measures everything, round by round, each in a process of its own with a server of its own, started fresh. Only
// ctx ends it early: what fails is an outcome, and the rest goes on.
func (c *contest) run(ctx context.Context) error {
	for round := 1; round <= c.rounds; round++ {
		for i := range c.scenarios {
			for _, e := range c.order(&c.scenarios[i], round) {
				got := outcome{entrant: e, Round: round}
				var err error
				if got.Sample, err = c.measure(ctx, e); err != nil {
					got.Sample, got.Error = nil, strings.Join(strings.Fields(err.Error()), " ")
				}
				if ctx.Err() != nil {
					return ctx.Err()
				}
				c.outcomes = append(c.outcomes, got)
				c.tell(got)
			}
		}
	}
	return nil
}

// order is who takes part in a round. Those with the same number of connections come one after another, because they
// are compared, and in each round another one of them is the first.
func (c *contest) order(s *scenario, round int) (all []entrant) {
	for _, n := range s.connections {
		var equal []entrant
		for _, server := range c.servers {
			for _, w := range s.ways {
				if w.only == 0 || w.only == n {
					equal = append(equal, entrant{s.name, server, w.name, n})
				}
			}
		}
		first := (round - 1) * len(equal) / c.rounds
		all = append(append(all, equal[first:]...), equal[:first]...)
	}
	return all
}

// patience is how much longer than its load a generator may take.
const patience = 20 * time.Second

// measure starts a server and a generator, and stops both. Unless the server has counted as many messages as the library
// had acknowledged, the measurement has failed.
func (c *contest) measure(ctx context.Context, e entrant) (sample, error) {
	p, err := servers.Start(ctx, servers.Named(e.Server))
	if err != nil {
		return nil, fmt.Errorf("cannot start: %w", err)
	}
	defer p.Stop()
	ctx, cancel := context.WithTimeout(ctx, 2*c.duration+patience)
	defer cancel()
	before, err := p.Usage()
	if err != nil {
		return nil, err
	}
	got, err := c.generated(ctx, order{p.Address, e.Scenario, e.Way, e.Connections, c.duration})
	if died := p.Running(); died != nil {
		return nil, died
	}
	if err != nil {
		return nil, err
	}
	after, err := p.Usage()
	if err != nil {
		return nil, err
	}
	text, err := inform(p.Address)
	if err != nil {
		return nil, err
	}
	switch n, err := published(text); {
	case err != nil:
		return nil, err
	case n != got.Published:
		return nil, fmt.Errorf("%d messages were acknowledged, and the server has counted %d", got.Published, n)
	}
	got.Sample[brokerCPU] = float64(after-before) / float64(time.Microsecond) / float64(max(got.Published, 1))
	return got.Sample, nil
}

// generated runs a generator.
func (c *contest) generated(ctx context.Context, o order) (got answer, err error) {
	self, err := os.Executable()
	if err != nil {
		return got, err
	}
	told, err := json.Marshal(o)
	if err != nil {
		return got, err
	}
	var out, said bytes.Buffer
	cmd := exec.CommandContext(ctx, self, generatorVerb, string(told))
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return got, fmt.Errorf("%w: %s", err, said.Bytes())
	}
	return got, json.Unmarshal(out.Bytes(), &got)
}

// tell writes one line for each measurement, so that a run can be watched.
func (c *contest) tell(got outcome) {
	fmt.Fprintf(c.progress, "round %d/%d  %-7s %-6s %-29s %2d",
		got.Round, c.rounds, got.Scenario, got.Server, got.Way, got.Connections)
	if got.Error != "" {
		fmt.Fprintf(c.progress, "  FAILED: %s\n", got.Error)
		return
	}
	for _, f := range []figure{rate, cpu, brokerCPU, allocations, p99} {
		if v, ok := got.Sample[f]; ok {
			fmt.Fprintf(c.progress, "  %s %s", page.Number(v), f)
		}
	}
	fmt.Fprintln(c.progress)
}

// values of one figure of one entrant, one for each round that has it.
func (c *contest) values(e entrant, f figure) (all []float64) {
	for _, one := range c.outcomes {
		if v, ok := one.Sample[f]; ok && one.entrant == e {
			all = append(all, v)
		}
	}
	return all
}

// median of one figure of one entrant over its rounds, NaN when it has none.
func (c *contest) median(e entrant, f figure) float64 { return median.Of(c.values(e, f)) }

// failures are the outcomes without a sample, in the order in which they came.
func (c *contest) failures() (all []outcome) {
	for _, one := range c.outcomes {
		if one.Error != "" {
			all = append(all, one)
		}
	}
	return all
}
