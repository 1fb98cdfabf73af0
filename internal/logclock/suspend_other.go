//go:build !linux

package logclock

import "time"

// suspended is not known: after a suspension the clock slews.
func (*machine) suspended() time.Duration { return 0 }
