package command

import (
	"sync/atomic"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/filter"
)

// subscriptionCost is what a subscription costs besides its name, about, with its subscriber set: measured at 250 bytes for
// the only subscriber of a topic.
const subscriptionCost = 300

// patternCost is what a pattern costs on top, about, in the index of patterns: measured at 170 bytes, for 200,000 of them.
const patternCost = 170

// predicateCost is what a subscription costs on top if it has a predicate, about, besides the predicate. The predicate
// itself weighs what [filter.Predicate.Weight] says, for each who holds it.
const predicateCost = 768

// memoryUsage is a connection's part of the memory. Whoever changes it is named; anybody may read it.
type memoryUsage struct {
	reading atomic.Int64 // of what was read and is not parsed: the reader's. Its buffer counts itself in the sum
	partial atomic.Int64 // of the arguments of a command that has come in part: the reader's
	batches atomic.Int64 // of what is on its way to the core, besides its buffers: the reader adds, the core takes away
	names   atomic.Int64 // of subscriptions: the core's
	queued  atomic.Int64 // of a transaction: the core's
	known   atomic.Int64 // of what it publishes to: whoever holds known.mu
}

// releaseMemory gives back what the connection held, all but its outbox, which has done so itself.
func (c *Conn) releaseMemory() {
	m := &c.service.memory
	m.SetUsage(&c.usage.partial, 0)
	m.SetUsage(&c.usage.names, 0)
	m.SetUsage(&c.usage.queued, 0)
	m.SetUsage(&c.usage.known, 0)
}

// chargeSubscription counts a name that was subscribed to, or left, if that made a difference. The core's.
func (e *executor) chargeSubscription(name []byte) {
	patterns := e.sub.CountKind(formRESP, broker.Pattern) + e.sub.CountKind(formLine, broker.Pattern)
	more, heavier := e.sub.NumSubscriptions()-e.chargedSubs, e.sub.FilterCost()-e.chargedPredicates
	heavier += (patterns - e.chargedPatterns) * patternCost
	e.chargedSubs, e.chargedPatterns, e.chargedPredicates = e.sub.NumSubscriptions(), patterns, e.sub.FilterCost()
	switch {
	case e.chargedSubs == 0:
		e.service.memory.SetUsage(&e.usage.names, 0)
	case more != 0:
		topic, _, _ := filter.Split(name)
		heavier += more * (subscriptionCost + len(topic))
		e.service.memory.SetUsage(&e.usage.names, int(e.usage.names.Load())+heavier)
	}
}

// usedMemory is what the connection has its part in, and waits what of that waits in its outbox. A buffer that others share is
// counted for each of them here. Only the core may add what is not flushed yet.
func (c *Conn) usedMemory() (all, waits int64) {
	waits = c.outbox.MemSize()
	return waits + c.releasableMemory(), waits
}

// releasableMemory is what goes with the connection, whatever is still being written to it.
func (c *Conn) releasableMemory() int64 {
	s := &c.usage
	return s.reading.Load() + s.partial.Load() + s.batches.Load() + s.names.Load() + s.queued.Load() + s.known.Load()
}
