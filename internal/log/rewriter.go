package log

import (
	"errors"
	"slices"
)

const (
	// spansAtOnce bounds a call of Options.Live, which may visit the core.
	spansAtOnce = 1024
	// entriesAtOnce is how many entries a call of it is about, but for an extent that has more: a visit to the core is short.
	entriesAtOnce = 1 << 16
	// maxLook bounds the spans that are looked at each time the rewriter is woken: a log of many streams is looked at in turns.
	maxLook = 64 * spansAtOnce
	// A segment is a candidate when less than half of it is visible. Candidates are written again once their dead bytes are as many as a
	// segment, and slack of all: then neighbors are ready together, and each visible byte is seldom written more than once.
	slack = 8
	// passedSegments is how often a segment may be read in vain, before it is written again by stream. Writing it costs as much as ten to forty
	// such reads.
	passedSegments = 8
)

// rewriter is the state of the goroutine that gives space back: it removes segments without a visible entry, and writes those again of
// which less than half is visible, or that are often read in small pieces. It touches sealed segments before the head alone.
type rewriter struct {
	wake chan struct{}
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
}

func (c candidate) isMostlyDead() bool { return c.live < c.size/2 && !c.damaged }

// isScattered reports whether a segment is often read in small pieces. Once it is written again by stream it no longer is.
func (c candidate) isScattered(size int64) bool {
	return !c.rewritten && !c.damaged && c.passed.Load() >= passedSegments*size
}

// isSmall reports whether a neighbor of a run joins it: it is no larger than what is visible of that.
func (c candidate) isSmall(live, size int64) bool {
	return c.size <= live && live+c.live <= size && !c.damaged
}

// Dead lets the rewriter look whether there is space to give back: many entries are no longer visible. It never waits; any goroutine may
// call it. The rewriter looks by itself when a segment is sealed, and when the head is cut.
func (l *Log) Dead() {
	select {
	case l.rewriter.wake <- struct{}{}:
	default:
	}
}

func newRewriter() rewriter {
	return rewriter{wake: make(chan struct{}, 1), live: make(map[*segment]int64), damaged: make(map[*segment]bool)}
}

// runRewriter is a goroutine. It ends when the log is closed.
func (l *Log) runRewriter() {
	r := &l.rewriter
	for {
		select {
		case <-l.closed:
			return
		case <-r.wake:
		}
		err := l.giveBack()
		l.mu.Lock()
		l.stats.RewriteError = err
		l.mu.Unlock()
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
	all := l.candidates(v)
	if err := l.look(all); err != nil {
		return err
	}
	all, total := l.known(all)
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
	for _, run := range plan(all, l.o.SegmentSize, max(l.o.SegmentSize, total/slack)) {
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

// candidates returns the segments that are sealed and lie before the head. Entries in others are needed to open.
func (l *Log) candidates(v *view) (all []candidate) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range v.segments {
		if !s.sealed || s.last >= l.meta.head {
			break
		}
		all = append(all, candidate{segment: s, size: s.end, damaged: l.rewriter.damaged[s]})
	}
	return all
}

// look finds out how much of the candidates is visible, one after the other, as far as maxLook goes.
func (l *Log) look(all []candidate) error {
	r := &l.rewriter
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
		if looked >= maxLook || l.isClosing() {
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

// known returns the candidates that were looked at, and the size of all.
func (l *Log) known(all []candidate) (known []candidate, total int64) {
	for _, c := range all {
		total += c.size
		live, ok := l.rewriter.live[c.segment]
		if c.live = live; !ok {
			c.live = c.size
		}
		known = append(known, c)
	}
	return known, total
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

// plan returns the runs of neighbors that are to become one segment each, of about size bytes. There are none while fewer than
// enough bytes are dead.
func plan(all []candidate, size, enough int64) (runs [][]candidate) {
	var dead int64
	for _, c := range all {
		if c.isMostlyDead() {
			dead += c.size - c.live
		}
	}
	if dead < enough {
		return nil
	}
	end := 0 // of the last run
	for i := 0; i < len(all); i++ {
		if !all[i].isMostlyDead() {
			continue
		}
		from, to, live := i, i+1, all[i].live
		for to < len(all) && all[to].isMostlyDead() && live+all[to].live <= size {
			live += all[to].live
			to++
		}
		for from > end && all[from-1].isSmall(live, size) {
			from--
			live += all[from].live
		}
		for to < len(all) && !all[to].isMostlyDead() && all[to].isSmall(live, size) {
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
	l.mu.Unlock()
	for _, s := range old[1:] { // the new one has the name of the first
		if err := l.files.Remove(s.name()); err != nil {
			return err
		}
	}
	return nil
}
