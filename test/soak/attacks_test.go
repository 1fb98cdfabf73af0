//go:build soak

package soak

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/conchmq/conch/internal/attack"
)

const (
	// maxMemory is the server's max-memory, in MiB.
	maxMemory = 200
	// memoryBound is what the server may take at most, in MiB: what it counts is not all that the runtime needs.
	memoryBound = maxMemory*3/2 + 100
	// attacksAtOnce leaves something of the machine to the rounds.
	attacksAtOnce = 2
	// maxTries is how often an attack is tried at least, unless it is made before.
	maxTries = 5
)

// attackers are actors that each run one attack again and again, a smaller one than the benchmark of stalls runs.
func (s *run) attackers() (all []actor) {
	for _, scenario := range attack.Scenarios() {
		all = append(all, actor{scenario.Name, 1, 100 * time.Millisecond, func(ctx context.Context, _ *rand.Rand) {
			select {
			case s.attacks <- struct{}{}:
			case <-ctx.Done():
				return
			}
			defer func() { <-s.attacks }()
			s.assault(ctx, scenario)
		}})
	}
	return all
}

// attackedByAll tells whether each attack has been made: its preparations alone may have been cut off by a restart.
// maxTries of them are enough; its row then tells that it was not made.
func (s *run) attackedByAll() bool {
	for _, scenario := range attack.Scenarios() {
		if s.tries(scenario).Load() < maxTries {
			return false
		}
	}
	return true
}

// tries counts how often an attack was begun.
func (s *run) tries(scenario attack.Scenario) *atomic.Int64 {
	n, _ := s.attacked.LoadOrStore(scenario.Name, new(atomic.Int64))
	return n.(*atomic.Int64)
}

// assault runs an attack. That it is cut off, or loses connections, is no failure: the server may restart, and may
// disconnect those who take too much. A scenario that wants a password has a server of its own.
func (s *run) assault(ctx context.Context, scenario attack.Scenario) {
	p := s.target.current()
	if scenario.NeedsPassword {
		var err error
		p, err = launch(s.report, "", "127.0.0.1:0", "--log-format", "json", "--requirepass", attack.Password,
			"--max-memory", fmt.Sprintf("%dMiB", maxMemory))
		if err != nil {
			s.report.fail("a server with a password: %v", err)
			return
		}
		defer func() {
			s.report.most(rowPeak, p.peak())
			_ = p.end(9) // its error is that it was killed
		}()
	}
	s.tries(scenario).Add(1)
	target := &attack.Target{
		Addr: p.addr, HTTP: p.httpAddr, HTTPS: p.httpsAddr, Scale: 10, Limit: 10 * time.Second, Flood: time.Second,
		Begin: func() {
			s.tries(scenario).Add(maxTries)
			s.report.add(rowAttackPrefix+scenario.Point(), 1)
		},
	}
	_ = target.Run(ctx, scenario)
}

// measureStalls holds a connection that does nothing but PING, and another one after each restart.
func (s *run) measureStalls(ctx context.Context) {
	var longest, p99 time.Duration
	for ctx.Err() == nil {
		p, err := attack.NewProber(ctx, s.target.current().addr, "")
		if err != nil {
			pause(ctx, 10*time.Millisecond)
			continue
		}
		p.Disturbed = func() int64 { return s.target.generation.Load() + s.stops.Load() }
		generation := s.target.generation.Load()
		if err := p.Run(ctx); err != nil && !errors.Is(err, ctx.Err()) {
			s.unlessRestarting(generation, "a connection that only PINGs: %v", err)
		}
		l, n := p.Stall()
		longest, p99 = max(longest, l), max(p99, n)
	}
	s.report.most(rowStall, longest.Milliseconds())
	s.report.most(rowStallP99, p99.Milliseconds())
}
