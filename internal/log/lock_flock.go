//go:build unix && !aix && !solaris

package log

import (
	"os"
	"syscall"
)

// lockFile locks a file until it is closed, or fails with EWOULDBLOCK.
func lockFile(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }
