package command

import (
	"sync/atomic"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/filter"
)

// subscriptionCost is about what a subscription costs besides its name, with its subscriber
// set. Measured: 250 bytes for the only subscriber of a topic.
const subscriptionCost = 300

// patternCost is about what a pattern costs in addition, in the pattern index. Measured: 170
// bytes each, for 200,000 patterns.
const patternCost = 170

// predicateCost is about what a predicate costs a subscription, besides
// [filter.Predicate.MemSize]. Each connection with the predicate is charged for all of it.
const predicateCost = 768

// memoryUsage is a connection's part of the memory cap; see also streamUsage. Each field names the goroutine that
// changes it; any goroutine may read it.
type memoryUsage struct {
	// reading is the unparsed input. The reader changes it. Its buffer charges itself to the
	// sum of all connections.
	reading atomic.Int64
	// partial is the arguments of an incomplete command. The reader changes it.
	partial atomic.Int64
	// batches is what is on its way to the core, besides buffers. The reader adds, the core
	// subtracts.
	batches atomic.Int64
	// transport is what the transport holds for the connection besides. It changes it.
	transport atomic.Int64
	// names is subscriptions. The core changes it.
	names atomic.Int64
	// queued is a transaction, with its buffers. The core changes it, and charges the rest.
	queued atomic.Int64
	// replays is subscriptions that have not joined. The core changes it.
	replays atomic.Int64
}

// releaseMemory uncharges what the connection held, except its outbox, which uncharges itself.
func (c *Conn) releaseMemory() {
	m := &c.service.memory
	m.SetUsage(&c.usage.partial, 0)
	m.SetUsage(&c.usage.transport, 0)
	m.SetUsage(&c.usage.names, 0)
	m.SetUsage(&c.usage.replays, 0)
	if x := c.streamClient.Load(); x != nil {
		m.SetUsage(&x.usage.watched, 0)
		m.SetUsage(&x.usage.blocked, 0)
	}
}

// ChargeTransport sets what the transport holds for the connection besides: n bytes. One
// goroutine of the transport calls it, with 0 at the end.
func (c *Conn) ChargeTransport(n int) { c.service.memory.SetUsage(&c.usage.transport, n) }

// chargeSubscription charges a name that was subscribed to, or uncharges one that was left. The
// core calls it after each.
func (e *executor) chargeSubscription(name []byte) {
	patterns := e.sub.CountKind(formRESP, broker.Pattern) + e.sub.CountKind(formLine, broker.Pattern)
	more, heavier := e.sub.NumSubscriptions()-int(e.chargedSubs), e.sub.FilterCost()-e.chargedPredicates
	if f := e.feeder.Load(); f != nil && more < 0 {
		f.unsubscribed = true
	}
	heavier += (patterns - int(e.chargedPatterns)) * patternCost
	e.chargedSubs, e.chargedPatterns = int32(e.sub.NumSubscriptions()), int32(patterns) //nolint:gosec // at most 2 GiB of memory holds them
	e.chargedPredicates = e.sub.FilterCost()
	switch {
	// RESET passes no name. Without subscriptions there is nothing to charge in any case.
	case e.chargedSubs == 0:
		e.service.memory.SetUsage(&e.usage.names, 0)
	case more != 0:
		topic, _, _ := filter.Split(name)
		heavier += more * (subscriptionCost + len(topic))
		e.service.memory.SetUsage(&e.usage.names, int(e.usage.names.Load())+heavier)
	}
}

// usedMemory is what the connection holds; waits is the part in its outbox.
//
// A shared buffer counts in full for each connection here. Only the core may add frames that
// are not flushed yet.
func (c *Conn) usedMemory() (all, waits int64) {
	waits = c.outbox.MemSize()
	return waits + c.releasableMemory(), waits
}

// releasableMemory is what the end of the connection frees at once, whatever its writer still
// holds.
func (c *Conn) releasableMemory() int64 {
	s := &c.usage
	sum := s.reading.Load() + s.partial.Load() + s.transport.Load() + s.batches.Load() + s.names.Load() + s.queued.Load() + s.replays.Load()
	if x := c.streamClient.Load(); x != nil {
		sum += x.usage.sum()
	}
	return sum
}
