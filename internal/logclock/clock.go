// Package logclock has the clock of the log: it orders the times of what is logged, also where the wall clock is set.
package logclock

import "time"

const (
	// slew is the part of the time that passes by which the clock goes faster or slower than the monotonic one.
	slew = 10
	// longPause is the time after which the clock does not slew: nothing was logged meanwhile that a step could confuse.
	longPause = 10 * time.Second
	// longestWait bounds what Until returns: deadlines may be as far away as a number allows.
	longestWait = 100 * 365 * 24 * time.Hour
)

// Clock shows milliseconds of Unix time, and never goes back. It belongs to one goroutine.
//
// It goes on from the last time in the log, with monotonic time. Where the wall clock shows another time, it goes a tenth faster
// or slower until both agree. At the start, and after a pause, it is set forward.
type Clock struct {
	source source
	now    time.Duration // since 1970
	ahead  time.Duration // of the wall clock, at the last reading
	last   time.Duration // the monotonic time of the last reading
	asleep time.Duration // how long the machine had been suspended when that was last looked up
}

// source is the clocks of the machine.
type source interface {
	// read returns the wall clock, since 1970, and a clock that is never set.
	read() (wall, monotonic time.Duration)
	// suspended is how long the machine has been suspended since it was started. Monotonic time stands still then.
	suspended() time.Duration
}

// New makes a clock that shows at least last, the last time in the log in milliseconds; 0 if there is none.
func New(last int64) *Clock { return newClock(last, &machine{started: time.Now()}) }

func newClock(last int64, s source) *Clock {
	wall, monotonic := s.read()
	const latest = int64(1<<63-1) / int64(time.Millisecond) / 2
	now := max(wall, time.Duration(min(last, latest))*time.Millisecond)
	return &Clock{source: s, now: now, ahead: now - wall, last: monotonic, asleep: s.suspended()}
}

// Now reads the clock.
func (c *Clock) Now() int64 {
	wall, monotonic := c.source.read()
	passed := monotonic - c.last
	c.last = monotonic
	c.now += passed
	switch ahead := c.now - wall; {
	case ahead >= 0:
		c.now -= min(ahead, passed/slew)
	case passed > longPause, ahead < -longPause && c.wasSuspended():
		c.now = wall
	default:
		c.now += min(-ahead, passed/slew)
	}
	c.ahead = c.now - wall
	return c.now.Milliseconds()
}

// wasSuspended reports whether the machine was suspended for long since it was last looked up.
func (c *Clock) wasSuspended() bool {
	before := c.asleep
	c.asleep = c.source.suspended()
	return c.asleep-before > longPause
}

// Until reads the clock, and returns the time after which it shows at, in whole milliseconds. Where the wall clock is set
// meanwhile, it may then show less: the caller looks again.
func (c *Clock) Until(at int64) time.Duration {
	now := c.Now()
	if at <= now {
		return 0
	}
	if at-now >= longestWait.Milliseconds() {
		return longestWait
	}
	left := time.Duration(at)*time.Millisecond - c.now
	switch {
	case c.ahead > 0 && left/(slew-1) < c.ahead: // slower all the time
		left += (left + slew - 2) / (slew - 1)
	case c.ahead < 0 && left/(slew+1) < -c.ahead: // faster all the time
		left -= left / (slew + 1)
	default: // slower or faster until both agree
		left += c.ahead
	}
	return (left + time.Millisecond - 1).Truncate(time.Millisecond)
}

// machine is the clocks of this machine.
type machine struct{ started time.Time }

func (m *machine) read() (wall, monotonic time.Duration) {
	now := time.Now()
	return time.Duration(now.UnixNano()), now.Sub(m.started)
}
