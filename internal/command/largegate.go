package command

import (
	"sync/atomic"
	"time"

	"github.com/conchmq/conch/internal/outbox"
)

const (
	// maxInGate is how many readers of large commands are in the gate at once. The other ones hold what has arrived so far.
	maxInGate = 4
	// gatePatience is how long none has left the gate until one more passes: the clients of those in it may be slow.
	gatePatience = 100 * time.Millisecond
	// gatePart is the part of max-memory above which the gate is in use.
	gatePart = 4
)

// largeGate lets few readers at a time go on with a large command while clients hold much memory. Without it, all of them hold a
// part, none has the rest, and the largest are evicted.
type largeGate struct {
	held chan struct{} // one value for each reader in it
	left atomic.Int64  // counts those that have left
}

func (g *largeGate) init() { g.held = make(chan struct{}, maxInGate) }

// gatePass is what a reader has from the gate.
type gatePass uint8

const (
	passNone gatePass = iota
	passHeld
	passFree // others were too slow
)

// enterLargeGate waits for the gate, before a buffer grows large. It returns without a pass if memory is there, or if the
// connection ends.
func (r *Reader) enterLargeGate() {
	g, m := &r.service.largeGate, &r.service.memory
	if r.pass != passNone || 2*r.filled <= outbox.LargeBuffers.BufferSize || !m.IsAbovePart(gatePart) {
		return
	}
	select {
	case g.held <- struct{}{}:
		r.pass = passHeld
		return
	default:
	}
	timer := time.NewTimer(gatePatience)
	defer timer.Stop()
	for left := g.left.Load(); m.IsAbovePart(gatePart); left = g.left.Load() {
		timer.Reset(gatePatience)
		select {
		case g.held <- struct{}{}:
			r.pass = passHeld
			return
		case <-timer.C:
			if g.left.CompareAndSwap(left, left+1) { // for the other ones that wait, it is as if a reader had left
				r.pass = passFree
				return
			}
		case <-r.abort.done():
			return
		}
	}
}

// leaveLargeGate gives the pass back, unless the connection still has a large command, or a transaction.
func (r *Reader) leaveLargeGate() {
	if r.pass == passNone || r.buf.Size() > int64(outbox.LargeBuffers.BufferSize) || r.usage.queued.Load() > 0 {
		return
	}
	r.dropPass()
}

// dropPass gives the pass back.
func (r *Reader) dropPass() {
	if r.pass == passHeld {
		<-r.service.largeGate.held
		r.service.largeGate.left.Add(1)
	}
	r.pass = passNone
}
