package stream

// saving is what the state knows of checkpoints. It is no part of it.
type saving struct {
	active  *Checkpoint // the one that is being collected, or nil
	number  uint32      // of the last one
	follows bool        // the next one may be a delta: what follows lists all changes since the last one

	changed []*Stream // streams that changed or were made; removed ones too
	removed []uint64  // numbers of streams that were removed
	flushed uint64    // all streams with smaller numbers were removed
}

// before is called before a stream changes. A checkpoint that is being collected takes its state first.
func (sv *saving) before(st *Stream) {
	if c := sv.active; c != nil && st.frozen != c.number {
		if c.base || st.changedIn == c.number {
			c.freeze(st)
		}
		st.frozen = c.number
	}
	sv.list(st)
}

// made is called when a stream is made.
func (sv *saving) made(st *Stream) {
	st.frozen = sv.number
	sv.list(st)
}

// list puts a stream that changes into the list for the next delta.
func (sv *saving) list(st *Stream) {
	if !sv.follows || st.changedIn == sv.number+1 {
		return
	}
	st.changedIn = sv.number + 1
	sv.changed = append(sv.changed, st)
}

// gone is called when a stream is removed. A list that outgrows the state is given up, and the next checkpoint is a base.
func (sv *saving) gone(st *Stream, streams int) {
	if !sv.follows {
		return
	}
	sv.removed = append(sv.removed, st.number)
	if len(sv.removed) > 10_000+streams {
		sv.restart()
	}
}

// flush is called when all streams are removed, next is the number of the next one.
func (sv *saving) flush(next uint64) {
	sv.flushed, sv.changed, sv.removed = next, nil, nil
}

// restart makes the next checkpoint a base.
func (sv *saving) restart() {
	sv.follows, sv.changed, sv.removed, sv.flushed = false, nil, nil, 0
}

// Checkpoint is the state at one instant, on its way to a file. The core collects it in visits, while changes go on: a stream that
// changes before its turn comes first.
type Checkpoint struct {
	streams *Streams
	number  uint32
	base    bool

	head    checkpointHead
	part    *Part     // to be returned by the next Collect
	order   *numbered // of a base
	cursor  uint64
	changed []*Stream // of a delta
	count   uint64    // streams that were collected
}

// checkpointHead is the state but for the streams.
type checkpointHead struct {
	base     bool
	sequence uint64
	time     int64
	next     uint64
	duration uint32
	maxSize  uint16
	given    settingSet
	rules    []Rule
	sweep    sweep
	cursors  []itemBlock[*Cursor]
	sources  []itemBlock[*SourcePosition]
	durable  *Globs
	removed  []uint64 // since the last checkpoint
	flushed  uint64
}

// Freeze begins a checkpoint of the present state: a base, which has all of it, or a delta, which has what changed since the last
// one that was saved. Without such a one it is a base. There is one at a time; it ends by Saved or Drop.
func (s *Streams) Freeze(base bool) *Checkpoint {
	sv := &s.saving
	c := &Checkpoint{streams: s, base: base || !sv.follows, cursor: 0, order: s.order, changed: sv.changed}
	c.head = checkpointHead{
		base: c.base, sequence: s.sequence, time: s.time, next: s.next, duration: s.duration, maxSize: s.maxSize, given: s.given,
		rules: s.rules, sweep: s.sweep, cursors: s.cursors.capture(), sources: s.sources.capture(), durable: s.durable,
	}
	if !c.base {
		c.head.removed, c.head.flushed = sv.removed, sv.flushed
	}
	c.part = &Part{head: &c.head}
	sv.number++
	c.number = sv.number
	sv.active, sv.follows = c, true
	sv.changed, sv.removed, sv.flushed = nil, nil, 0
	return c
}

// Base reports whether it has the whole state.
func (c *Checkpoint) Base() bool { return c.base }

// Saved ends a checkpoint that is durable. The next delta has what changes from its instant on.
func (c *Checkpoint) Saved() { c.streams.saving.active = nil }

// Drop ends a checkpoint that was not written. The next one is a base.
func (c *Checkpoint) Drop() {
	c.streams.saving.active = nil
	c.streams.saving.restart()
}

// Collect takes up to max streams that were not taken yet. Other goroutines may write the part. After the last part it is done. It uses the
// memory of a part that is written, if written is not nil: a million small streams would leave five times their bytes as garbage.
func (c *Checkpoint) Collect(max int, written *Part) (part *Part, done bool) {
	if c.base {
		done = c.collectAll(max)
	} else {
		done = c.collectChanged(max)
	}
	part, c.part = c.part, &Part{}
	if written != nil {
		c.part.small.b = written.small.b[:0]
	}
	if done {
		part.last, part.count = true, c.count
	}
	return part, done
}

// collectAll takes the streams that were there at the instant, by number.
func (c *Checkpoint) collectAll(max int) (done bool) {
	done = true
	c.order.from(c.cursor, func(st *Stream) bool {
		if st.number >= c.head.next {
			return false
		}
		if max--; max < 0 {
			done = false
			return false
		}
		c.cursor = st.number + 1
		c.take(st)
		return true
	})
	return done
}

func (c *Checkpoint) collectChanged(max int) (done bool) {
	n := min(max, len(c.changed))
	for _, st := range c.changed[:n] {
		if !st.gone { // what was removed before the instant; what is removed later was taken at that time
			c.take(st)
		}
	}
	c.changed = c.changed[n:]
	return len(c.changed) == 0
}

func (c *Checkpoint) take(st *Stream) {
	if st.frozen != c.number {
		st.frozen = c.number
		c.freeze(st)
	}
}

// freeze adds the present state of a stream to the part: as bytes if it is small, since a copy would be larger.
func (c *Checkpoint) freeze(st *Stream) {
	c.count++
	if st.ids.full == nil && st.window == nil && st.groups == nil {
		v := st.ids.view()
		c.part.small.item(itemStream, sectionSize/4)
		c.part.small.b = st.appendTo(c.part.small.b, &v, 0)
		return
	}
	c.part.large = append(c.part.large, c.freezeLarge(st))
}

// frozen is one stream at the instant of a checkpoint.
type frozen struct {
	stream    Stream // a copy, for all but its ids and its window
	ids       view
	from      uint64   // it has the blocks from this ordinal on; those before are in earlier checkpoints
	dead      []uint32 // pages before from in which ids were deleted since
	due       int64    // of its window
	producers []frozenProducer
	groups    []frozenGroup
}

// frozenProducer is a producer with its ids.
type frozenProducer struct {
	id    Digest
	queue []tracked
}

// freezeLarge returns the present state of a stream. Its blocks count as saved from now on.
func (c *Checkpoint) freezeLarge(st *Stream) *frozen {
	f := &frozen{stream: *st}
	f.stream.extras = &extras{maxDeleted: st.maxDeleted, addedMore: st.addedMore, fence: st.fence, trimmed: st.trimmed}
	if full := st.ids.full; full != nil {
		if !c.base {
			f.from = full.saved
		}
		for i, p := range full.pages {
			if p.unsaved && p.first() < f.from {
				f.dead = append(f.dead, uint32(i))
			}
			p.unsaved = false
		}
		full.saved = st.ids.next - uint64(st.ids.count)
	}
	f.ids = st.ids.capture()
	if w := st.window; w != nil {
		f.stream.window = &window{tracked: w.tracked, added: w.added, duplicates: w.duplicates}
		if w.due.index >= 0 {
			f.due = w.due.at
		}
		for id, p := range w.producers { // the order is that of a file, and no state
			f.producers = append(f.producers, frozenProducer{id, p.queue})
		}
	}
	if st.expiry != nil {
		f.stream.expiry = &deadline{at: st.expiry.at}
	}
	if gs := st.groups; gs != nil {
		f.stream.groups = &groups{next: gs.next}
		gs.byName.each(func(g *Group) bool {
			f.groups = append(f.groups, g.freeze())
			return true
		})
	}
	return f
}
