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
		o := &ordering{window: max(0, window), subs: subs, names: map[nameOf]*progress{}, retired: map[string]bool{}}
		o.expect()
		for e, err := range seq {
			if err != nil {
				o.all()
			} else {
				o.take(e)
			}
			if !o.hand(yield) || err != nil && !yield(nil, err) {
				return
			}
		}
		o.all()
		o.hand(yield)
	}
}

// hand yields what goes now, and tells whether the loop goes on.
func (o *ordering) hand(yield func(Event, error) bool) bool {
	for _, e := range o.out {
		if !yield(e, nil) {
			return false
		}
	}
	o.out = o.out[:0]
	return true
}

// nameOf is a name of one subscription. The same name of another one has messages of its own.
type nameOf struct {
	from    *Subscription
	pattern bool
	name    string
}

// progress is how far one name has come.
type progress struct {
	upTo uint64 // everything that was owed to the name up to here has come, or will not come any more
	gap  bool   // what is missing before its next message will not come
	// held messages behind a gap: their numbers, by the number of the one that was owed before
	waiting map[uint64]uint64
	at      int // its place in ordering.behind
}

// reach notes that everything up to a number has come, and with it what waited for that.
func (p *progress) reach(number uint64) {
	p.upTo = max(p.upTo, number)
	for next, ok := p.waiting[p.upTo]; ok; next, ok = p.waiting[p.upTo] {
		delete(p.waiting, p.upTo)
		p.upTo = max(p.upTo, next)
	}
}

// ordering is the state of one iteration.
type ordering struct {
	window  int
	subs    []*Subscription // whose names are waited for from the beginning
	epoch   string
	retired map[string]bool // epochs that are over: one for each start of the server
	any     bool            // something of this epoch has been handed out
	last    uint64          // its number, the largest so far
	held    byNumber
	names   map[nameOf]*progress
	behind  byProgress // all of names, furthest behind first
	out     []Event    // what goes now
}

// take takes one event, and puts into out what may go now.
func (o *ordering) take(e Event) {
	switch e := e.(type) {
	case *Message:
		if e.Number == 0 {
			o.out = append(o.out, e)
			return
		}
		o.message(e)
	case *Missed:
		// Which of the two a name is was not told.
		for _, pattern := range []bool{false, true} {
			if p := o.names[nameOf{e.from, pattern, e.Name}]; p != nil {
				p.gap = true
			}
		}
		o.out = append(o.out, e)
	default:
		o.out = append(o.out, e)
	}
}

func (o *ordering) message(m *Message) {
	if m.Epoch != o.epoch && !o.retired[m.Epoch] {
		o.begin(m.Epoch)
	}
	switch {
	case m.Epoch != o.epoch:
		o.out = append(o.out, &Late{Message: m})
		return
	case o.any && m.Number < o.last:
		o.advance(m)
		o.out = append(o.out, &Late{Message: m, After: o.last})
	default:
		o.advance(m)
		heap.Push(&o.held, m)
	}
	for len(o.held) > 0 && (len(o.held) > o.window || o.known(o.held[0])) {
		o.release()
	}
}

// begin begins a new epoch.
func (o *ordering) begin(epoch string) {
	o.all()
	o.retired[o.epoch] = true
	o.epoch, o.any, o.last = epoch, false, 0
	clear(o.names)
	o.behind = nil
	o.expect()
}

// expect begins with the names that are known, which have come nowhere yet.
func (o *ordering) expect() {
	for _, s := range o.subs {
		for _, topic := range s.names.topics {
			o.progress(nameOf{s, false, topic})
		}
		for _, pattern := range s.names.patterns {
			o.progress(nameOf{s, true, pattern})
		}
	}
}

func (o *ordering) progress(of nameOf) *progress {
	p := o.names[of]
	if p == nil {
		p = &progress{}
		o.names[of] = p
		heap.Push(&o.behind, p)
	}
	return p
}

// known tells whether nothing can be outstanding before the message with the smallest number.
func (o *ordering) known(m *Message) bool {
	return o.any && m.Number <= o.last+1 || o.behind[0].upTo >= m.Number
}

// release hands out the message with the smallest number.
func (o *ordering) release() {
	m := heap.Pop(&o.held).(*Message)
	o.any, o.last = true, m.Number
	o.out = append(o.out, m)
	if p := o.names[m.of()]; p.upTo < m.Number { // it went because it had to: what it waited for is late from now on
		delete(p.waiting, m.Previous)
		p.reach(m.Number)
		heap.Fix(&o.behind, p.at)
	}
}

// all hands out what is held.
func (o *ordering) all() {
	for len(o.held) > 0 {
		o.release()
	}
}

// advance notes that a message of a name has come.
func (o *ordering) advance(m *Message) {
	p := o.progress(m.of())
	if !p.gap && m.Previous > max(p.upTo, o.last) {
		if p.waiting == nil {
			p.waiting = map[uint64]uint64{}
		}
		p.waiting[m.Previous] = m.Number
		return
	}
	p.gap = false
	p.reach(m.Number)
	heap.Fix(&o.behind, p.at)
}

// of is the name by which a message came.
func (m *Message) of() nameOf {
	return nameOf{m.from, m.Pattern != "", cmp.Or(m.Pattern, m.Topic)}
}

// byNumber is a heap of messages.
type byNumber []*Message

func (h byNumber) Len() int           { return len(h) }
func (h byNumber) Less(i, j int) bool { return h[i].Number < h[j].Number }
func (h byNumber) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *byNumber) Push(m any)        { *h = append(*h, m.(*Message)) }

func (h *byNumber) Pop() any {
	last := len(*h) - 1
	m := (*h)[last]
	*h = slices.Delete(*h, last, last+1)
	return m
}

// byProgress is a heap of names.
type byProgress []*progress

func (h byProgress) Len() int           { return len(h) }
func (h byProgress) Less(i, j int) bool { return h[i].upTo < h[j].upTo }
func (h byProgress) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].at, h[j].at = i, j
}

func (h *byProgress) Push(p any) {
	p.(*progress).at = len(*h)
	*h = append(*h, p.(*progress))
}

// Pop is there for package heap; no name is ever taken out.
func (h *byProgress) Pop() any { panic("client: a name was taken out of the order") }
