package command

import (
	"cmp"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"github.com/conchmq/conch/broker"
)

// evictLargestLoop runs while the service does. It adapts the garbage collector to the memory
// that clients hold, and has the core evict connections above max-memory.
//
// Publishes do not wait for an eviction, so memory may exceed the cap for a moment.
func (s *Service) evictLargestLoop() {
	percent := 0
	follow := func() {
		unsynced := int64(0)
		if store := s.streams.store; store != nil {
			unsynced = store.Unsynced()
		}
		now := s.memory.GCPercent(unsynced)
		if now != percent && s.options.Collect != nil {
			s.options.Collect(now)
		}
		percent = now
	}
	if s.options.MaxMemory > 0 {
		follow()
	}
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-s.stopping:
			return
		case <-s.memory.Wake():
		case <-tick.C:
		}
		if s.options.MaxMemory == 0 {
			continue
		}
		follow()
		if s.memory.IsOver() {
			s.runOnCore(func(broker.View) { s.evictLargest() })
		}
		s.memory.EndPass()
	}
}

// awaitMemory makes the reader wait while clients exceed max-memory: its next buffer comes on
// top.
//
// It returns after an eviction, or when the connection ends. A pass comes with each tick at the
// latest.
func (r *Reader) awaitMemory() {
	m := &r.service.memory
	for first := true; m.IsOver() && r.Reason() == CloseReasonNone; first = false {
		passed := m.NextPass()
		// Later passes come by themselves: memory may be about to be released.
		if first {
			m.Notify()
		}
		select {
		case <-passed:
		case <-r.service.stopping:
			return
		}
	}
}

// memoryClaim is the memory of one connection, while the core looks for connections to evict.
// all includes waits, which is in the outbox.
type memoryClaim struct {
	executor   *executor
	all, waits int64
}

// compare orders connections by eviction: first those with full outboxes, because they do not
// read, then the largest. A publisher of a large message holds that too, but with good reason.
func (a memoryClaim) compare(b memoryClaim, much int64) int {
	if a.waits < much && b.waits < much {
		return cmp.Compare(b.all, a.all)
	}
	return cmp.Compare(b.waits, a.waits)
}

// minWaits and waitsPart are from how many bytes in its outbox on a connection goes first: so many, or that part of the cap.
const (
	// minWaits and waitsPart are the outbox sizes from which a connection is evicted first: so
	// many bytes, or that part of the cap.
	minWaits  = 64 << 10
	waitsPart = 64
	// roomPart is the part of the cap that an eviction frees beyond the excess: finding the
	// next connection costs as much as there are connections.
	roomPart = 8
)

// evictLargest evicts the largest connections until memory is somewhat below max-memory.
//
// It runs on the core's goroutine, also within a delivery. Messages to an evicted connection
// are lost from that moment.
func (s *Service) evictLargest() {
	m := &s.memory
	m.OverOnCore = false
	claims, excess := s.claims()
	if excess <= 0 {
		return
	}
	excess += s.options.MaxMemory / roomPart
	much := max(minWaits, s.options.MaxMemory/waitsPart)
	// A connection with much less than its part would free too little.
	least := s.options.MaxMemory / int64(4*max(1, len(claims)))
	slices.SortFunc(claims, func(a, b memoryClaim) int { return a.compare(b, much) })
	var evicted []*executor
	for _, cl := range claims {
		if excess <= 0 || cl.all < least {
			break
		}
		cl.executor.evictNow(CloseReasonMaxMemory)
		cl.executor.Log(zerolog.WarnLevel).Stringer("peer", cl.executor.Peer()).Int64("held_bytes", cl.all).Int64("all_held_bytes", m.Used()).
			Int64("max_memory_bytes", s.options.MaxMemory).Msg("max-memory exceeded: evicting the largest connection")
		excess -= cl.all // an upper bound, because buffers are shared; a later pass evicts more if needed
		evicted = append(evicted, cl.executor)
	}
	// Submit may wait, and the core must not.
	s.tasks.Go(func() {
		for _, e := range evicted {
			e.submitEvict(CloseReasonMaxMemory)
		}
	})
}

// claims returns the memory of all connections that are not ending, and the excess that remains
// once those have ended.
func (s *Service) claims() (claims []memoryClaim, excess int64) {
	excess = s.memory.Excess()
	for _, c := range s.all() {
		all, waits := c.usedMemory()
		if c.Reason() != CloseReasonNone {
			excess -= c.releasableMemory() + c.outbox.DequeuedBytes()
			continue
		}
		queued := c.executor.pendingBytes()
		claims = append(claims, memoryClaim{&c.executor, all + queued, waits + queued})
	}
	return claims, excess
}

// evictNow ends a connection within a delivery. Its subscriptions stay for now: subscriber sets
// must not change under a delivery. The eviction that follows removes them.
func (e *executor) evictNow(reason CloseReason) {
	e.closing = true
	e.removeMonitor()
	e.End(reason)
	e.sendCloseNotice(reason)
	e.Flush() // the outbox drops these frames
}
