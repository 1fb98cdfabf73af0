package main

import (
	"os"
	"runtime"
	"syscall"
	"time"
)

// How the number of processors follows the load.
const (
	lookEvery = 100 * time.Millisecond
	busyAbove = 0.7 // of the processors in use: then there are to be twice as many
	calmBelow = 0.4 // of the processors in use, for calmLooks in a row: then half as many
	calmLooks = 20
)

// processors is how many threads the runtime lets run Go code at once. One that is idle is not free: the runtime wakes
// it for every goroutine that becomes ready, it finds nothing to do, and goes back to sleep. At 5,000 messages a second
// on two processors that was half of all the CPU time used. So one processor serves until it is busy.
type processors struct {
	now, most int
	calm      int // looks in a row that found too little to do
}

// look is told how many processors' worth of time was used lately, and returns how many there are to be.
func (p *processors) look(used float64) int {
	share := used / float64(p.now)
	if share >= calmBelow {
		p.calm = 0
	}
	switch {
	case share > busyAbove:
		p.now = min(2*p.now, p.most)
	case share < calmBelow && p.now > 1:
		if p.calm++; p.calm == calmLooks {
			p.now, p.calm = p.now/2, 0
		}
	}
	return p.now
}

// followLoad keeps the number of processors right until stop is closed. Whoever sets GOMAXPROCS has decided already.
func followLoad(stop <-chan struct{}) {
	p := processors{now: 1, most: runtime.GOMAXPROCS(0)}
	if _, decided := os.LookupEnv("GOMAXPROCS"); decided || p.most == 1 {
		return
	}
	defer runtime.SetDefaultGOMAXPROCS()
	runtime.GOMAXPROCS(p.now)
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	then, used := time.Now(), processorTime()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		now, sum := time.Now(), processorTime()
		if was := p.now; p.look(float64(sum-used)/float64(now.Sub(then))) != was {
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
