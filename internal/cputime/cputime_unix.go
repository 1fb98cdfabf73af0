//go:build unix

package cputime

import (
	"syscall"
	"time"
)

// Used is the time so far, outside the kernel and in it.
func Used() (user, system time.Duration) {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r) // it cannot fail for the own process
	return time.Duration(r.Utime.Nano()), time.Duration(r.Stime.Nano())
}
