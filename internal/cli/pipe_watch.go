package cli

import (
	"errors"
	"io"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// watchReader calls stop when w is a pipe that nobody reads any more. A write would find out too, but the next message
// may be long in coming, and conch sub news | head -1 is to end. What it returns ends the watch, and waits for that.
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
		return func() {} // then the next write finds out
	}
	var watch sync.WaitGroup
	watch.Go(func() {
		if hungUp(file, wake) {
			stop()
		}
	})
	return func() {
		_ = quit.Close() // which is what wake waits for
		watch.Wait()
		_ = wake.Close()
	}
}

// hungUp waits until nobody reads the pipe any more, or wake is closed at its other end. It tells which.
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
