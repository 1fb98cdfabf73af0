package command

import (
	"slices"
	"time"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/position"
	"github.com/conchmq/conch/internal/stream"
)

// resolve finds the start of a replay that gets entries. False means that the connection ends.
func (h *history) resolve(r *replay) bool {
	p := h.pass
	kept := r.plain && p.recent != nil
	ok := true
	switch from := &r.from; from.Kind {
	case position.Number:
		h.resolveNumber(r)
	case position.Oldest:
		r.start = 1
		if kept {
			r.recentFrom = p.recent.Evicted() + 1
		}
	case position.Time, position.Age:
		at, age := h.now-from.Age.Milliseconds(), from.Age
		if from.Kind == position.Time {
			at, age = from.Time.UnixMilli(), time.Since(from.Time)
		}
		if kept {
			p.resolveAge(r, age)
		} else {
			r.start = h.upTo + 1
		}
		r.recentFrom = r.start
		ok = h.resolveTime(r, at)
	case position.Entry:
		ok = h.resolveEntry(r)
	case position.Last:
		if r.start = r.after + 1; from.Each {
			ok = h.collectEach(r)
		} else {
			ok = h.resolveLast(r)
		}
		r.recentFrom = r.start
	}
	return ok && h.trackEmpty(r)
}

// resolveNumber finds the start at a number.
func (h *history) resolveNumber(r *replay) {
	switch from := &r.from; {
	case from.Epoch == "" || from.Epoch == h.service.Epoch():
		r.start = max(from.Number, 1)
	case r.logged > 0: // the log has that epoch; what else was published behind it, if anything, is gone
		r.start, r.missed = r.logged, r.plain
	default:
		r.start, r.missed = 1, true
	}
	if r.recentFrom = r.start; r.plain && h.pass.recent == nil && r.start <= r.after {
		r.missed = true
	}
}

// resolveTime moves the start to the first entry since a time, if that is before.
func (h *history) resolveTime(r *replay, at int64) bool {
	scan := h.service.streams.store.Scan()
	defer scan.Release()
	isBefore := func(changes []byte) bool {
		_, time := stream.RecordStart(changes)
		return time < at
	}
	if err := scan.Seek(isBefore); err != nil {
		return h.fail(err)
	}
	found := h.upTo + 1
	for found > h.upTo {
		more, err := scan.Next(func(changes []byte) {
			_ = stream.EachEntry(changes, 0, func(e *stream.Entry) bool { // what is damaged is reported when it is read
				if e.Time >= at {
					found = min(found, e.Sequence)
				}
				return true
			})
		}, func(error) {})
		if err != nil {
			return h.fail(err)
		}
		if !more || h.pass.stopping.raised.Load() {
			break
		}
	}
	r.start = min(r.start, found)
	return true
}

// resolveEntry makes the start that of the first entry with an id, or with a larger one.
func (h *history) resolveEntry(r *replay) bool {
	id, err := stream.ParseID([]byte(r.from.Text), 0)
	if err != nil {
		r.start, r.missed = 1, true // the core has refused it
		return true
	}
	r.start = h.upTo + 1
	m, ok := newMergedSource(h.service, h.find(r.sub.Topic()), id)
	defer m.release()
	if !ok {
		return false
	}
	for _, c := range m.cursors {
		e, found, err := c.first(c.rng.First())
		if err != nil {
			return h.fail(err)
		}
		if found {
			r.start, r.exact = e.Sequence, e.ID == id
		}
	}
	r.recentFrom = r.start
	return true
}

// find returns the stream of a topic, if there is one.
func (h *history) find(topic string) (found []readStream) {
	h.service.RunOnCore(func(broker.View) {
		if st := h.service.streams.state.Lookup([]byte(topic)); st != nil {
			found = append(found, readStream{st.Number(), topic, st.Len()})
		}
	})
	return found
}

// resolveLast makes the start that of the last messages before the subscription that match, of the last maxLookedBack ones.
func (h *history) resolveLast(r *replay) bool {
	wanted := int(min(r.from.Number, maxLookedBack)) //nolint:gosec // it is small
	last, ok := h.lastEntries(r, wanted)
	if !ok {
		return false
	}
	if r.plain && h.pass.recent != nil {
		messages, ok := h.pass.lastRecent(r, wanted)
		if !ok {
			return false
		}
		last = append(last, messages...)
		slices.Sort(last)
	}
	if n := len(last); n > 0 {
		r.start = last[max(0, n-wanted)]
	}
	return true
}

// lastEntries returns the numbers of the last entries that match, in order. It goes back in growing steps.
func (h *history) lastEntries(r *replay, wanted int) (last []uint64, ok bool) {
	q := &readRequest{}
	switch topic := r.sub.Topic(); {
	case r.isLiteral():
		q.names = []string{topic}
	case matchesAll(topic):
		q.all = true
	default:
		q.globs = []string{topic}
	}
	source, err := h.open(q, readStart{sequence: 1})
	if err != nil {
		return nil, h.fail(err)
	}
	defer source.release()
	defer func() { h.rows = nil }()
	defer h.pass.matches.end()
	for attempt := 0; ; attempt++ {
		more, err := source.back(wanted, attempt)
		if err != nil {
			return nil, h.fail(err)
		}
		found, whole, err := h.numbers(r, source, wanted, attempt > 0)
		switch {
		case err != nil:
			return nil, h.fail(err)
		case !whole:
			return last, true // so far back is too far: what was found before counts
		}
		from := source.wholeFrom()
		cut, _ := slices.BinarySearch(found, from)
		if last = found[cut:]; len(last) >= wanted || !more {
			return last, true
		}
	}
}

// numbers returns the numbers of the last entries of a source that match. whole is false if they are too many to look at all.
func (h *history) numbers(r *replay, source readSource, wanted int, bounded bool) (last []uint64, whole bool, err error) {
	h.rows, h.seen = nil, 0
	read := h.read
	defer func() { h.read = read }()
	for looked := 0; ; {
		if !h.pass.matches.step(turnWork / historyShare) {
			return nil, false, errConnectionEnds
		}
		rows, end, err := h.next(source, 1, r.after)
		if err != nil {
			return nil, false, err
		}
		for i := range rows {
			if row := &rows[i]; row.wanted && h.matches(r, row) {
				if len(last) >= 2*wanted {
					last = append(last[:0], last[len(last)-wanted+1:]...)
				}
				last = append(last, row.Sequence)
			}
		}
		if looked += len(rows); end {
			return last[max(0, len(last)-wanted):], true, nil
		}
		if bounded && looked > maxLookedBack {
			return nil, false, nil
		}
	}
}

// lastRecent returns the numbers of the last recent messages before the subscription that match, in order.
func (p *pass) lastRecent(r *replay, wanted int) (last []uint64, ok bool) {
	defer p.matches.release()
	for before := r.after + 1; len(last) < wanted; {
		c, ok := p.matches.takeBefore(before)
		if c == nil {
			return last, ok
		}
		before = c.First()
		var found []uint64
		ok = p.eachIn(c, map[*replay]uint64{r: 0}, func(_ *replay, seq uint64) { found = append(found, seq) })
		p.matches.release()
		if !ok && !p.matches.gone {
			return nil, false
		}
		last = append(found, last...)
	}
	return last, true
}
