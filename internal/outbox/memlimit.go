package outbox

import (
	"sync"
	"sync/atomic"
)

// memoryLimit is what clients make the server hold, all together, against a cap: buffers that something waits in or is parsed
// from, each counted once however many share it; what outboxes, batches and half commands need beside; what transactions
// keep, names that are subscribed to, predicates that publishers remember.
type MemoryLimit struct {
	max        int64 // 0 is no cap
	used       atomic.Int64
	notifyAt   atomic.Int64  // what used must not pass unnoticed: see Server.evictLargestLoop
	exceeded   chan struct{} // holds a note that it did
	OverOnCore bool          // the core's: it has noticed in the middle of a delivery that the cap is passed

	mu     sync.Mutex
	passed chan struct{} // closed, and another one made, whenever the relieving goroutine has been through
}

// init sets the cap, 0 for none.
func (m *MemoryLimit) Init(max int64) {
	m.max, m.exceeded = max, make(chan struct{}, 1)
	m.notifyAt.Store(max)
}

// Used is how much is counted.
func (m *MemoryLimit) Used() int64 { return m.used.Load() }

// Wake returns the channel that wakes the goroutine which evicts.
func (m *MemoryLimit) Wake() <-chan struct{} { return m.exceeded }

// excess is by how much the cap is passed; negative if it is not.
func (m *MemoryLimit) Excess() int64 { return m.used.Load() - m.max }

// noticeOnCore has a delivery that is under way act on the cap, if that is passed. The core's.
func (m *MemoryLimit) CheckOnCore() { m.OverOnCore = m.OverOnCore || m.IsOver() }

// nextPass returns what is closed when the relieving goroutine has been through once more.
func (m *MemoryLimit) NextPass() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.passed == nil {
		m.passed = make(chan struct{})
	}
	return m.passed
}

// endPass wakes the readers that wait for one.
func (m *MemoryLimit) EndPass() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.passed != nil {
		close(m.passed)
		m.passed = nil
	}
}

// charge counts n bytes more, or less, and has somebody look when they are too many.
func (m *MemoryLimit) Charge(n int64) {
	if m == nil || n == 0 { // nil: an outbox without a server, in tests
		return
	}
	if m.used.Add(n) <= m.notifyAt.Load() || n <= 0 || m.max == 0 {
		return
	}
	m.Notify()
}

// notify wakes the relieving goroutine.
func (m *MemoryLimit) Notify() {
	select {
	case m.exceeded <- struct{}{}:
	default: // it is known
	}
}

// over reports whether the cap is passed.
func (m *MemoryLimit) IsOver() bool { return m != nil && m.max > 0 && m.used.Load() > m.max }

// gcPercent is how much garbage the runtime lets pile up, in percent of what lives: the closer to the cap, the less. It
// sets when somebody looks again. A limit for the heap (GOMEMLIMIT) is no alternative: once more lives than it
// allows, the collector runs all the time, and relief took 20 s instead of 8.
func (m *MemoryLimit) GCPercent() (percent int) {
	percent, next := m.gcStep()
	m.notifyAt.Store(next)
	return percent
}

func (m *MemoryLimit) gcStep() (percent int, next int64) {
	switch held := m.used.Load(); {
	case held <= m.max/2:
		return 100, m.max / 2
	case held <= m.max/4*3:
		return 60, m.max / 4 * 3
	}
	return 35, m.max
}

// setUsage makes one part of a usage n bytes.
func (m *MemoryLimit) SetUsage(part *atomic.Int64, n int) {
	if was := part.Swap(int64(n)); was != int64(n) {
		m.Charge(int64(n) - was)
	}
}
