package outbox

import "sync/atomic"

// special is what an outbox has where others than the core add to it, or where frames wait for the log. Most outboxes never need
// it, so it is made on demand, and kept.
type special struct {
	// replayed are the bytes of the outbox that replays have added, filled those that fill places. exempt has both, too.
	replayed, filled atomic.Int64
	// places is the number of places that are not filled.
	places atomic.Int32
	// The mutex of the outbox guards the rest: the number of marks in the queue, those of places among them, and the newest barrier.
	marks   int32
	barrier uint64
}

// specialLocked makes it if need be.
func (o *Outbox) specialLocked() *special {
	x := o.special.Load()
	if x == nil {
		x = new(special)
		o.special.Store(x)
	}
	return x
}

// ReplayBytes is the number of waiting bytes that replays have added.
func (o *Outbox) ReplayBytes() int64 {
	if x := o.special.Load(); x != nil {
		return x.replayed.Load()
	}
	return 0
}

// FilledBytes is the number of waiting bytes that fill places.
func (o *Outbox) FilledBytes() int64 {
	if x := o.special.Load(); x != nil {
		return x.filled.Load()
	}
	return 0
}

// Places is the number of places that are not filled yet.
func (o *Outbox) Places() int {
	if x := o.special.Load(); x != nil {
		return int(x.places.Load())
	}
	return 0
}

// marksLocked is the number of marks in the queue.
func (o *Outbox) marksLocked() int32 {
	if x := o.special.Load(); x != nil {
		return x.marks
	}
	return 0
}

// endSpecialLocked ends all that waits for others than the writer: it is lost.
func (o *Outbox) endSpecialLocked() {
	if x := o.special.Load(); x != nil {
		x.marks, x.barrier = 0, 0
		x.places.Store(0)
		x.filled.Store(0)
	}
}
