package bench

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// preciseTimer wakes a publisher on schedule. Timers of the runtime fire up to a millisecond late in an idle process,
// because the poller's timeout counts milliseconds; a timerfd wakes the poller itself.
type preciseTimer struct{ file *os.File }

func newPreciseTimer() (*preciseTimer, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("cannot make a timer: %w", err)
	}
	return &preciseTimer{os.NewFile(uintptr(fd), "timer")}, nil
}

// wait returns after d, or with an error when the timer is closed.
func (t *preciseTimer) wait(d time.Duration) error {
	raw, err := t.file.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(max(d, 1)))}
	if err := raw.Control(func(fd uintptr) { failed = unix.TimerfdSettime(int(fd), 0, &spec, nil) }); err != nil {
		return err
	}
	if failed != nil {
		return fmt.Errorf("cannot set a timer: %w", failed)
	}
	var expirations [8]byte
	_, err = t.file.Read(expirations[:])
	return err
}

func (t *preciseTimer) close() { _ = t.file.Close() } // nothing to flush
