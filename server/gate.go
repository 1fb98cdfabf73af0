package server

import (
	"sync"
	"time"
)

// burst is how many lines a logLimiter allows at once, before there is one a second.
const burst = 10

// logLimiter suppresses log lines of one sort when they come too fast: unauthenticated peers can cause them, and must not fill a disk.
type logLimiter struct {
	mu         sync.Mutex
	used       int           // of burst; one a second comes free
	last       time.Duration // when one came free last
	suppressed int           // lines kept back since one passed
}

// allow tells whether a line may be written at a moment by uptime, and how many were kept back before it.
func (g *logLimiter) allow(now time.Duration) (held int, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if free := (now - g.last) / time.Second; free > 0 {
		g.used = max(0, g.used-int(min(free, burst)))
		g.last += free * time.Second
	}
	if g.used == burst {
		g.suppressed++
		return 0, false
	}
	g.used++
	held, g.suppressed = g.suppressed, 0
	return held, true
}
