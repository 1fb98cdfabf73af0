package daemon

import (
	"os"
	"runtime"
	"runtime/debug"
	"time"
)

// collect sets GOGC, which the server lowers near max-memory. An operator that sets GOGC or GOMEMLIMIT keeps that.
func collect(percent int) {
	_, limit := os.LookupEnv("GOMEMLIMIT")
	if _, rate := os.LookupEnv("GOGC"); !limit && !rate {
		debug.SetGCPercent(percent)
	}
}

// When releaseMemory gives memory back to the system.
const (
	loadTickEvery  = time.Second
	loadAbove      = 0.10 // processors; a tick above it is a load
	quietBelow     = 0.02 // processors; a tick below it is quiet
	quietToRelease = 5    // quiet ticks in a row
)

// memoryReleaser decides when to give back memory: once after each load. The runtime itself keeps what pools and
// garbage hold until the next collection, which is two minutes away where nothing allocates.
type memoryReleaser struct {
	loaded     bool // there was a load since the last release
	quietTicks int  // in a row
}

// step takes the CPU time used since the last tick, in processors, and reports whether it is time.
func (m *memoryReleaser) step(used float64) bool {
	m.loaded = m.loaded || used > loadAbove
	if m.quietTicks++; used >= quietBelow {
		m.quietTicks = 0
	}
	if !m.loaded || m.quietTicks < quietToRelease {
		return false
	}
	*m = memoryReleaser{}
	return true
}

// releaseMemory gives back memory after each load, until stop is closed.
func releaseMemory(stop <-chan struct{}) {
	var m memoryReleaser
	watchLoad(stop, loadTickEvery, func(used float64) {
		if m.step(used) {
			runtime.GC() // pools let go of their memory at the second collection
			debug.FreeOSMemory()
		}
	})
}
