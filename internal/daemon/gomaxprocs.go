package daemon

import (
	"os"
	"runtime"
	"time"

	"github.com/conchmq/conch/internal/cputime"
)

// When scaleProcs changes the number of processors.
const (
	tickEvery        = 100 * time.Millisecond
	busyAbove        = 0.7 // share of the processors in use; above it, they are doubled
	idleBelow        = 0.4 // share; below it for idleTicksToHalve ticks in a row, they are halved
	idleTicksToHalve = 20
)

// procScaler decides GOMAXPROCS. An idle processor is not free: the runtime wakes a thread for each goroutine that
// becomes ready, the thread finds no work and sleeps again. At 5,000 messages a second on two processors that was half
// of the CPU time used. So one processor is in use until it is busy (decision 013).
type procScaler struct {
	now, maxProcs int
	idleTicks     int // ticks in a row below idleBelow
}

// step takes the CPU time used since the last tick, in processors, and returns the number to use from now on.
func (p *procScaler) step(used float64) int {
	share := used / float64(p.now)
	if share >= idleBelow {
		p.idleTicks = 0
	}
	switch {
	case share > busyAbove:
		p.now = min(2*p.now, p.maxProcs)
	case share < idleBelow && p.now > 1:
		if p.idleTicks++; p.idleTicks == idleTicksToHalve {
			p.now, p.idleTicks = p.now/2, 0
		}
	}
	return p.now
}

// scaleProcs adapts the number of processors until stop is closed. An operator that sets GOMAXPROCS keeps that number.
func scaleProcs(stop <-chan struct{}) {
	p := procScaler{now: 1, maxProcs: runtime.GOMAXPROCS(0)}
	if _, decided := os.LookupEnv("GOMAXPROCS"); decided || p.maxProcs == 1 {
		return
	}
	defer runtime.SetDefaultGOMAXPROCS()
	runtime.GOMAXPROCS(p.now)
	watchLoad(stop, tickEvery, func(used float64) {
		if was := p.now; p.step(used) != was {
			runtime.GOMAXPROCS(p.now)
		}
	})
}

// watchLoad calls step at each tick with the CPU time used since the last one, in processors, until stop is closed. What
// step itself takes is no load.
func watchLoad(stop <-chan struct{}, every time.Duration, step func(used float64)) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	then, used := time.Now(), processorTime()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		step(float64(processorTime()-used) / float64(time.Since(then)))
		then, used = time.Now(), processorTime()
	}
}

// processorTime is the CPU time of this process so far, user and system.
func processorTime() time.Duration {
	user, system := cputime.Used()
	return user + system
}
