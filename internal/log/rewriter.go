package log

import (
	"cmp"
	"errors"
	"slices"
	"sync/atomic"
	"time"
)

const (
	// spansAtOnce bounds a call of Options.Live, which may visit the core.
	spansAtOnce = 1024
	// entriesAtOnce is how many entries a call of it is about, but for an extent that has more: a visit to the core is short.
	entriesAtOnce = 1 << 16
	// maxLook and minLook bound the spans and the segments that are looked at each time the rewriter is woken: a log of many streams is
	// looked at in turns. While a sixteenth of a log is appended, each segment has its turn.
	maxLook = 64 * spansAtOnce
	minLook = 16
	// lookAfter is how long the rewriter waits for more when few entries have died.
	lookAfter = time.Minute
	// passedSegments is how often a segment may be read in vain, before it is written again by stream. Writing it costs as much as ten to forty
	// such reads.
	passedSegments = 8
)

// rewriter is the state of the goroutine that gives space back: it removes segments without a visible entry, and writes those again that
// choose names, or that are often read in small pieces. It touches sealed segments before the head alone.
type rewriter struct {
	wake    chan struct{}
	later   chan struct{} // has room for one: waits was set
	waits   atomic.Bool   // some entries have died, and lookAfter is not over; any goroutine sets it
	compact atomic.Bool   // Compact was called; any goroutine
	hurries atomic.Int32  // goroutines that wait for rewriting to end

	// What follows is the goroutine's own.

	pace pace
	live map[*segment]int64 // visible bytes, as last seen; they never grow
	next uint64             // the id of the segment to look at next
	// damaged are segments that stay as they are: writing one again would lose the trace of what is lost.
	damaged map[*segment]bool
}

// candidate is a segment that may be removed or written again.
type candidate struct {
	*segment
	size, live int64
	damaged    bool
	due        bool // it is to be written again
}

// isScattered reports whether a segment is often read in small pieces. Once it is written again by stream it no longer is.
func (c candidate) isScattered(size int64) bool {
	return !c.rewritten && !c.damaged && c.passed.Load() >= passedSegments*size
}

// isSmall reports whether a neighbor of a run joins it: it is no larger than what is visible of that.
func (c candidate) isSmall(live, size int64) bool {
	return c.size <= live && live+c.live <= size && !c.damaged
}

// Compact lets the rewriter look at all segments, and write again whatever has more than a few dead entries. It never waits; any goroutine
// may call it.
func (l *Log) Compact() {
	l.rewriter.compact.Store(true)
	l.Dead()
}

// Died is Dead for few entries: the rewriter looks when lookAfter is over. It is cheap; any goroutine may call it.
func (l *Log) Died() {
	if r := l.rewriter; !r.waits.Load() && r.waits.CompareAndSwap(false, true) {
		r.later <- struct{}{}
	}
}

// Dead lets the rewriter look whether there is space to give back: many entries are no longer visible. It never waits; any goroutine may
// call it. The rewriter looks by itself when a segment is sealed, and when the head is cut.
func (l *Log) Dead() {
	select {
	case l.rewriter.wake <- struct{}{}:
	default:
	}
}

func newRewriter(rate int64) *rewriter {
	return &rewriter{wake: make(chan struct{}, 1), later: make(chan struct{}, 1), pace: pace{rate: rate}, live: make(map[*segment]int64), damaged: make(map[*segment]bool)}
}

// runRewriter is a goroutine. It ends when the log is closed.
func (l *Log) runRewriter() {
	r := l.rewriter
	timer, wait := time.NewTimer(0), time.Duration(0)
	timer.Stop()
	defer timer.Stop()
	for {
		select {
		case <-l.closed:
			return
		case <-r.later:
			timer.Reset(lookAfter)
			continue
		case <-timer.C:
			r.waits.Store(false)
		case <-r.wake:
		}
		err := cmp.Or(l.giveBack(), l.repack())
		l.mu.Lock()
		l.stats.RewriteError = err
		l.mu.Unlock()
		if isFull(err) { // what was given back since it looked may be space enough
			wait = min(max(2*wait, retryFull), lookAfter)
			timer.Reset(wait)
		} else {
			wait = 0
		}
	}
}

// giveBack looks at segments, and removes and rewrites what is to be.
func (l *Log) giveBack() error {
	if l.Failed() != nil {
		return nil // nothing is promised of the disk any more
	}
	l.rewriting.Lock() // Reset waits meanwhile
	defer l.rewriting.Unlock()
	v := l.retainView()
	defer v.release()
	compact := l.rewriter.compact.Swap(false)
	all, others := l.removable(v)
	if err := l.look(all, compact); err != nil {
		return err
	}
	all, visible := l.known(all)
	l.mu.Lock()
	l.stats.Visible = visible + others
	l.mu.Unlock()
	for i := 0; i < len(all); i++ {
		if all[i].live > 0 {
			continue
		}
		if err := l.removeDead(all[i].segment); err != nil {
			return err
		}
		all = slices.Delete(all, i, i+1)
		i--
	}
	choose(all, visible+others, l.o.SegmentSize, compact)
	for _, run := range plan(all, l.o.SegmentSize) {
		if err := l.rewrite(run); err != nil || l.isClosing() {
			return err
		}
	}
	present := l.present()
	for _, c := range all {
		if !c.isScattered(l.o.SegmentSize) || !slices.Contains(present, c.segment) {
			continue
		}
		if err := l.rewrite([]candidate{c}); err != nil || l.isClosing() {
			return err
		}
	}
	return nil
}

// countPassed counts bytes of a segment that were read in vain, and lets the rewriter see when they are many.
func (l *Log) countPassed(s *segment, bytes int64) {
	if bytes <= 0 || s.rewritten {
		return
	}
	limit := passedSegments * l.o.SegmentSize
	if n := s.passed.Add(bytes); n >= limit && n-bytes < limit {
		l.Dead()
	}
}

// present returns the list of segments.
func (l *Log) present() []*segment {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.view.segments
}

func (l *Log) isClosing() bool {
	select {
	case <-l.closed:
		return true
	default:
		return false
	}
}

// removable returns candidates, and the size of all others. The last segment of the log is none of them, if a clean stop has sealed it: the name
// of the next one follows from its own.
func (l *Log) removable(v *view) (all []candidate, others int64) {
	all, others = l.candidates(v)
	if n := len(all); n > 0 && n == len(v.segments) {
		return all[:n-1], others + all[n-1].size
	}
	return all, others
}

// candidates returns the segments that are sealed and lie before the head, and the size of the others: entries in those are needed to open.
func (l *Log) candidates(v *view) (all []candidate, others int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range v.segments {
		if !s.sealed || s.last >= l.meta.head || others > 0 {
			others += s.end
			continue
		}
		all = append(all, candidate{segment: s, size: s.end, damaged: l.rewriter.damaged[s]})
	}
	return all, others
}

// look finds out how much of the candidates is visible, one after the other: of all of them, or as far as maxLook goes.
func (l *Log) look(all []candidate, whole bool) error {
	r := l.rewriter
	present := make(map[*segment]bool, len(all))
	for _, c := range all {
		present[c.segment] = true
	}
	for s := range r.live {
		if !present[s] {
			delete(r.live, s)
		}
	}
	start, _ := slices.BinarySearchFunc(all, r.next, func(c candidate, id uint64) int { return int(c.id) - int(id) }) //nolint:gosec // few
	looked := 0
	for i := range all {
		c := all[(start+i)%len(all)]
		if looked >= maxLook && i >= minLook && !whole || l.isClosing() {
			return nil
		}
		live, spans, err := l.visible(c)
		if err != nil {
			return err
		}
		looked += spans
		r.live[c.segment], r.next = live, c.id+1
	}
	return nil
}

// known returns the candidates with what is known to be visible of each, and of all. One that was not looked at counts as visible.
func (l *Log) known(all []candidate) (known []candidate, visible int64) {
	for _, c := range all {
		live, ok := l.rewriter.live[c.segment]
		if c.live = live; !ok {
			c.live = c.size
		}
		visible += c.live
		known = append(known, c)
	}
	return known, visible
}

// visible returns about how many bytes of a segment belong to visible entries, 0 only if there is none, and how many spans it has.
func (l *Log) visible(c candidate) (live int64, spans int, err error) {
	err = l.withPart(c.segment, func(p *part) error {
		var all, visible int64
		batch := liveBatch{live: l.o.Live}
		spans = 0
		count := func(bytes int64, share float64) {
			all += bytes
			if share > 0 {
				visible += max(1, int64(float64(bytes)*share))
			}
		}
		err := mergeParts([]*part{p}, func(_ int, e extent) bool {
			spans += batch.add(e, count)
			return true
		})
		batch.flush(count)
		if all > 0 && visible > 0 { // a record with entries of several streams counts for each of them
			live = max(1, int64(float64(c.size)*float64(visible)/float64(all)))
		}
		return err
	})
	return live, spans, err
}

// liveBatch collects spans until there are enough for a call of Live.
type liveBatch struct {
	live  func([]Span) []Span
	spans []Span
	bytes []int64
	count int // of entries
}

// add adds what an extent has, and returns the number of new spans. count gets the bytes of a span, and which share of it is visible.
func (b *liveBatch) add(e extent, count func(bytes int64, share float64)) int {
	if len(b.spans) == spansAtOnce || b.count >= entriesAtOnce {
		b.flush(count)
	}
	b.count += spanOf(e).Count
	if n := len(b.spans) - 1; n >= 0 && b.spans[n].Key == e.key && b.spans[n].First+uint64(b.spans[n].Count) == e.first { //nolint:gosec // positive
		b.spans[n].Count += spanOf(e).Count
		b.bytes[n] += e.length
		return 0
	}
	b.spans = append(b.spans, spanOf(e))
	b.bytes = append(b.bytes, e.length)
	return 1
}

func (b *liveBatch) flush(count func(bytes int64, share float64)) {
	if len(b.spans) == 0 {
		return
	}
	live := b.live(b.spans)
	for i, s := range b.spans {
		n := 0
		for ; len(live) > 0 && live[0].Key == s.Key && live[0].First < s.First+uint64(s.Count); live = live[1:] { //nolint:gosec // positive
			n += live[0].Count
		}
		count(b.bytes[i], float64(n)/float64(s.Count))
	}
	b.spans, b.bytes, b.count = b.spans[:0], b.bytes[:0], 0
}

func spanOf(e extent) Span {
	return Span{e.key, e.first, int(e.last - e.first + 1)} //nolint:gosec // entries of one segment
}

const (
	// Files may have a fourth more than what is visible, and a segment. Beyond that segments are written again until it is a sixth: then
	// neighbors are ready together, and few bytes are written more than once.
	deadMost, deadLeft = 4, 6
	// littleDead is the part of a segment that is not worth to write the rest again.
	littleDead = 16
)

// choose makes those segments due that give back most for what is written again, once too much is dead, beside what is visible of all
// files. With whole it is all that have more than little to give back.
func choose(all []candidate, visible, size int64, whole bool) {
	var dead int64
	var order []int
	for i := range all {
		if c := &all[i]; !c.damaged && c.live < c.size-c.size/littleDead {
			dead += c.size - c.live
			order = append(order, i)
		}
	}
	if dead <= max(size, visible/deadMost) && !whole {
		return
	}
	left := max(size/2, visible/deadLeft)
	if whole {
		left = 0
	}
	slices.SortStableFunc(order, func(i, j int) int {
		a, b := &all[i], &all[j]
		return cmp.Compare(float64(a.live)/float64(a.size), float64(b.live)/float64(b.size))
	})
	for _, i := range order {
		if dead <= left {
			return
		}
		all[i].due = true
		dead -= all[i].size - all[i].live
	}
}

// plan returns the runs of neighbors that are to become one segment each, of about size bytes: those that are due, and small ones beside
// them.
func plan(all []candidate, size int64) (runs [][]candidate) {
	end := 0 // of the last run
	for i := 0; i < len(all); i++ {
		if !all[i].due {
			continue
		}
		from, to, live := i, i+1, all[i].live
		for to < len(all) && all[to].due && live+all[to].live <= size {
			live += all[to].live
			to++
		}
		for from > end && all[from-1].isSmall(live, size) {
			from--
			live += all[from].live
		}
		for to < len(all) && !all[to].due && all[to].isSmall(live, size) {
			live += all[to].live
			to++
		}
		runs = append(runs, all[from:to])
		end, i = to, to-1
	}
	return runs
}

// removeDead removes a segment without a visible entry. Readers that have pinned it keep its file open.
func (l *Log) removeDead(s *segment) error {
	l.replace([]*segment{s}, nil)
	l.mu.Lock()
	l.stats.Removed++
	l.mu.Unlock()
	return l.files.Remove(s.name())
}

// rewrite puts one segment in the place of a run of neighbors, with what is visible of them.
func (l *Log) rewrite(run []candidate) error {
	old := make([]*segment, len(run))
	for i, c := range run {
		old[i] = c.segment
	}
	w := newRewriting(l, old)
	err := w.run()
	if err == nil && w.at == segmentHeaderSize {
		err = errNothingVisible
	}
	if err == nil {
		err = w.finish()
	}
	if err != nil {
		w.abandon()
		var damage *Damage
		switch {
		case errors.As(err, &damage):
			l.rewriter.damaged[w.reading] = true
			return err
		case errors.Is(err, errNothingVisible), errors.Is(err, ErrClosed):
			return nil // the next look finds them dead; or the log is opened again
		}
		return err
	}
	l.replace(old, w.segment)
	l.mu.Lock()
	l.stats.Rewritten += uint64(len(old))
	l.stats.RewrittenBytes += w.at
	l.stats.RewriteReadBytes += w.read
	l.mu.Unlock()
	for _, s := range old[1:] { // the new one has the name of the first
		if err := l.files.Remove(s.name()); err != nil {
			return err
		}
	}
	return nil
}
