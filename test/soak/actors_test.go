//go:build soak

package soak

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/conchmq/conch/internal/harness"
)

// actor is somebody who does one thing again and again beside the rounds.
type actor struct {
	name  string
	count int
	every time.Duration // the pause before each time
	act   func(ctx context.Context, rng *rand.Rand)
}

func (s *run) actors() []actor {
	return []actor{
		{"prober", 1, 50 * time.Millisecond, s.probe},
		{"bad bytes", 4, 5 * time.Millisecond, s.attack},
		{"silent", 1, 0, s.silence},
		{"dribbler", 20, 10 * time.Millisecond, s.dribble},
		{"resetter", 2, 20 * time.Millisecond, s.resetInFrame},
		{"hoarder", 10, 100 * time.Millisecond, s.hoard},
		{"flood", 1, 10 * time.Millisecond, s.flood},
		{"storm", 1, time.Second, s.storm},
		{"vanisher", 1, 100 * time.Millisecond, s.vanish},
		{"descriptors", 1, 5 * time.Second, s.descriptors},
		{"stop", 1, 2 * time.Second, s.stopLong},
		{"revoker", 2, 50 * time.Millisecond, s.revoke},
		{"nc", 1, 200 * time.Millisecond, s.scripts},
		{"redis-cli", 1, 200 * time.Millisecond, s.commands},
	}
}

// probe holds that the server answers, whatever happens to it.
func (s *run) probe(context.Context, *rand.Rand) {
	generation := s.target.generation.Load()
	answer := ""
	w, err := s.dial(direct)
	if err == nil {
		defer w.shut()
		answer, err = w.ask("PING\n")
	}
	if err != nil || answer != "+PONG\r\n" {
		s.unlessRestarting(generation, "a PING was answered %q: %v", answer, err)
	}
}

// unlessRestarting fails the run, unless a restart explains what was seen since a generation.
func (s *run) unlessRestarting(generation int64, format string, args ...any) {
	if generation%2 == 0 && s.target.generation.Load() == generation {
		s.report.fail(format, args...)
	}
}

// attack sends bad inputs and reads what comes of it, for a moment.
func (s *run) attack(_ context.Context, rng *rand.Rand) {
	by, row := direct, rowBad
	if rng.IntN(3) == 0 && s.target.current().tlsAddr != "" {
		by, row = secure, rowBadTLS
	}
	w, err := s.dial(by)
	if err != nil {
		return
	}
	defer w.shut()
	for range 1 + rng.IntN(5) {
		if w.send(string(hostile(rng))) != nil {
			return // closed for what came before
		}
		s.report.add(row, 1)
	}
	if rng.IntN(4) == 0 {
		w.reset()
		return
	}
	_ = w.SetReadDeadline(time.Now().Add(50 * time.Millisecond)) // a moment for the answer; it is not looked at
	_, _ = io.Copy(io.Discard, w)
}

// silent is how many connections say nothing.
const silent = 100

// silence holds connections that say nothing, or subscribe and then say nothing. Nobody may close them but a restart.
func (s *run) silence(ctx context.Context, _ *rand.Rand) {
	generation := s.target.generation.Load()
	var waiting sync.WaitGroup
	for i := range silent {
		w, err := s.dial(direct)
		if err != nil {
			continue
		}
		_ = w.SetDeadline(time.Time{}) // fails on a dead socket, as the read then does
		if i%2 == 0 {
			_, _ = w.ask("SUB quiet\n")
		}
		s.report.add(rowSilent, 1)
		leave := context.AfterFunc(ctx, w.shut)
		waiting.Go(func() {
			defer w.shut()
			defer leave()
			if _, err := w.frame(); ctx.Err() == nil {
				s.unlessRestarting(generation, "a connection that says nothing was closed: %v", err)
			}
		})
	}
	waiting.Wait() // all of them end with the server
}

// dribble sends a command one byte a second.
func (s *run) dribble(ctx context.Context, rng *rand.Rand) {
	w, err := s.dial(direct)
	if err != nil {
		return
	}
	defer w.shut()
	command := []string{"PING\n", "*1\r\n$4\r\nPING\r\n"}[rng.IntN(2)]
	for i := range len(command) {
		if w.send(command[i:i+1]) != nil {
			return
		}
		s.report.add(rowDribble, 1)
		if !pause(ctx, time.Second) {
			return
		}
	}
	generation := s.target.generation.Load()
	if answer, err := w.frame(); err == nil && answer != "+PONG\r\n" {
		s.unlessRestarting(generation, "a PING that came byte by byte was answered %q", answer)
	}
}

// resetInFrame resets a connection in the middle of a command, or of a message that it should receive.
func (s *run) resetInFrame(ctx context.Context, rng *rand.Rand) {
	w, err := s.dial(direct)
	if err != nil {
		return
	}
	defer w.reset()
	if rng.IntN(2) == 0 { // no more than a part of a message is read before the reset
		w.narrow()
		if _, err := w.ask("SUB flood:0\n"); err != nil {
			return
		}
		defer context.AfterFunc(ctx, w.shut)() // at the end, nobody floods any more
		_, _ = io.ReadFull(w, make([]byte, 1+rng.IntN(1000)))
	} else {
		command := harness.RESP("PUBLISH", "bad", strings.Repeat("x", rng.IntN(50_000)))
		if w.send(command[:1+rng.IntN(len(command)-1)]) != nil {
			return
		}
	}
	s.report.add(rowReset, 1)
}

const floodTopics = 10

// hoard subscribes to thousands of topics and a pattern, and does not read until it is disconnected or tired.
func (s *run) hoard(ctx context.Context, rng *rand.Rand) {
	w, err := s.dial(direct)
	if err != nil {
		return
	}
	defer w.shut()
	w.narrow()
	names := []string{"SUBSCRIBE"}
	for i := range 5000 {
		names = append(names, fmt.Sprintf("hoard:%d", i))
	}
	command := harness.RESP(names...) + harness.RESP("PSUBSCRIBE", "flood:*")
	if rng.IntN(2) == 0 {
		command = harness.RESP("HELLO", "3") + command
	}
	if w.send(command) != nil {
		return
	}
	s.report.add(rowHoarders, 1)
	pause(ctx, time.Duration(5+rng.IntN(10))*time.Second)
}

// flood publishes a burst of large messages, for those who never read.
func (s *run) flood(_ context.Context, rng *rand.Rand) {
	w, err := s.dial(direct)
	if err != nil {
		return
	}
	defer w.shut()
	for range 20 {
		topic := fmt.Sprintf("flood:%d", rng.IntN(floodTopics))
		if _, err := w.ask(harness.RESP("PUBLISH", topic, strings.Repeat("f", 16<<10))); err != nil {
			return
		}
	}
}

// storm connects many at once, as clients do that have all lost their server at the same moment.
func (s *run) storm(_ context.Context, rng *rand.Rand) {
	var coming sync.WaitGroup
	for range 100 {
		abrupt := rng.IntN(2) == 0
		coming.Go(func() {
			w, err := s.dial(direct)
			if err != nil {
				return
			}
			s.report.add(rowStorm, 1)
			_, _ = w.ask("SUB storm\n")
			if abrupt {
				w.reset()
			} else {
				w.shut()
			}
		})
	}
	coming.Wait()
}

// vanish subscribes from the far island and closes while its link is down: the server hears nothing of it.
func (s *run) vanish(ctx context.Context, _ *rand.Rand) {
	if s.far == nil {
		pause(ctx, time.Second)
		return
	}
	if err := s.far.up(); err != nil {
		s.report.fail("%v", err)
		return
	}
	var gone []*wire
	for range 10 {
		sock, err := s.far.dial(s.target.current().addr)
		if err != nil {
			continue
		}
		s.report.add(rowConns, 1)
		w := newWire(sock)
		if _, err := w.ask("SUB flood:0 flood:1\n"); err != nil {
			w.shut()
			continue
		}
		gone = append(gone, w)
	}
	if err := s.far.down(); err != nil {
		s.report.fail("%v", err)
	}
	for _, w := range gone {
		w.reset() // its RST goes nowhere, and nothing is sent again
	}
	s.report.add(rowVanished, int64(len(gone)))
	pause(ctx, 15*time.Second) // longer than a peer may take nothing
}

// descriptors starts a server of its own that has few descriptors, and takes all of them.
func (s *run) descriptors(ctx context.Context, _ *rand.Rand) {
	p, err := launch(s.report, "ulimit -n 64; ", "127.0.0.1:0", "--log-format", "json")
	if err != nil {
		s.report.fail("a server with few descriptors: %v", err)
		return
	}
	own := &run{report: s.report, target: &target{report: s.report, process: p}}
	if err := own.exhaust(ctx); err != nil {
		s.report.fail("descriptors: %v", err)
	}
	if err := p.end(9); err == nil {
		s.report.fail("a killed server exits 0")
	}
	s.report.add(rowAcceptPauses, p.pauses.Load())
}

// exhaust holds that those who are connected notice nothing while all descriptors are taken, and that others get in when
// some are given back.
func (s *run) exhaust(ctx context.Context) error {
	first, err := s.dial(direct)
	if err != nil {
		return err
	}
	defer first.shut()
	if _, err := first.ask("SUB a\n"); err != nil {
		return err
	}
	var crowd []*wire
	for range 100 {
		w, err := s.dial(direct) // the kernel takes them, conch cannot
		if err != nil {
			return err
		}
		crowd = append(crowd, w)
	}
	for deadline := time.Now().Add(patience); s.target.process.pauses.Load() == 0; pause(ctx, time.Millisecond) {
		if time.Now().After(deadline) {
			return errors.New("accepting does not pause")
		}
	}
	for range 10 {
		if answer, err := first.ask("PUB a still here\n"); err != nil || answer != "OK PUB a\n" {
			return fmt.Errorf("answered %q, %w", answer, err)
		}
		if answer, err := first.frame(); err != nil || answer != "UPDATE a still here\n" {
			return fmt.Errorf("got %q, %w", answer, err)
		}
	}
	for _, w := range crowd {
		w.shut()
	}
	late, err := s.dial(direct)
	if err != nil {
		return err
	}
	defer late.shut()
	if answer, err := late.ask("PING\n"); err != nil || answer != "+PONG\r\n" {
		return fmt.Errorf("late: %q, %w", answer, err)
	}
	s.report.add(rowDescriptors, 1)
	return nil
}
