package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
)

// listenUnix opens a Unix socket. Whom mode does not let in cannot connect, not even in its first instant.
func listenUnix(path string, mode fs.FileMode) (net.Listener, error) {
	if err := removeStaleSocket(path); err != nil {
		return nil, fmt.Errorf("cannot listen on the Unix socket %s: %w", path, err)
	}
	before := syscall.Umask(0o777 &^ int(mode)) // the whole process has one: conch makes no other file meanwhile
	l, err := net.Listen("unix", path)
	syscall.Umask(before)
	if errno := syscall.Errno(0); errors.As(err, &errno) {
		err = errno // without the name of the system call, and the path once more
	}
	if err != nil {
		return nil, fmt.Errorf("cannot listen on the Unix socket %s: %w; its folder must exist, and conch be allowed to write there", path, err)
	}
	return l, nil // Close removes the file
}

// removeStaleSocket removes the socket of a conch that was killed, if that is what is there. A socket that somebody answers
// on is not touched: its owner would go on and never be reached again.
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
		_ = probe.Close() // it has told what it was for
	}
	if !errors.Is(err, syscall.ECONNREFUSED) { // nor when nobody may ask, or the one who answers is busy
		return errors.New("another conch (or another program) has it; choose another path")
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("a socket that nobody answers on is there, and cannot be removed: %w", errors.Unwrap(err))
	}
	return nil
}
