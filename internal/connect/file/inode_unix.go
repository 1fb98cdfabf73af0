//go:build unix

package file

import (
	"os"
	"syscall"
)

// noWait has opening a named pipe return at once.
const noWait = syscall.O_NONBLOCK

// inodeOf is what a file is known by, whatever its name is.
func inodeOf(info os.FileInfo) uint64 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return stat.Ino
	}
	return 0
}
