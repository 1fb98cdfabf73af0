package bench

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// alarm wakes a publisher at its time. The runtime's own timers come up to a millisecond late in a process that is
// otherwise idle, because that is the unit of the poller's timeout; a timer that is a file wakes the poller itself.
type alarm struct{ file *os.File }

func newAlarm() (*alarm, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("cannot make a timer: %w", err)
	}
	return &alarm{os.NewFile(uintptr(fd), "timer")}, nil
}

// wait returns after d, or with an error once the alarm is closed.
func (a *alarm) wait(d time.Duration) error {
	raw, err := a.file.SyscallConn()
	if err != nil {
		return err //nolint:wrapcheck // closed
	}
	var failed error
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(max(d, 1)))}
	if err := raw.Control(func(fd uintptr) { failed = unix.TimerfdSettime(int(fd), 0, &spec, nil) }); err != nil {
		return err //nolint:wrapcheck // closed
	}
	if failed != nil {
		return fmt.Errorf("cannot set a timer: %w", failed)
	}
	var expirations [8]byte
	_, err = a.file.Read(expirations[:])
	return err //nolint:wrapcheck // closed
}

func (a *alarm) close() { _ = a.file.Close() } // it holds nothing
