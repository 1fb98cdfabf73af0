package cputime

import (
	"syscall"
	"time"
)

// Used is the time so far, outside the kernel and in it.
func Used() (user, system time.Duration) {
	process, err := syscall.GetCurrentProcess()
	if err != nil {
		return 0, 0
	}
	var created, ended, inKernel, outside syscall.Filetime
	if syscall.GetProcessTimes(process, &created, &ended, &inKernel, &outside) != nil {
		return 0, 0
	}
	return duration(outside), duration(inKernel)
}

// duration is a length of time, which Windows counts in units of 100 ns. Filetime.Nanoseconds takes it for a date.
func duration(t syscall.Filetime) time.Duration {
	return time.Duration(int64(t.HighDateTime)<<32|int64(t.LowDateTime)) * 100
}
