package command

import (
	"errors"
	"slices"

	"github.com/rs/zerolog"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/filter"
	"github.com/conchmq/conch/internal/position"
	"github.com/conchmq/conch/internal/recent"
	"github.com/conchmq/conch/internal/stream"
)

const (
	// historyBytes is about how many bytes of messages a history holds at once, and historyRows how many entries it looks at for them.
	historyBytes, historyRows = 64 << 10, 8192
	// nearBytes is how much a round read at most in front of a join: what came meanwhile is as little.
	nearBytes = 512 << 10
	// historyShare makes a turn longer than that of other work: to go on with the log costs more than to go on with a chunk.
	historyShare = 8
)

// history gives a pass the entries of durable topics, and merges recent messages of other topics with them. It belongs to the feeder's
// goroutine, and to the core at the instant of the join.
//
// It reads in rounds. Each has what was published up to an instant; the next one has what came meanwhile. After a short one the pass
// joins, and the last one ends at that instant. While the client reads nothing, a history holds no file and no window of the log.
type history struct {
	pass    *pass
	service *Service
	request *readRequest // the names of all replays
	// durable has the globs that were in force during the pass: what a topic got while it was durable is in the log.
	durable []*stream.Globs
	matcher broker.Matcher
	plain   bool // recent messages are wanted

	// upTo is the last number of the round; barrier is the record that it waits for.
	upTo, barrier uint64
	now           int64 // by the clock of the log
	read          int   // bytes in this round

	source readSource // nil while none is open
	rows   []readRow  // of the source, yet to be looked at
	// entries are those that are yet to be merged: all up to the number seen.
	entries []kept
	taken   int // of them are merged
	seen    uint64
	text    []byte // of the entries, and of those in the batch

	batch  []kept // what comes next: all up to the number end
	end    uint64
	copied []byte // of recent messages in the batch

	// passed has the entry of each stream that came last.
	passed map[uint64]*passedEntry
	// lastPassed is that of the stream lastKey, which the last entry was of; nil in front of the first one.
	lastPassed *passedEntry
	lastKey    uint64

	each    []eachEntry // of LAST 1 EACH, in order
	topic   []byte
	charged int64
}

// kept is a message that a history holds.
type kept struct {
	recent.Message
	fields  stream.Fields // of an entry, for predicates
	isEntry bool
}

// keptCost and eachCost are about what one takes besides its text.
const keptCost, eachCost, passedCost = 160, 48, 96

func newHistory(p *pass) *history {
	h := &history{pass: p, service: p.conn.service, request: new(readRequest), passed: make(map[uint64]*passedEntry)}
	for _, r := range p.replays {
		h.plain = h.plain || r.plain && h.service.recent != nil
		switch topic := r.sub.Topic(); {
		case matchesAll(topic) && r.sub.Kind() == broker.Pattern:
			h.request.all = true
		case r.isLiteral():
			h.request.names = append(h.request.names, topic)
		default:
			h.request.globs = append(h.request.globs, topic)
		}
	}
	slices.Sort(h.request.names)
	h.request.names = slices.Compact(h.request.names)
	return h
}

// begin begins a round: all that was published up to now. False means that the connection ends.
func (h *history) begin() bool {
	h.closeSource()
	h.read = 0
	return h.service.RunOnCore(func(v broker.View) { h.fix(v.Stats().Sequence) }) && h.awaitSafe()
}

// fix ends the round at a number, which is the present one. The record is closed. The core calls it.
func (h *history) fix(last uint64) {
	s := &h.service.streams
	h.upTo, h.barrier, h.now = last, s.barrier(), s.store.Now()
	if now := s.state.Durable(); now != nil && !slices.Contains(h.durable, now) {
		h.durable = append(h.durable, now)
	}
}

// isDurable reports whether a topic was durable during the pass.
func (h *history) isDurable(name string) bool {
	return slices.ContainsFunc(h.durable, func(g *stream.Globs) bool { return g.Match([]byte(name), &h.matcher) })
}

// awaitSafe waits until what the round has is as safe as the policy demands. False means that the connection ends.
func (h *history) awaitSafe() bool {
	for {
		changed := h.service.syncs.wait()
		switch {
		case h.barrier <= h.service.Counts.messages.Released.Load():
			return true
		case h.service.streams.store.Failed() != nil:
			h.pass.conn.End(CloseReasonLog)
			return false
		}
		select {
		case <-changed:
		case <-h.pass.stopping.done():
			return false
		case <-h.service.core.Stopped():
			return false
		}
	}
}

// open opens a source for names, and goes to a start.
func (h *history) open(q *readRequest, from readStart) (readSource, error) {
	names := newReadNames(q)
	names.durable = h.isDurable
	found, few, ok := names.find(h.service)
	switch {
	case !ok:
		return nil, errConnectionEnds
	case names.err() != nil:
		return nil, names.err()
	}
	var source readSource
	if few {
		m, ok := newMergedSource(h.service, found, stream.MinID)
		if !ok {
			m.release()
			return nil, errConnectionEnds
		}
		source = m
	} else {
		source = newLogSource(h.service, names)
	}
	if err := source.seek(from); err != nil {
		source.release()
		return nil, err
	}
	return source, nil
}

// closeSource gives up what the log holds for the pass.
func (h *history) closeSource() {
	if h.source != nil {
		h.source.release()
		h.source, h.rows = nil, nil
	}
	h.charge()
}

// charge counts the memory of the history as that of its connection.
func (h *history) charge() {
	now := int64(cap(h.text) + cap(h.copied) + (cap(h.entries)+cap(h.batch))*keptCost + cap(h.each)*eachCost + len(h.passed)*passedCost)
	if h.source != nil {
		now += scanCost
	}
	h.pass.conn.streamClient.Load().usage.fills.Add(now - h.charged)
	h.service.memory.Charge(now - h.charged)
	h.charged = now
}

// close ends the use of the history.
func (h *history) close() {
	h.clearBatch()
	h.clearEntries()
	h.each, h.batch, h.entries, h.text, h.copied, h.passed, h.lastPassed = nil, nil, nil, nil, nil, nil, nil
	h.closeSource()
}

// fail reports that the log cannot be read. False means that the connection ends.
func (h *history) fail(err error) bool {
	if errors.Is(err, errConnectionEnds) {
		return false
	}
	h.pass.conn.Log(zerolog.ErrorLevel).Err(err).Msg("entries of a replay cannot be read; its connection is closed")
	h.pass.conn.End(CloseReasonLog)
	return false
}

// isNear reports whether so little is left that the pass can join.
func (h *history) isNear(next uint64) bool {
	return next > h.upTo && h.read <= nearBytes && len(h.each) <= h.pass.each
}

// matches evaluates the predicate of a replay for an entry.
func (h *history) matches(r *replay, row *readRow) bool {
	k := &h.pass.matches
	if r.predicate == nil {
		return true
	}
	h.topic = append(h.topic[:0], row.name...)
	k.decode(&recent.Message{Topic: h.topic}, &row.Fields)
	return r.predicate.Match(&k.msg) == filter.Yes
}

// isLiteral reports whether a replay is of one topic.
func (r *replay) isLiteral() bool { return r.sub.Kind() == broker.Topic || isLiteral(r.sub.Topic()) }

// place decides from where a replay comes: from recent messages, from the log, or from both. The core calls it.
func (e *executor) place(r *replay) {
	s := &e.service.streams
	r.globs = s.state.Durable()
	if r.globs == nil {
		r.plain = true
		return
	}
	topic := r.sub.Topic()
	if r.isLiteral() {
		r.durable = s.state.IsDurable([]byte(topic))
		r.plain = !r.durable
	} else {
		r.durable, r.plain = true, !r.globs.Covers(topic)
	}
	if since := s.durableSince; since > 0 && !r.plain { // it may have been another topic before
		r.plain = r.from.Kind != position.Number || r.from.Number < since
	}
	if r.durable {
		e.usesStreams() // the feeder counts memory there
	}
}
