//go:build unix

package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
)

// listenUnix opens a Unix socket. The mode is in force from the first moment: the umask sets it, not a later chmod.
func listenUnix(path string, mode fs.FileMode) (net.Listener, error) {
	if err := removeStaleSocket(path); err != nil {
		return nil, fmt.Errorf("cannot listen on the Unix socket %s: %w", path, err)
	}
	before := syscall.Umask(0o777 &^ int(mode)) // it is the umask of the process: no other file is made meanwhile
	l, err := net.Listen("unix", path)
	syscall.Umask(before)
	if errno := syscall.Errno(0); errors.As(err, &errno) {
		err = errno // without the system call and the path, which the message has
	}
	if err != nil {
		return nil, fmt.Errorf("cannot listen on the Unix socket %s: %w; its folder must exist, and conch be allowed to write there", path, err)
	}
	return l, nil // Close removes the file
}

// removeStaleSocket removes the socket file of a process that was killed. A socket with a listening process stays:
// without its file, no client could reach that process.
func removeStaleSocket(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return errors.Unwrap(err)
	case info.Mode().Type() != fs.ModeSocket:
		return errors.New("something else is there, which conch does not replace; remove it or choose another path")
	}
	probe, err := net.Dial("unix", path)
	if err == nil {
		_ = probe.Close() // the probe has done its work
	}
	if !errors.Is(err, syscall.ECONNREFUSED) { // any other error, such as EACCES or EAGAIN, does not prove that the socket is stale
		return errors.New("another conch (or another program) has it; choose another path")
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("a socket without a listening process is there, and cannot be removed: %w", errors.Unwrap(err))
	}
	return nil
}
