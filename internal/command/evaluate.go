package command

import (
	"runtime"
	"sync/atomic"
)

// turnWork is the work after which a long evaluation gives its slot to a waiting one. It counts
// bytes of payloads and the memory sizes of predicates.
const turnWork = 64 << 10

// evaluators bounds the goroutines that compile or evaluate predicates: one fewer than there
// are processors, so that one is left for the core.
//
// Publishers and the readers of subscribers acquire slots; the core never does.
type evaluators struct {
	// slots holds one value for each goroutine at work.
	slots   chan struct{}
	waiting atomic.Int32
}

// evaluatorSlots leaves one processor to the core, if there are several.
func evaluatorSlots() chan struct{} { return make(chan struct{}, max(1, runtime.GOMAXPROCS(0)-1)) }

// acquire waits for a slot. It returns false, without a slot, if by is raised meanwhile.
func (e *evaluators) acquire(by *abortSignal) bool {
	select {
	case e.slots <- struct{}{}:
		return true
	default:
	}
	e.waiting.Add(1)
	defer e.waiting.Add(-1)
	select {
	case e.slots <- struct{}{}:
		return true
	case <-by.done():
		return false
	}
}

// release gives a slot back.
func (e *evaluators) release() { <-e.slots }

// turn is one goroutine's use of a slot, over all predicates of a batch.
type turn struct {
	evaluators *evaluators
	by         *abortSignal
	held       bool
	// work is what was done since the slot was acquired.
	work int
}

// step acquires a slot for the next predicate, which costs about work. A slot in use for long
// goes to the longest waiting goroutine first. False means that the connection is aborted.
func (t *turn) step(work int) bool {
	e := t.evaluators
	if t.held && t.work >= turnWork && e.waiting.Load() > 0 {
		t.end()
	}
	if !t.held {
		if t.held = e.acquire(t.by); !t.held {
			return false
		}
		t.work = 0
	}
	t.work += work
	return true
}

// end gives the slot back, if there is one.
func (t *turn) end() {
	if t.held {
		t.held = false
		t.evaluators.release()
	}
}

// abortSignal ends an evaluation, and the wait for a slot. The zero value is not raised.
type abortSignal struct {
	raised atomic.Bool
	// note is closed when the signal is raised. It is nil until a goroutine waits: few ever do.
	note atomic.Pointer[chan struct{}]
}

// done returns a channel that is closed when the signal is raised.
func (a *abortSignal) done() <-chan struct{} {
	note := a.note.Load()
	if note == nil {
		fresh := make(chan struct{})
		if a.note.CompareAndSwap(nil, &fresh) {
			note = &fresh
		} else {
			note = a.note.Load()
		}
	}
	if a.raised.Load() { // raise may have run before the channel was stored
		return closed
	}
	return *note
}

// raise may be called by any goroutine, any number of times.
func (a *abortSignal) raise() {
	if a.raised.Swap(true) {
		return
	}
	if note := a.note.Load(); note != nil {
		close(*note)
	}
}

// closed is a closed channel.
var closed = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()
