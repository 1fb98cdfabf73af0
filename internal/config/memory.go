package config

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
)

// auto is the value of settings that follow the machine or other settings.
const auto = "auto"

// setMaxMemory reads a size; auto is half of the memory of the machine.
func setMaxMemory(c *Config, text string) error {
	if strings.EqualFold(text, auto) {
		c.Server.MaxMemory = machineMemory(os.ReadFile) / 2
		return nil
	}
	n, err := ParseSize(text)
	if err != nil {
		return fmt.Errorf("%w, or auto", err)
	}
	c.Server.MaxMemory = int64(n)
	return nil
}

// setRecent reads a size; none is 0.
func setRecent(c *Config, text string) (err error) {
	c.Server.Recent, c.autoRecent = 0, strings.EqualFold(text, auto)
	if c.autoRecent || text == none || text == "0" {
		return nil
	}
	if c.Server.Recent, err = ParseSize(text); err != nil {
		return fmt.Errorf("%w, or %s, or %s", err, none, auto)
	}
	return nil
}

// recentByListeners is the value of recent that auto stands for. Browsers come and go, and resume where they were, so HTTP has
// messages to resume from. A quarter of a small max-memory is the most.
func (c *Config) recentByListeners() int {
	const usual = 64 << 20
	switch {
	case c.HTTP == "" && c.HTTPS == "":
		return 0
	case c.Server.MaxMemory > 0:
		return int(min(usual, c.Server.MaxMemory/4))
	}
	return usual
}

// machineMemory is the memory that this process can have: that of the machine, or less in a control group; 0 if unknown.
func machineMemory(read func(name string) ([]byte, error)) int64 {
	least := int64(math.MaxInt64)
	take := func(n int64, err error) {
		if err == nil && n > 0 {
			least = min(least, n)
		}
	}
	for _, name := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		if text, err := read(name); err == nil {
			take(strconv.ParseInt(string(bytes.TrimSpace(text)), 10, 64)) // "max" does not parse: no limit
		}
	}
	if text, err := read("/proc/meminfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if fields := strings.Fields(line); len(fields) >= 2 && fields[0] == "MemTotal:" {
				n, err := strconv.ParseInt(fields[1], 10, 64)
				take(n<<10, err)
			}
		}
	}
	if least == math.MaxInt64 {
		return 0
	}
	return least
}
