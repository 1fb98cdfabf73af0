package log

import "time"

// pace spreads work over time. It saves nothing up: what was idle is over.
type pace struct {
	rate int64 // bytes a second; 0 is no bound
	next time.Time
}

// after counts bytes, and returns how long to wait behind them.
func (p *pace) after(bytes int64) time.Duration {
	if p.rate <= 0 {
		return 0
	}
	now := time.Now()
	if p.next.Before(now) {
		p.next = now
	}
	p.next = p.next.Add(time.Duration(float64(bytes) / float64(p.rate) * float64(time.Second)))
	return p.next.Sub(now)
}

// throttle counts bytes that the rewriter has read or written, a few at once, and waits as Options.CompactRate demands. It does not wait
// while the disk is full, or another goroutine waits for the rewriter. It returns false once the log is closing.
func (l *Log) throttle(bytes int64) bool {
	r := l.rewriter
	if l.full.Load() || r.hurries.Load() > 0 {
		return !l.isClosing()
	}
	wait := r.pace.after(bytes)
	if wait <= 0 {
		return !l.isClosing()
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-l.closed:
		return false
	case <-timer.C:
		return true
	}
}
