package outbox

import (
	"sync"
	"sync/atomic"
)

// MemoryLimit counts the memory that all clients together take, against a cap. A buffer counts once, however
// many outboxes share it.
//
// It covers buffers that are parsed or hold waiting frames, and the overhead of outboxes, batches and partial
// commands. It also covers queued transactions, subscribed names, and predicates known to publishers.
type MemoryLimit struct {
	max  int64 // 0 is no cap
	used atomic.Int64
	// notifyAt is the usage at which the evicting goroutine wakes: see Service.evictLargestLoop in package command.
	notifyAt atomic.Int64
	// exceeded wakes it. One pending wake-up is enough.
	exceeded chan struct{}
	// OverOnCore: the cap was passed in the middle of a delivery. The core owns it.
	OverOnCore bool

	mu sync.Mutex // guards passed
	// passed is closed, and replaced on demand, at the end of each pass of the evicting goroutine.
	passed chan struct{}
}

// Init sets the cap, 0 for none.
func (m *MemoryLimit) Init(max int64) {
	m.max, m.exceeded = max, make(chan struct{}, 1)
	m.notifyAt.Store(max)
}

// Used is the memory counted now.
func (m *MemoryLimit) Used() int64 { return m.used.Load() }

// Wake returns the channel that receives when the usage has passed its mark.
func (m *MemoryLimit) Wake() <-chan struct{} { return m.exceeded }

// Excess is the usage over the cap, negative below it.
func (m *MemoryLimit) Excess() int64 { return m.used.Load() - m.max }

// CheckOnCore sets OverOnCore if the cap is passed: the delivery in progress then evicts, and does not wait for
// the goroutine. The core calls it.
func (m *MemoryLimit) CheckOnCore() { m.OverOnCore = m.OverOnCore || m.IsOver() }

// NextPass returns a channel that is closed at the end of the next pass of the evicting goroutine. Readers over
// the cap wait for it.
func (m *MemoryLimit) NextPass() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.passed == nil {
		m.passed = make(chan struct{})
	}
	return m.passed
}

// EndPass wakes the readers that wait for a pass.
func (m *MemoryLimit) EndPass() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.passed != nil {
		close(m.passed)
		m.passed = nil
	}
}

// Charge adds n bytes, which may be negative, and wakes the evicting goroutine when the usage grows past its
// mark.
func (m *MemoryLimit) Charge(n int64) {
	if m == nil || n == 0 { // nil in tests of an outbox without a server
		return
	}
	if m.used.Add(n) <= m.notifyAt.Load() || n <= 0 || m.max == 0 {
		return
	}
	m.Notify()
}

// Notify wakes the evicting goroutine. It never blocks.
func (m *MemoryLimit) Notify() {
	select {
	case m.exceeded <- struct{}{}:
	default: // a wake-up is pending
	}
}

// IsOver reports whether the usage is over the cap. It is false without one.
func (m *MemoryLimit) IsOver() bool { return m != nil && m.max > 0 && m.used.Load() > m.max }

// IsAbovePart reports whether the usage is over one part of the cap in so many. It is false without a cap.
func (m *MemoryLimit) IsAbovePart(parts int64) bool { return m.max > 0 && m.used.Load() > m.max/parts }

// GCPercent is the GOGC value for the usage now and the bytes of others, as those of a log: the closer to the cap, the less
// garbage may accumulate. It also sets the mark for the next wake-up.
//
// GOMEMLIMIT is no alternative: with more live memory than that limit, the collector runs all the time. Eviction
// then took 20 s instead of 8.
func (m *MemoryLimit) GCPercent(others int64) (percent int) {
	percent, next := m.gcStep(others)
	m.notifyAt.Store(next - others)
	return percent
}

func (m *MemoryLimit) gcStep(others int64) (percent int, next int64) {
	switch held := m.used.Load() + others; {
	case held <= m.max/2:
		return 100, m.max / 2
	case held <= m.max/4*3:
		return 60, m.max / 4 * 3
	}
	return 35, m.max + others
}

// SetUsage sets one part of a usage to n bytes, and charges the difference.
func (m *MemoryLimit) SetUsage(part *atomic.Int64, n int) {
	if was := part.Swap(int64(n)); was != int64(n) {
		m.Charge(int64(n) - was)
	}
}
