package command

import (
	"time"

	"github.com/conchmq/conch/internal/uptime"
)

// sweepEvery is how often outboxes are looked at for the soft limit; SlowTime is kept to within that.
const sweepEvery = time.Second

// sweep evicts who has been over the soft limit for too long, or has not said who it is for too long. It is a clock outside the core: what it finds enters
// the core as a request.
func (s *Service) sweep() {
	every := min(sweepEvery, max(min(s.options.SlowTime, s.options.AuthTimeout)/4, time.Millisecond))
	tick := time.NewTicker(every)
	defer tick.Stop()
	for last := uptime.Now(); ; {
		select {
		case <-s.stopping:
			return
		case now := <-tick.C:
			s.usage.heapBytes()
			at := uptime.Now()
			s.sweepConns(at, lateness(at-last, every))
			last = at
			s.expireTokens(now)
		}
	}
}

// lateness is how much later a tick came than it should have. Up to a period is a busy machine; more is a process that
// was stopped, or a machine that was.
func lateness(since, every time.Duration) time.Duration {
	if since <= 2*every {
		return 0
	}
	return since - every
}

// sweepConns evicts those connections whose time is over at a moment. late is the time before it in which the process
// stood still: no client could do anything about it, so it does not count for slow-time and auth-timeout.
func (s *Service) sweepConns(at, late time.Duration) {
	s.clock.Store(int64(at))
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns.all() {
		if late > 0 {
			c.creditPause(late, at)
		}
		if reason := c.sweepReason(at); reason != CloseReasonNone {
			s.tasks.Go(func() { c.submitEvict(reason) }) // Submit may wait; the lock must not
		}
	}
}
