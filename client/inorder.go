package client

import (
	"cmp"
	"container/heap"
	"iter"
	"slices"
)

// InOrder restores the one order over messages that come from several subscriptions, as Merge yields them: it holds
// messages back, at most window at a time, and hands them out by rising number. Numbers must be on; messages without
// one pass as they come.
//
// A message is handed out as soon as nothing before it can be outstanding, as far as that can be known:
//
//   - its number is one more than the last one, or
//   - every name has come at least as far, without a gap: Message.Previous tells what was owed to a name before. Where
//     the server has told that messages are missing, they are not waited for;
//
// or when window messages are held and one more comes: then the one with the smallest number goes. What comes too late
// after that is not dropped and does not break the order: it comes as *Late. A window of 0 delays nothing, and what is
// out of order is late.
//
// The names that must have come as far are those of subs, which may be empty, and each from which a message has come.
// What cannot be known: holes in the numbers are normal, for they count the messages of all topics. So a name that is
// quiet, or whose subscription has ended, may always be about to bring a smaller number, and the others wait for it
// until the window is full. Nothing is measured in time.
//
// A message of a new epoch ends the order of the old one: what is held is handed out first. What then still comes of an
// old epoch is *Late, After 0. Events that are no messages pass at once. At the end of seq, and before an error of it,
// what is held is handed out. If the loop breaks off, what is held is lost.
func InOrder(seq iter.Seq2[Event, error], window int, subs ...*Subscription) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		o := &orderer{window: max(0, window), subs: subs, names: map[nameKey]*progress{}, oldEpochs: map[string]bool{}}
		o.addExpected()
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

// yieldReady yields what goes now, and tells whether the loop goes on.
func (o *orderer) yieldReady(yield func(Event, error) bool) bool {
	for _, e := range o.ready {
		if !yield(e, nil) {
			return false
		}
	}
	o.ready = o.ready[:0]
	return true
}

// nameKey is a name of one subscription. The same name of another one has messages of its own.
type nameKey struct {
	from    *Subscription
	pattern bool
	name    string
}

// progress is how far one name has come.
type progress struct {
	completeTo uint64 // everything that was owed to the name up to here has come, or will not come any more
	lost       bool   // what is missing before its next message will not come
	// held messages behind a gap: their numbers, by the number of the one that was owed before
	waiting   map[uint64]uint64
	heapIndex int // its place in ordering.behind
}

// advanceTo notes that everything up to a number has come, and with it what waited for that.
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
	subs       []*Subscription // whose names are waited for from the beginning
	epoch      string
	oldEpochs  map[string]bool // epochs that are over: one for each start of the server
	started    bool            // something of this epoch has been handed out
	lastSeq    uint64          // its number, the largest so far
	held       bySeq
	names      map[nameKey]*progress
	byProgress byProgress // all of names, furthest behind first
	ready      []Event    // what goes now
}

// handle takes one event, and puts into out what may go now.
func (o *orderer) handle(e Event) {
	switch e := e.(type) {
	case *Message:
		if e.Sequence == 0 {
			o.ready = append(o.ready, e)
			return
		}
		o.handleMessage(e)
	case *Missed:
		// Which of the two a name is was not told.
		for _, pattern := range []bool{false, true} {
			if p := o.names[nameKey{e.from, pattern, e.Name}]; p != nil {
				p.lost = true
			}
		}
		o.ready = append(o.ready, e)
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
	for len(o.held) > 0 && (len(o.held) > o.window || o.isNext(o.held[0])) {
		o.release()
	}
}

// beginEpoch begins a new epoch.
func (o *orderer) beginEpoch(epoch string) {
	o.releaseAll()
	o.oldEpochs[o.epoch] = true
	o.epoch, o.started, o.lastSeq = epoch, false, 0
	clear(o.names)
	o.byProgress = nil
	o.addExpected()
}

// addExpected begins with the names that are known, which have come nowhere yet.
func (o *orderer) addExpected() {
	for _, s := range o.subs {
		for _, topic := range s.names.topics {
			o.progressOf(nameKey{s, false, topic})
		}
		for _, pattern := range s.names.patterns {
			o.progressOf(nameKey{s, true, pattern})
		}
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

// isNext tells whether nothing can be outstanding before the message with the smallest number.
func (o *orderer) isNext(m *Message) bool {
	return o.started && m.Sequence <= o.lastSeq+1 || o.byProgress[0].completeTo >= m.Sequence
}

// release hands out the message with the smallest number.
func (o *orderer) release() {
	m := heap.Pop(&o.held).(*Message)
	o.started, o.lastSeq = true, m.Sequence
	o.ready = append(o.ready, m)
	if p := o.names[m.key()]; p.completeTo < m.Sequence { // it went because it had to: what it waited for is late from now on
		delete(p.waiting, m.Previous)
		p.advanceTo(m.Sequence)
		heap.Fix(&o.byProgress, p.heapIndex)
	}
}

// releaseAll hands out what is held.
func (o *orderer) releaseAll() {
	for len(o.held) > 0 {
		o.release()
	}
}

// recordArrival notes that a message of a name has come.
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

// key is the name by which a message came.
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

// byProgress is a heap of names.
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

// Pop is there for package heap; no name is ever taken out.
func (h *byProgress) Pop() any { panic("client: a name was taken out of the order") }
