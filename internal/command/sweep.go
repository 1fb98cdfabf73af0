package command

import (
	"time"

	"github.com/conchmq/conch/internal/uptime"
)

// sweepEvery is the period of the sweeper. SlowTime and AuthTimeout are kept to within it.
const sweepEvery = time.Second

// sweep evicts connections that exceed the soft limit, or stay unauthenticated, for too long.
// It runs while the service does.
//
// The core has no clock. The sweeper is one outside of it: what it finds enters the core as a
// request.
func (s *Service) sweep() {
	// Limits under four seconds need a shorter period.
	every := min(sweepEvery, max(min(s.options.SlowTime, s.options.AuthTimeout)/4, time.Millisecond))
	tick := time.NewTicker(every)
	defer tick.Stop()
	ticked := uptime.Now()
	for last := ticked; ; {
		select {
		case <-s.stopping:
			return
		case now := <-tick.C:
			s.usage.heapBytes()
			at := uptime.Now()
			s.sweepConns(at, lateness(at-last, every))
			last = at
			s.expireTokens(now)
			s.cursors.noteAll(at)
			if s.options.Order != nil && at-ticked >= sweepEvery {
				ticked = at
				s.Tick() // this node may have begun to lead
			}
		}
	}
}

// lateness is how much too late a tick came. Up to one period is a busy machine; more means
// that the process, or the machine, was stopped.
func lateness(since, every time.Duration) time.Duration {
	if since <= 2*every {
		return 0
	}
	return since - every
}

// sweepConns evicts the connections that are out of time. late is how long the process stood
// still before: clients could not act in that time, so it does not count.
func (s *Service) sweepConns(at, late time.Duration) {
	s.clock.Store(int64(at))
	s.Counts.messages.SetClock(at)
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns.all() {
		if late > 0 {
			c.creditPause(late, at)
		}
		if reason := c.sweepReason(at); reason != CloseReasonNone {
			s.tasks.Go(func() { c.submitEvict(reason) }) // Submit may wait, and the lock must not be held
		}
	}
}
