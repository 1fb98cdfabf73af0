package client

import (
	"cmp"
	"container/heap"
	"iter"
	"slices"
)

// InOrder restores the sequence of messages that arrive from several subscriptions, as Merge yields them. It buffers at
// most window messages and yields them by ascending sequence. Sequence numbers must be enabled; messages without one
// pass at once.
//
// A message is yielded as soon as nothing before it can be outstanding:
//
//   - its sequence is one more than the last one, or
//   - every name has reached that sequence without a gap. Message.Previous is the sequence that a name was owed before;
//     a loss that was reported is not waited for;
//
// or when the buffer is full and one more message arrives: then the one with the smallest sequence goes. A message that
// arrives after a larger one was yielded comes as *Late; it is neither dropped nor out of order. With a window of 0
// nothing is delayed, and all that is out of order is late.
//
// The names that are waited for are those of subs, which may be empty, and each name that has had a message. Names that
// are added to subs or removed count from their NamesChanged on. Gaps in the sequence are normal, because it counts the messages of all topics. A quiet name, or one whose subscription has
// ended, can therefore hold up the others until the window is full. Time plays no part.
//
// A message of a new epoch ends the old epoch: the buffered messages are yielded first. A later message of an old epoch
// comes as *Late with After 0. Events that are not messages pass at once. At the end of seq, and before an error of it,
// the buffer is emptied. A loop that breaks off loses what is buffered.
func InOrder(seq iter.Seq2[Event, error], window int, subs ...*Subscription) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		o := newOrderer(window, subs)
		for e, err := range seq {
			if err != nil {
				o.releaseAll()
			} else {
				o.handle(e)
			}
			if !o.yieldReady(yield) || err != nil && !yield(nil, err) {
				return
			}
		}
		o.releaseAll()
		o.yieldReady(yield)
	}
}

func newOrderer(window int, subs []*Subscription) *orderer {
	o := &orderer{
		window: max(0, window), subs: map[*Subscription]bool{}, expected: map[nameKey]bool{}, names: map[nameKey]*progress{},
		oldEpochs: map[string]bool{},
	}
	for _, s := range subs {
		o.subs[s] = true
		o.expect(s, s.currentNames())
	}
	return o
}

// yieldReady yields what is ready and reports whether the loop continues.
func (o *orderer) yieldReady(yield func(Event, error) bool) bool {
	for _, e := range o.ready {
		if !yield(e, nil) {
			return false
		}
	}
	o.ready = o.ready[:0]
	return true
}

// nameKey is a name of one subscription. The same name of another subscription has messages of its own.
type nameKey struct {
	from    *Subscription
	pattern bool
	name    string
}

// progress is how far one name has come.
type progress struct {
	completeTo uint64 // all that was owed to the name up to here has arrived or is lost
	lost       bool   // what is missing before the next message is lost
	// sequences of buffered messages behind a gap, by the sequence that their name was owed before
	waiting   map[uint64]uint64
	heapIndex int // in orderer.byProgress
}

// advanceTo marks everything up to a sequence as complete, and with it what waits for that.
func (p *progress) advanceTo(seq uint64) {
	p.completeTo = max(p.completeTo, seq)
	for next, ok := p.waiting[p.completeTo]; ok; next, ok = p.waiting[p.completeTo] {
		delete(p.waiting, p.completeTo)
		p.completeTo = max(p.completeTo, next)
	}
}

// orderer is the state of one iteration.
type orderer struct {
	window     int
	subs       map[*Subscription]bool // their names are waited for
	expected   map[nameKey]bool       // names of subs, in each epoch
	epoch      string
	oldEpochs  map[string]bool // one for each start of the server
	started    bool            // a message of this epoch was yielded
	lastSeq    uint64          // of the last message yielded, the largest
	held       bySeq
	names      map[nameKey]*progress
	byProgress byProgress // all of names
	ready      []Event    // to be yielded now
}

// handle handles one event and appends to ready what may go now.
func (o *orderer) handle(e Event) {
	switch e := e.(type) {
	case *Message:
		if e.Sequence == 0 {
			o.ready = append(o.ready, e)
			return
		}
		o.handleMessage(e)
	case *Missed:
		// Missed.Name does not show whether it is a topic or a pattern.
		for _, pattern := range []bool{false, true} {
			if p := o.names[nameKey{e.from, pattern, e.Name}]; p != nil {
				p.lost = true
			}
		}
		o.ready = append(o.ready, e)
	case *NamesChanged:
		if o.subs[e.from] {
			o.expect(e.from, e.Added)
		}
		for _, n := range e.Removed {
			o.drop(nameKey{e.from, n.pattern, n.text})
		}
		o.ready = append(o.ready, e)
		o.releaseReady()
	default:
		o.ready = append(o.ready, e)
	}
}

func (o *orderer) handleMessage(m *Message) {
	if m.Epoch != o.epoch && !o.oldEpochs[m.Epoch] {
		o.beginEpoch(m.Epoch)
	}
	switch {
	case m.Epoch != o.epoch:
		o.ready = append(o.ready, &Late{Message: m})
		return
	case o.started && m.Sequence < o.lastSeq:
		o.recordArrival(m)
		o.ready = append(o.ready, &Late{Message: m, After: o.lastSeq})
	default:
		o.recordArrival(m)
		heap.Push(&o.held, m)
	}
	o.releaseReady()
}

// releaseReady releases what nothing can be outstanding before, and what does not fit the window.
func (o *orderer) releaseReady() {
	for len(o.held) > 0 && (len(o.held) > o.window || o.isNext(o.held[0])) {
		o.release()
	}
}

// beginEpoch starts a new epoch.
func (o *orderer) beginEpoch(epoch string) {
	o.releaseAll()
	o.oldEpochs[o.epoch] = true
	o.epoch, o.started, o.lastSeq = epoch, false, 0
	clear(o.names)
	o.byProgress = nil
	o.addExpected()
}

// addExpected adds the names of subs to those of a new epoch.
func (o *orderer) addExpected() {
	for key := range o.expected {
		o.progressOf(key)
	}
}

// expect waits for names of a subscription, in this epoch and later ones.
func (o *orderer) expect(s *Subscription, names []Name) {
	for _, n := range names {
		key := nameKey{s, n.pattern, n.text}
		o.expected[key] = true
		o.progressOf(key)
	}
}

// drop waits for a name no longer. Its buffered messages stay.
func (o *orderer) drop(key nameKey) {
	delete(o.expected, key)
	if p := o.names[key]; p != nil {
		heap.Remove(&o.byProgress, p.heapIndex)
		delete(o.names, key)
	}
}

func (o *orderer) progressOf(key nameKey) *progress {
	p := o.names[key]
	if p == nil {
		p = &progress{}
		o.names[key] = p
		heap.Push(&o.byProgress, p)
	}
	return p
}

// isNext reports whether nothing can be outstanding before the message with the smallest sequence.
func (o *orderer) isNext(m *Message) bool {
	return o.started && m.Sequence <= o.lastSeq+1 || len(o.byProgress) == 0 || o.byProgress[0].completeTo >= m.Sequence
}

// release moves the message with the smallest sequence to ready.
func (o *orderer) release() {
	m := heap.Pop(&o.held).(*Message)
	o.started, o.lastSeq = true, m.Sequence
	o.ready = append(o.ready, m)
	if p := o.names[m.key()]; p != nil && p.completeTo < m.Sequence { // released because the window is full: what it waited for is late from now on
		delete(p.waiting, m.Previous)
		p.advanceTo(m.Sequence)
		heap.Fix(&o.byProgress, p.heapIndex)
	}
}

// releaseAll moves all buffered messages to ready.
func (o *orderer) releaseAll() {
	for len(o.held) > 0 {
		o.release()
	}
}

// recordArrival records the arrival of a message for its name.
func (o *orderer) recordArrival(m *Message) {
	p := o.progressOf(m.key())
	if !p.lost && m.Previous > max(p.completeTo, o.lastSeq) {
		if p.waiting == nil {
			p.waiting = map[uint64]uint64{}
		}
		p.waiting[m.Previous] = m.Sequence
		return
	}
	p.lost = false
	p.advanceTo(m.Sequence)
	heap.Fix(&o.byProgress, p.heapIndex)
}

// key is the name that matched the message.
func (m *Message) key() nameKey {
	return nameKey{m.from, m.Pattern != "", cmp.Or(m.Pattern, m.Topic)}
}

// bySeq is a heap of messages.
type bySeq []*Message

func (h bySeq) Len() int           { return len(h) }
func (h bySeq) Less(i, j int) bool { return h[i].Sequence < h[j].Sequence }
func (h bySeq) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *bySeq) Push(m any)        { *h = append(*h, m.(*Message)) }

func (h *bySeq) Pop() any {
	last := len(*h) - 1
	m := (*h)[last]
	*h = slices.Delete(*h, last, last+1)
	return m
}

// byProgress is a heap of names, furthest behind first.
type byProgress []*progress

func (h byProgress) Len() int           { return len(h) }
func (h byProgress) Less(i, j int) bool { return h[i].completeTo < h[j].completeTo }
func (h byProgress) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].heapIndex, h[j].heapIndex = i, j
}

func (h *byProgress) Push(p any) {
	p.(*progress).heapIndex = len(*h)
	*h = append(*h, p.(*progress))
}

func (h *byProgress) Pop() any {
	last := len(*h) - 1
	p := (*h)[last]
	*h = slices.Delete(*h, last, last+1)
	return p
}
