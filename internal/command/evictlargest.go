package command

import (
	"cmp"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"github.com/conchmq/conch/broker"
)

// evictLargestLoop is the goroutine that is woken when clients hold much together. It has the collector keep up, and the core evict
// over the cap. For a moment there may be more than that: nobody waits for it.
func (s *Service) evictLargestLoop() {
	percent := 0
	follow := func() {
		now := s.memory.GCPercent()
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

// awaitMemory holds a reader back while clients hold too much together: what it is about to ask for comes on top. It
// returns when somebody has been evicted for it, or the connection ends. A pass comes with each tick at the latest.
func (r *Reader) awaitMemory() {
	m := &r.service.memory
	for first := true; m.IsOver() && r.Reason() == CloseReasonNone; first = false {
		passed := m.NextPass()
		if first { // later passes come by themselves: what holds the memory may be about to go
			m.Notify()
		}
		select {
		case <-passed:
		case <-r.service.stopping:
			return
		}
	}
}

// memoryClaim is a connection's part in what all hold, while the core looks for those to evict.
type memoryClaim struct {
	executor   *executor
	all, waits int64
}

// compare has the first to go come first: those with much in their outboxes, because they do not read, and then those that
// hold most. A publisher that sends a large message holds it too, for a good reason.
func (a memoryClaim) compare(b memoryClaim, much int64) int {
	if a.waits < much && b.waits < much {
		return cmp.Compare(b.all, a.all)
	}
	return cmp.Compare(b.waits, a.waits)
}

// minWaits and waitsPart are from how many bytes in its outbox on a connection goes first: so many, or that part of the cap.
const (
	minWaits  = 64 << 10
	waitsPart = 64
	// roomPart is the part of the cap that an eviction makes room for beyond it: to look for the next one costs as much
	// as there are connections.
	roomPart = 8
)

// evictLargest evicts those that hold most, until all together hold a little less than they may. It runs on the core's
// goroutine, also in the middle of a delivery: what an evicted connection would still get is lost at once.
func (s *Service) evictLargest() {
	m := &s.memory
	m.OverOnCore = false
	claims, excess := s.claims()
	if excess <= 0 {
		return
	}
	excess += s.options.MaxMemory / roomPart
	much := max(minWaits, s.options.MaxMemory/waitsPart)
	least := s.options.MaxMemory / int64(4*max(1, len(claims))) // a connection with much less than its part would bring nothing
	slices.SortFunc(claims, func(a, b memoryClaim) int { return a.compare(b, much) })
	var evicted []*executor
	for _, cl := range claims {
		if excess <= 0 || cl.all < least {
			break
		}
		cl.executor.evictNow(CloseReasonMaxMemory)
		cl.executor.Log(zerolog.WarnLevel).Stringer("peer", cl.executor.Peer()).Int64("held", cl.all).Int64("all_held", m.Used()).
			Int64("max-memory", s.options.MaxMemory).Msg("clients hold too much memory together: the one that holds most is evicted")
		excess -= cl.all // less, if others share it: then there is a next time
		evicted = append(evicted, cl.executor)
	}
	s.tasks.Go(func() { // Submit may wait, and the core must not
		for _, e := range evicted {
			e.submitEvict(CloseReasonMaxMemory)
		}
	})
}

// claims are those of all connections that are not on their way out, and by how much all hold too much without the others.
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

// evictNow ends a connection at once, as an eviction of the core does, but for leaving what it is subscribed to: the
// subscriber sets must not change under a delivery.
func (e *executor) evictNow(reason CloseReason) {
	e.closing = true
	e.removeMonitor()
	e.End(reason)
	e.sendCloseNotice(reason)
	e.Flush() // what was queued is lost now
}
