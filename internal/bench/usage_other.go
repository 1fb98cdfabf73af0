//go:build !linux

package bench

import (
	"errors"
	"time"
)

// usage is the resource usage of a process.
type usage struct {
	cpu       time.Duration
	rss, peak int64
	err       error
}

// readUsage works on Linux only.
func readUsage(pid int) usage {
	if pid == 0 {
		return usage{}
	}
	return usage{err: errors.New("a process can be accounted on Linux only")}
}
