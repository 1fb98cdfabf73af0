package servers

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// Environment is on what a run was made, without anything that names the machine.
type Environment struct {
	Date, CPU, Kernel, Go string
	Cores                 int
	Memory                string
	Servers               []Description
}

// Look describes the machine and those servers that are there.
func Look(ctx context.Context, there map[string]bool) Environment {
	e := Environment{
		Date: time.Now().Format(time.DateOnly), Cores: runtime.NumCPU(), Go: runtime.Version(),
		CPU: field("/proc/cpuinfo", "model name"), Memory: gibibytes(field("/proc/meminfo", "MemTotal")),
	}
	if release, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		e.Kernel = strings.TrimSpace(string(release))
	}
	for _, s := range all {
		if there[s.Name] {
			e.Servers = append(e.Servers, s.describe(ctx))
		}
	}
	return e
}

// field is the first value of a key in a file of lines "key : value", or "unknown".
func field(file, key string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == key {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

// gibibytes rounds what the kernel counts in kB of 1,024 bytes.
func gibibytes(kib string) string {
	n, err := strconv.Atoi(strings.TrimSuffix(kib, " kB"))
	if err != nil {
		return kib
	}
	return fmt.Sprintf("%.0f GiB", float64(n)/(1<<20))
}

// Machine is one sentence.
func (e Environment) Machine() string {
	return fmt.Sprintf("%s, %d cores for servers and generator together, %s of memory, Linux %s, %s.",
		e.CPU, e.Cores, e.Memory, e.Kernel, e.Go)
}
