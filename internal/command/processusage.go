package command

import (
	"bytes"
	"fmt"
	"os"
	"runtime/metrics"
	"strconv"
	"sync/atomic"

	"github.com/conchmq/conch/internal/cputime"
)

// processUsage tracks what the process takes of the machine. peak is of heapBytes; the sweeper
// and the core update it.
type processUsage struct{ peak atomic.Int64 }

// heapBytes is the size of all heap objects now. Unlike runtime.ReadMemStats, it stops no
// goroutine.
func (u *processUsage) heapBytes() int64 {
	used := metric("/memory/classes/heap/objects:bytes")
	for peak := u.peak.Load(); used > peak && !u.peak.CompareAndSwap(peak, used); {
		peak = u.peak.Load()
	}
	return used
}

// metric adds up metrics of the runtime.
func metric(names ...string) (sum int64) {
	samples := make([]metrics.Sample, len(names))
	for i, name := range names {
		samples[i].Name = name
	}
	metrics.Read(samples)
	for _, s := range samples {
		if s.Value.Kind() == metrics.KindUint64 {
			sum += int64(s.Value.Uint64()) //nolint:gosec // bytes
		}
	}
	return sum
}

// residentMemory is the memory that the kernel holds for the process. Without /proc, it is what
// the runtime has taken and not returned.
func residentMemory() int64 {
	text, err := os.ReadFile("/proc/self/statm") // the kernel generates it: no disk is read
	if fields := bytes.Fields(text); err == nil && len(fields) > 1 {
		if pages, err := strconv.ParseInt(string(fields[1]), 10, 64); err == nil {
			return pages * int64(os.Getpagesize())
		}
	}
	return metric("/memory/classes/total:bytes") - metric("/memory/classes/heap/released:bytes")
}

// infoMemory is the section Memory of INFO.
func infoMemory(w *response) []string {
	s := w.executor.service
	used, resident := s.usage.heapBytes(), residentMemory()
	return []string{
		fmt.Sprintf("used_memory:%d", used),
		"used_memory_human:" + formatBytes(used),
		fmt.Sprintf("used_memory_rss:%d", resident),
		fmt.Sprintf("used_memory_peak:%d", s.usage.peak.Load()),
		fmt.Sprintf("maxmemory:%d", s.options.MaxMemory),
		"maxmemory_human:" + formatBytes(s.options.MaxMemory),
		"maxmemory_policy:noeviction",
		fmt.Sprintf("mem_fragmentation_ratio:%.2f", float64(resident)/float64(max(1, used))),
	}
}

// formatBytes formats a size as Redis does.
func formatBytes(n int64) string {
	if n < 1<<10 {
		return fmt.Sprintf("%dB", n)
	}
	value, units := float64(n)/(1<<10), "KMGTP"
	for value >= 1<<10 && len(units) > 1 {
		value, units = value/(1<<10), units[1:]
	}
	return fmt.Sprintf("%.2f%c", value, units[0])
}

// infoCPU is the section CPU of INFO.
func infoCPU(*response) []string {
	user, system := cputime.Used()
	return []string{
		fmt.Sprintf("used_cpu_sys:%.6f", system.Seconds()),
		fmt.Sprintf("used_cpu_user:%.6f", user.Seconds()),
	}
}
