package command

import (
	"runtime"
	"sync/atomic"
)

// turnWork is the work after which a long evaluation gives its slot to a waiting one. It counts
// bytes of payloads and the memory that predicates cost.
const turnWork = 64 << 10

// slots bounds the readers that do one kind of costly work at once: one fewer than there are
// processors, so that one is left for the core and for the readers of other clients.
//
// Each kind has slots of its own: none waits for another. Readers acquire slots; the core never
// does.
type slots struct {
	// held has one value for each goroutine at work.
	held    chan struct{}
	waiting atomic.Int32
}

// init leaves one processor free, if there are several.
func (s *slots) init() { s.held = make(chan struct{}, max(1, runtime.GOMAXPROCS(0)-1)) }

// acquire waits for a slot. It returns false, without a slot, if by is raised meanwhile.
func (s *slots) acquire(by *abortSignal) bool {
	select {
	case s.held <- struct{}{}:
		return true
	default:
	}
	s.waiting.Add(1)
	defer s.waiting.Add(-1)
	select {
	case s.held <- struct{}{}:
		return true
	case <-by.done():
		return false
	}
}

// release gives a slot back.
func (s *slots) release() { <-s.held }

// turn is one goroutine's use of a slot, over all predicates of a batch.
type turn struct {
	evaluators *slots
	by         *abortSignal
	held       bool
	// work is what was done since the slot was acquired.
	work int
}

// step acquires a slot for the next predicate, which costs about work. A slot in use for long
// goes to the longest waiting goroutine first. False means that the connection is aborted.
func (t *turn) step(work int) bool {
	e := t.evaluators
	if t.isOver() {
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

// isOver reports whether the slot was in use for long, and others wait.
func (t *turn) isOver() bool { return t.held && t.work >= turnWork && t.evaluators.waiting.Load() > 0 }

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
