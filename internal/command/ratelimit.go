package command

import (
	"sync"
	"time"
)

// burst is how many lines a logLimiter allows at once, before there is one a second.
const burst = 10

// logLimiter suppresses log lines of one sort when they come too fast: unauthenticated peers can cause them, and must not fill a disk.
type LogLimiter struct {
	mu         sync.Mutex
	used       int           // of burst; one a second comes free
	last       time.Duration // when one came free last
	suppressed int           // lines kept back since one passed
}

// allow tells whether a line may be written at a moment by uptime, and how many were kept back before it.
func (l *LogLimiter) Allow(now time.Duration) (suppressed int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if free := (now - l.last) / time.Second; free > 0 {
		l.used = max(0, l.used-int(min(free, burst)))
		l.last += free * time.Second
	}
	if l.used == burst {
		l.suppressed++
		return 0, false
	}
	l.used++
	suppressed, l.suppressed = l.suppressed, 0
	return suppressed, true
}
