package log

import (
	"fmt"
	"time"
)

// Fsync is the policy of syncs: after each group, never, or a time after a write.
type Fsync time.Duration

const (
	// No leaves it to the operating system when bytes reach the disk.
	No Fsync = 0
	// Always syncs each group before it is promised.
	Always Fsync = -1
)

// ParseFsync reads a policy as people write it.
func ParseFsync(text string) (Fsync, error) {
	switch text {
	case "always":
		return Always, nil
	case "no":
		return No, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < time.Millisecond || d > time.Hour {
		return 0, fmt.Errorf("fsync is %q; use always, no, or a duration from 1ms to 1h", text)
	}
	return Fsync(d), nil
}

func (f Fsync) String() string {
	switch f {
	case Always:
		return "always"
	case No:
		return "no"
	}
	return time.Duration(f).String()
}
