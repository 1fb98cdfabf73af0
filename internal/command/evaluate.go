package command

import (
	"runtime"
	"sync/atomic"
)

// turnWork is how much of a long evaluation is done before a waiting one gets its slot: bytes of payloads, and the
// weights of the predicates.
const turnWork = 64 << 10

// evaluators bounds how many goroutines compile or evaluate predicates at once: one fewer than there are processors, so
// that the core has one left. Readers and the goroutines of returned batches enter; the core never does.
type evaluators struct {
	slots   chan struct{} // holds one value for each goroutine at work
	waiting atomic.Int32
}

// evaluatorSlots leaves one processor to the core, where there are several.
func evaluatorSlots() chan struct{} { return make(chan struct{}, max(1, runtime.GOMAXPROCS(0)-1)) }

// acquire waits for a slot. False means that the connection was cut meanwhile, and there is no slot to give back.
func (e *evaluators) acquire(c *Conn) bool {
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
	case <-c.abortChan():
		return false
	}
}

func (e *evaluators) release() { <-e.slots }

// turn is one goroutine's use of a slot, over all predicates of a batch.
type turn struct {
	conn *Conn
	held bool
	work int // since the slot was taken
}

// step makes sure of a slot before the next predicate, which costs about so much. A slot that has been used for long
// goes to the goroutine that waits longest. False is that of enter.
func (t *turn) step(work int) bool {
	e := &t.conn.service.evaluators
	if t.held && t.work >= turnWork && e.waiting.Load() > 0 {
		t.end()
	}
	if !t.held {
		if t.held = e.acquire(t.conn); !t.held {
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
		t.conn.service.evaluators.release()
	}
}

// abortChan is closed when the connection is aborted. It is made at the first wait: few connections ever wait.
func (c *Conn) abortChan() <-chan struct{} {
	note := c.abortSignal.Load()
	if note == nil {
		fresh := make(chan struct{})
		if c.abortSignal.CompareAndSwap(nil, &fresh) {
			note = &fresh
		} else {
			note = c.abortSignal.Load()
		}
	}
	if c.aborted.Load() { // setCut may have come before the note
		return closed
	}
	return *note
}

// abort leaves undone what the connection has sent: see CloseReason.appliesPending. Any goroutine may call it, any number of times.
func (c *Conn) abort() {
	if c.aborted.Swap(true) {
		return
	}
	if note := c.abortSignal.Load(); note != nil {
		close(*note)
	}
}

var closed = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()
