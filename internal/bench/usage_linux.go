package bench

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"
)

// tick is the unit of times in /proc: 10 ms on every Linux, whatever the kernel's own tick.
const tick = time.Second / 100

// usage is the resource usage of a process.
type usage struct {
	cpu       time.Duration // user and system time since it began
	rss, peak int64         // bytes
	err       error         // reason without values
}

// readUsage reads the usage of a process on this machine. It returns the zero value for process 0.
func readUsage(pid int) usage {
	if pid == 0 {
		return usage{}
	}
	var u usage
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err == nil {
		u.cpu, err = parseStat(stat)
	}
	if err == nil {
		var status []byte
		status, err = os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		u.rss, u.peak = parseStatus(status, "VmRSS:"), parseStatus(status, "VmHWM:")
	}
	if errors.Is(err, os.ErrNotExist) {
		err = fmt.Errorf("there is no process %d on this machine", pid)
	}
	u.err = err
	return u
}

// parseStat parses the CPU time of /proc/PID/stat. The second field is the program's name in parentheses, which may
// contain any character; utime and stime are the 12th and 13th field after it.
func parseStat(stat []byte) (time.Duration, error) {
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return 0, errors.New("the process cannot be read: /proc does not have its times")
	}
	var sum int64
	for _, field := range fields[11:13] {
		n, err := strconv.ParseInt(string(field), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("the process cannot be read: %w", err)
		}
		sum += n
	}
	return time.Duration(sum) * tick, nil
}

// parseStatus returns one size of /proc/PID/status in bytes, or 0 without it.
func parseStatus(status []byte, key string) int64 {
	_, rest, _ := bytes.Cut(status, []byte("\n"+key))
	value, _, _ := bytes.Cut(rest, []byte("kB"))
	n, _ := strconv.ParseInt(string(bytes.TrimSpace(value)), 10, 64) // absent is 0
	return n << 10
}
