package server

import (
	"sync"
	"sync/atomic"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/filter"
)

// memoryLimit is what clients make the server hold, all together, against a cap: buffers that something waits in or is parsed
// from, each counted once however many share it; what outboxes, batches and half commands need beside; what transactions
// keep, names that are subscribed to, predicates that publishers remember.
type memoryLimit struct {
	max            int64 // 0 is no cap
	used           atomic.Int64
	notifyAt       atomic.Int64  // what used must not pass unnoticed: see Server.evictLargestLoop
	exceeded       chan struct{} // holds a note that it did
	exceededOnCore bool          // the core's: it has noticed in the middle of a delivery that the cap is passed

	mu     sync.Mutex
	passed chan struct{} // closed, and another one made, whenever the relieving goroutine has been through
}

// nextPass returns what is closed when the relieving goroutine has been through once more.
func (m *memoryLimit) nextPass() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.passed == nil {
		m.passed = make(chan struct{})
	}
	return m.passed
}

// endPass wakes the readers that wait for one.
func (m *memoryLimit) endPass() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.passed != nil {
		close(m.passed)
		m.passed = nil
	}
}

// charge counts n bytes more, or less, and has somebody look when they are too many.
func (m *memoryLimit) charge(n int64) {
	if m == nil || n == 0 { // nil: an outbox without a server, in tests
		return
	}
	if m.used.Add(n) <= m.notifyAt.Load() || n <= 0 || m.max == 0 {
		return
	}
	m.notify()
}

// notify wakes the relieving goroutine.
func (m *memoryLimit) notify() {
	select {
	case m.exceeded <- struct{}{}:
	default: // it is known
	}
}

// over reports whether the cap is passed.
func (m *memoryLimit) over() bool { return m != nil && m.max > 0 && m.used.Load() > m.max }

// gcPercent is how much garbage the runtime lets pile up, in percent of what lives, and how much must be held for that:
// the closer to the cap, the less. A limit for the heap (GOMEMLIMIT) is no alternative: once more lives than it
// allows, the collector runs all the time, and relief took 20 s instead of 8.
func (m *memoryLimit) gcPercent() (percent int, next int64) {
	switch held := m.used.Load(); {
	case held <= m.max/2:
		return 100, m.max / 2
	case held <= m.max/4*3:
		return 60, m.max / 4 * 3
	}
	return 35, m.max
}

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

// setUsage makes one part of a usage n bytes.
func (m *memoryLimit) setUsage(part *atomic.Int64, n int) {
	if was := part.Swap(int64(n)); was != int64(n) {
		m.charge(int64(n) - was)
	}
}

// releaseMemory gives back what the connection held, all but its outbox, which has done so itself.
func (c *conn) releaseMemory() {
	m := &c.srv.memory
	m.setUsage(&c.usage.partial, 0)
	m.setUsage(&c.usage.names, 0)
	m.setUsage(&c.usage.queued, 0)
	m.setUsage(&c.usage.known, 0)
}

// chargeSubscription counts a name that was subscribed to, or left, if that made a difference. The core's.
func (c *conn) chargeSubscription(name []byte) {
	patterns := c.sub.CountKind(formRESP, broker.Pattern) + c.sub.CountKind(formLine, broker.Pattern)
	more, heavier := c.sub.NumSubscriptions()-c.executor.chargedSubs, c.sub.FilterCost()-c.executor.chargedPredicates
	heavier += (patterns - c.executor.chargedPatterns) * patternCost
	c.executor.chargedSubs, c.executor.chargedPatterns, c.executor.chargedPredicates = c.sub.NumSubscriptions(), patterns, c.sub.FilterCost()
	switch {
	case c.executor.chargedSubs == 0:
		c.srv.memory.setUsage(&c.usage.names, 0)
	case more != 0:
		topic, _, _ := filter.Split(name)
		heavier += more * (subscriptionCost + len(topic))
		c.srv.memory.setUsage(&c.usage.names, int(c.usage.names.Load())+heavier)
	}
}

// usedMemory is what the connection has its part in, and waits what of that waits in its outbox. A buffer that others share is
// counted for each of them here. Only the core may add what is not flushed yet.
func (c *conn) usedMemory() (all, waits int64) {
	waits = c.outbox.bytes.Load() + c.outbox.overhead.Load()
	return waits + c.releasableMemory(), waits
}

// releasableMemory is what goes with the connection, whatever is still being written to it.
func (c *conn) releasableMemory() int64 {
	s := &c.usage
	return s.reading.Load() + s.partial.Load() + s.batches.Load() + s.names.Load() + s.queued.Load() + s.known.Load()
}
