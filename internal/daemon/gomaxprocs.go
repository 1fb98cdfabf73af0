package daemon

import (
	"os"
	"runtime"
	"syscall"
	"time"
)

// How the number of processors follows the load.
const (
	tickEvery        = 100 * time.Millisecond
	busyAbove        = 0.7 // of the processors in use: then there are to be twice as many
	idleBelow        = 0.4 // of the processors in use, for idleTicksToHalve ticks in a row: then half as many
	idleTicksToHalve = 20
)

// procScaler is how many threads the runtime lets run Go code at once. One that is idle is not free: the runtime wakes
// it for every goroutine that becomes ready, it finds nothing to do, and goes back to sleep. At 5,000 messages a second
// on two processors that was half of all the CPU time used. So one processor serves until it is busy.
type procScaler struct {
	now, maxProcs int
	idleTicks     int // ticks in a row that found too little to do
}

// step is told how many processors' worth of time was used lately, and returns how many there are to be.
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

// scaleProcs keeps the number of processors right until stop is closed. Whoever sets GOMAXPROCS has decided already.
func scaleProcs(stop <-chan struct{}) {
	p := procScaler{now: 1, maxProcs: runtime.GOMAXPROCS(0)}
	if _, decided := os.LookupEnv("GOMAXPROCS"); decided || p.maxProcs == 1 {
		return
	}
	defer runtime.SetDefaultGOMAXPROCS()
	runtime.GOMAXPROCS(p.now)
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	then, used := time.Now(), processorTime()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		now, sum := time.Now(), processorTime()
		if was := p.now; p.step(float64(sum-used)/float64(now.Sub(then))) != was {
			runtime.GOMAXPROCS(p.now)
		}
		then, used = now, sum
	}
}

// processorTime is what this process has used so far, in the kernel too.
func processorTime() time.Duration {
	var r syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &r) != nil {
		return 0 // then nothing ever seems busy, and one processor stays
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
