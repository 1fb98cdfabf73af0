package command

import (
	"time"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/position"
)

// A client that comes from another node may have seen more of the one sequence than this node has applied. Nothing is missing then: the
// reader waits until this node is as far.

const (
	// aheadWait is how long a reader waits. A node is some milliseconds behind; a number that no node has given is reported as missed.
	aheadWait = 2 * time.Second
	// aheadEvery is how often it looks.
	aheadEvery = 5 * time.Millisecond
)

// awaitPositions waits until this node has applied what the subscriptions of a command follow.
func (r *Reader) awaitPositions(inv *invocation) {
	wanted := uint64(0)
	for _, f := range inv.predicates {
		if start, ok := f.Start.(*replay); ok && start.from.Kind == position.Number && start.from.Epoch == r.service.Epoch() {
			wanted = max(wanted, start.from.Number)
		}
	}
	if wanted > 0 {
		r.awaitSequence(wanted - 1)
	}
}

// awaitSequence waits until the sequence has a number, unless the connection ends or it takes too long.
func (r *Reader) awaitSequence(number uint64) {
	var last uint64
	look := func() bool {
		return r.service.runOnCore(func(v broker.View) { last = v.Stats().Sequence }) && last < number
	}
	if !look() {
		return
	}
	tick, enough := time.NewTicker(aheadEvery), time.NewTimer(aheadWait)
	defer tick.Stop()
	defer enough.Stop()
	for {
		select {
		case <-tick.C:
			if !look() {
				return
			}
		case <-enough.C:
			return
		case <-r.abort.done():
			return
		case <-r.service.stopping:
			return
		}
	}
}
