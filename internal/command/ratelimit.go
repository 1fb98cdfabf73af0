package command

import (
	"sync"
	"time"
)

// burst is how many lines a LogLimiter allows at once; after that, one a second.
const burst = 10

// LogLimiter limits log lines of one kind. Clients can cause such lines before AUTH, and must
// not fill a disk with them. Any goroutine may use it.
type LogLimiter struct {
	mu         sync.Mutex    // guards what follows
	used       int           // of burst; one a second becomes free
	last       time.Duration // when one became free last
	suppressed int           // lines suppressed since the last allowed one
}

// Allow reports whether a line may be written at an uptime, and how many were suppressed before
// it.
func (l *LogLimiter) Allow(now time.Duration) (suppressed int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	// Whole seconds only: the rest counts for the next line.
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
