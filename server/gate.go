package server

import (
	"sync"
	"time"
)

// gateRoom is how many lines pass a gate at once, before there is one a second.
const gateRoom = 10

// gate keeps back log lines of one sort when they come too fast: strangers can cause them, and must not fill a disk.
type gate struct {
	mu   sync.Mutex
	used int           // of gateRoom; one a second comes free
	last time.Duration // when one came free last
	held int           // lines kept back since one passed
}

// pass tells whether a line may be written at a moment by uptime, and how many were kept back before it.
func (g *gate) pass(now time.Duration) (held int, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if free := (now - g.last) / time.Second; free > 0 {
		g.used = max(0, g.used-int(min(free, gateRoom)))
		g.last += free * time.Second
	}
	if g.used == gateRoom {
		g.held++
		return 0, false
	}
	g.used++
	held, g.held = g.held, 0
	return held, true
}
