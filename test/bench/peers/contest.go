package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/conchmq/conch/internal/bench"
	"github.com/conchmq/conch/test/bench/page"
	"github.com/conchmq/conch/test/bench/servers"
)

// contest is one run of the comparison.
type contest struct {
	rounds    int
	duration  time.Duration
	scenarios []scenario
	servers   map[string]bool // those that are there, by name; the relay always is
	progress  io.Writer
	outcomes  map[string]outcomes // by the scenario's name
}

// run measures everything, round by round. Each measurement has a server of its own, started fresh and stopped
// after it, so that no other server is there to take CPU time, and nobody inherits memory. Only ctx ends it early: what
// fails is an outcome, and the rest goes on.
func (c *contest) run(ctx context.Context) error {
	c.outcomes = map[string]outcomes{}
	for round := 1; round <= c.rounds; round++ {
		for i := range c.scenarios {
			s := &c.scenarios[i]
			for _, one := range c.order(s, round) {
				got := outcome{Scenario: s.name, Contestant: one.name, Round: round}
				var err error
				if got.Sample, err = c.measure(ctx, s, one); err != nil {
					got.Sample, got.Error = nil, brief(err)
				}
				if ctx.Err() != nil {
					return ctx.Err()
				}
				c.outcomes[s.name] = append(c.outcomes[s.name], got)
				c.tell(s, got)
			}
		}
	}
	return c.settleAll(ctx)
}

// order is who takes part, beginning with another one in each round: whoever comes first finds another machine than
// who comes last.
func (c *contest) order(s *scenario, round int) (all []contestant) {
	for _, one := range s.who {
		if one.server == relayName || c.servers[one.server] {
			all = append(all, one)
		}
	}
	if len(all) == 0 {
		return nil
	}
	first := (round - 1) % len(all)
	return append(all[first:len(all):len(all)], all[:first]...)
}

// process is a running server, and how to talk to it.
type process struct {
	*servers.Process
	dialect bench.Dialect
	web     *web
	storing *storing
}

// measure starts a contestant's server, measures once and stops it.
func (c *contest) measure(ctx context.Context, s *scenario, one contestant) (sample, error) {
	p, err := start(ctx, s, one)
	if err != nil {
		return nil, err
	}
	defer p.Stop()
	return p.take(ctx, s, c.duration)
}

// start runs a contestant's server, set up for a scenario.
func start(ctx context.Context, s *scenario, one contestant) (p *process, err error) {
	p = &process{dialect: one.dialect, web: one.web, storing: one.storing}
	if arguments := one.arguments(); arguments != nil {
		p.Process, err = servers.StartWith(ctx, servers.Named(one.server), arguments)
	} else if one.server == relayName {
		p.Process, err = startRelay(ctx, *s.load)
	} else if s.large {
		p.Process, err = servers.StartLarge(ctx, servers.Named(one.server))
	} else {
		p.Process, err = servers.Start(ctx, servers.Named(one.server))
	}
	if err != nil {
		return nil, fmt.Errorf("cannot start: %w", err)
	}
	return p, nil
}

// take measures a scenario once.
func (p *process) take(ctx context.Context, s *scenario, duration time.Duration) (got sample, err error) {
	duration *= time.Duration(max(s.longer, 1))
	if s.own != nil {
		got, err = s.own(ctx, p, duration)
	} else {
		got, err = loaded(ctx, p, *s.load, duration)
	}
	if died := p.Running(); died != nil {
		return nil, died
	}
	return got, err
}

// tell writes one line for each measurement, so that a run of half an hour can be watched.
func (c *contest) tell(s *scenario, got outcome) {
	fmt.Fprintf(c.progress, "round %d/%d  %-34s %-10s", got.Round, c.rounds, s.title, got.Contestant)
	if got.Error != "" {
		fmt.Fprintf(c.progress, "  FAILED: %s\n", got.Error)
		return
	}
	for _, f := range s.figures {
		if v, ok := got.Sample[f]; ok {
			fmt.Fprintf(c.progress, "  %s %s", page.Number(v), f)
		}
	}
	fmt.Fprintln(c.progress)
}

// brief is an error as it fits into a row.
func brief(err error) string {
	text := strings.Join(strings.Fields(err.Error()), " ")
	if runes := []rune(text); len(runes) > 200 {
		return string(runes[:200]) + "…"
	}
	return text
}

// failures are the outcomes without a sample, in the order in which they came.
func (c *contest) failures() (all []outcome) {
	for _, s := range c.scenarios {
		for _, one := range c.outcomes[s.name] {
			if one.Error != "" {
				all = append(all, one)
			}
		}
	}
	return all
}
