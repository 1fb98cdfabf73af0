//go:build unix

package cli

import (
	"errors"
	"io"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// watchReader calls stop when w is a pipe whose read end is closed. Without it, conch sub news | head -1 would end only
// at the next message, whose write fails. end stops the goroutine that watches, and awaits it.
func watchReader(w io.Writer, stop func()) (end func()) {
	file, ok := w.(*os.File)
	if !ok {
		return func() {}
	}
	info, err := file.Stat()
	if err != nil || info.Mode()&os.ModeNamedPipe == 0 {
		return func() {}
	}
	wake, quit, err := os.Pipe()
	if err != nil {
		return func() {} // the next write fails, then
	}
	var watch sync.WaitGroup
	watch.Go(func() {
		if hungUp(file, wake) {
			stop()
		}
	})
	return func() {
		_ = quit.Close() // wake becomes readable
		watch.Wait()
		_ = wake.Close()
	}
}

// hungUp blocks until the read end of pipe is closed, or the other end of wake. It reports whether it was pipe.
func hungUp(pipe, wake *os.File) bool {
	fds := []unix.PollFd{{Fd: int32(pipe.Fd())}, {Fd: int32(wake.Fd()), Events: unix.POLLIN}}
	for {
		_, err := unix.Poll(fds, -1)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case err != nil:
			return false
		}
		return fds[0].Revents&(unix.POLLERR|unix.POLLHUP) != 0
	}
}
