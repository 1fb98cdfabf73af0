// Package uptime counts monotonic time. The wall clock may be set, which must not close a connection, keep one open, or
// delay anything.
package uptime

import "time"

var started = time.Now()

// Now is how long the process has run, in a third of a time.Time's memory. Never 0, which can stand for no time at all.
func Now() time.Duration { return time.Since(started) + 1 }
