//go:build !linux

package bench

import (
	"errors"
	"time"
)

// usage is what a process has used.
type usage struct {
	cpu       time.Duration
	rss, peak int64
	err       error
}

// readUsage is for Linux alone.
func readUsage(pid int) usage {
	if pid == 0 {
		return usage{}
	}
	return usage{err: errors.New("a process can be accounted on Linux only")}
}
