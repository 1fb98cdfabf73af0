package server

import (
	"sync"
	"sync/atomic"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/filter"
)

// memory is what clients make the server hold, all together, against a cap: buffers that something waits in or is parsed
// from, each counted once however many share it; what outboxes, batches and half commands need beside; what transactions
// keep, names that are subscribed to, predicates that publishers remember.
type memory struct {
	most    int64 // 0 is no cap
	held    atomic.Int64
	mark    atomic.Int64  // what held must not pass unnoticed: see Server.relieve
	pressed chan struct{} // holds a note that it did
	core    bool          // the core's: it has noticed in the middle of a delivery that the cap is passed

	mu     sync.Mutex
	passed chan struct{} // closed, and another one made, whenever the relieving goroutine has been through
}

// nextPass returns what is closed when the relieving goroutine has been through once more.
func (m *memory) nextPass() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.passed == nil {
		m.passed = make(chan struct{})
	}
	return m.passed
}

// endPass wakes the readers that wait for one.
func (m *memory) endPass() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.passed != nil {
		close(m.passed)
		m.passed = nil
	}
}

// hold counts n bytes more, or less, and has somebody look when they are too many.
func (m *memory) hold(n int64) {
	if m == nil || n == 0 { // nil: an outbox without a server, in tests
		return
	}
	if m.held.Add(n) <= m.mark.Load() || n <= 0 || m.most == 0 {
		return
	}
	m.press()
}

// press wakes the relieving goroutine.
func (m *memory) press() {
	select {
	case m.pressed <- struct{}{}:
	default: // it is known
	}
}

// over reports whether the cap is passed.
func (m *memory) over() bool { return m != nil && m.most > 0 && m.held.Load() > m.most }

// collection is how much garbage the runtime lets pile up, in percent of what lives, and how much must be held for that:
// the closer to the cap, the less. A limit for the heap (GOMEMLIMIT) is no alternative: once more lives than it
// allows, the collector runs all the time, and relief took 20 s instead of 8.
func (m *memory) collection() (percent int, next int64) {
	switch held := m.held.Load(); {
	case held <= m.most/2:
		return 100, m.most / 2
	case held <= m.most/4*3:
		return 60, m.most / 4 * 3
	}
	return 35, m.most
}

// subscriptionWeight is what a subscription costs besides its name, about, with its subscriber set: measured at 250 bytes for
// the only subscriber of a topic.
const subscriptionWeight = 300

// patternWeight is what a pattern costs on top, about, in the index of patterns: measured at 170 bytes, for 200,000 of them.
const patternWeight = 170

// conditionWeight is what a subscription costs on top if it has a predicate, about, besides the predicate. The predicate
// itself weighs what [filter.Predicate.Weight] says, for each who holds it.
const conditionWeight = 768

// share is a connection's part of the memory. Whoever changes it is named; anybody may read it.
type share struct {
	reading atomic.Int64 // of what was read and is not parsed: the reader's. Its buffer counts itself in the sum
	partial atomic.Int64 // of the arguments of a command that has come in part: the reader's
	batches atomic.Int64 // of what is on its way to the core, besides its buffers: the reader adds, the core takes away
	names   atomic.Int64 // of subscriptions: the core's
	kept    atomic.Int64 // of a transaction: the core's
	known   atomic.Int64 // of what it publishes to: whoever holds known.mu
}

// set makes one part of a share n bytes.
func (m *memory) set(part *atomic.Int64, n int) {
	if was := part.Swap(int64(n)); was != int64(n) {
		m.hold(int64(n) - was)
	}
}

// forget gives back what the connection held, all but its outbox, which has done so itself.
func (c *conn) forget() {
	m := &c.srv.memory
	m.set(&c.share.partial, 0)
	m.set(&c.share.names, 0)
	m.set(&c.share.kept, 0)
	m.set(&c.share.known, 0)
}

// weigh counts a name that was subscribed to, or left, if that made a difference. The core's.
func (c *conn) weigh(name []byte) {
	patterns := c.sub.CountKind(formRESP, broker.Pattern) + c.sub.CountKind(formLine, broker.Pattern)
	more, heavier := c.sub.NumSubscriptions()-c.wire.holdings, c.sub.FilterCost()-c.wire.weight
	heavier += (patterns - c.wire.patterns) * patternWeight
	c.wire.holdings, c.wire.patterns, c.wire.weight = c.sub.NumSubscriptions(), patterns, c.sub.FilterCost()
	switch {
	case c.wire.holdings == 0:
		c.srv.memory.set(&c.share.names, 0)
	case more != 0:
		topic, _, _ := filter.Split(name)
		heavier += more * (subscriptionWeight + len(topic))
		c.srv.memory.set(&c.share.names, int(c.share.names.Load())+heavier)
	}
}

// holds is what the connection has its part in, and waits what of that waits in its outbox. A buffer that others share is
// counted for each of them here. Only the core may add what is not flushed yet.
func (c *conn) holds() (all, waits int64) {
	waits = c.outbox.bytes.Load() + c.outbox.overhead.Load()
	return waits + c.passing(), waits
}

// passing is what goes with the connection, whatever is still being written to it.
func (c *conn) passing() int64 {
	s := &c.share
	return s.reading.Load() + s.partial.Load() + s.batches.Load() + s.names.Load() + s.kept.Load() + s.known.Load()
}
