package command

import (
	"slices"
	"time"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/outbox"
	"github.com/conchmq/conch/internal/position"
	"github.com/conchmq/conch/internal/recent"
	"github.com/conchmq/conch/internal/stream"
	"github.com/conchmq/conch/internal/uptime"
)

// pass is one walk over the recent messages, for some replays. It belongs to the feeder's goroutine, and to the core at the
// instant of the join.
type pass struct {
	*feeder
	recent  *recent.Messages
	replays []*replay
	matches matches
	place
	pending pending
	// history is nil where only recent messages are wanted.
	history *history

	// The core sets these at the join: the number of the last message before it, and, if there are messages from next to that one,
	// the mark in front of which they go, the chunks that hold them, and the newest message that is in none of these.
	last    uint64
	marked  bool
	mark    outbox.Mark
	formats [broker.Forms]outbox.Format
	rest    []*recent.Chunk
	evicted uint64
	// turned: instead of a join, there are durable topics now.
	turned bool
}

// place is how far a pass has come.
type place struct {
	// next is the number of the next message.
	next uint64
	// reader stands at next; it is the zero Reader if next is in another chunk.
	reader recent.Reader
	// before is how many messages were kept before next; counted is false if that is unknown.
	before  uint64
	counted bool
	// due are the replays that have yet to get message next: a message for very many is added in parts. They are in an array of
	// their own, which does not change; nil if that message has not begun.
	due []*replay
	// each is how many entries of LAST 1 EACH were fed.
	each int
}

func newPass(f *feeder, replays []*replay) *pass {
	p := &pass{feeder: f, recent: f.conn.service.recent, replays: replays}
	p.matches.init(f.conn.service, &f.stopping, replays)
	p.pending.init(f.conn)
	if slices.ContainsFunc(replays, func(r *replay) bool { return r.durable }) {
		p.useHistory()
	}
	return p
}

// useHistory has the pass give entries of durable topics, too.
func (p *pass) useHistory() {
	p.history = newHistory(p)
	p.matches.yield = p.history.closeSource
}

// run feeds all replays from their starts on, and joins them.
func (p *pass) run() {
	defer p.close()
	if !p.resolve() {
		return
	}
	after := uint64(0)
	p.next = p.replays[0].start
	for _, r := range p.replays {
		p.next, after = min(p.next, r.start), max(after, r.after)
	}
	for near := false; !near || p.hasReports() || !p.join(); {
		if !p.awaitRoom() || !p.begin() {
			return
		}
		p.reportMissed()
		// The join is requested close to the end: at its instant the rest is fixed, however fast messages come.
		if near = p.isNear(after); !near && !p.feed(after) || !p.flush() {
			return
		}
	}
	if p.marked {
		p.feedRest()
	}
}

// close ends the pass.
func (p *pass) close() {
	p.pending.close()
	p.matches.release()
	if p.history != nil {
		p.history.close()
	}
}

// join joins all replays, or returns false if there are durable topics now: their messages are not among the recent ones.
func (p *pass) join() bool {
	p.matches.end()
	if p.turned = false; p.conn.service.RunOnCore(func(v broker.View) { p.conn.executor.joinReplays(v, p) }) && p.turned {
		p.useHistory()
		return false
	}
	return true
}

// awaitRoom waits until the writer has written enough. While it waits, the pass holds little. False means that the connection ends.
func (p *pass) awaitRoom() bool {
	if p.history != nil && p.conn.outbox.ReplayBytes() > maxAhead {
		p.matches.end()
		p.awaitWithSource()
		return p.feeder.awaitRoom(maxAhead / 2)
	}
	return p.feeder.awaitRoom(maxAhead)
}

const (
	// keepSource is how long a source stays open for a client that reads, and maxKeptSources how many do at once: to open one again
	// took a fifth of the time of a replay. It holds files of the log, which must not depend on what a client reads.
	keepSource     = 100 * time.Millisecond
	maxKeptSources = 16
)

// awaitWithSource waits for a while until the writer has written enough. If that does not come, it closes the source.
func (p *pass) awaitWithSource() {
	kept := &p.conn.service.keptSources
	defer kept.Add(-1)
	if kept.Add(1) <= maxKeptSources && p.history.source != nil {
		timer := time.NewTimer(keepSource)
		defer timer.Stop()
		if p.awaitRoomUntil(maxAhead/2, timer.C) {
			return
		}
	}
	p.history.closeSource()
}

// isNear reports whether so little is left that the pass can join.
func (p *pass) isNear(after uint64) bool {
	if p.history != nil {
		return p.history.isNear(p.next)
	}
	return p.next > after && p.recent.IsNear(p.next)
}

// begin takes note of the replays that are dropped, and of the formats. False means that none is left.
func (p *pass) begin() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	left := false
	p.at.Store(p.next)
	p.pending.begin(p.place, p.generation)
	if !p.marked {
		p.formats = p.feeder.formats
	}
	for _, r := range p.replays {
		r.ends, r.gone = r.dropped && !r.gone, r.gone || r.dropped
		left = left || !r.gone
	}
	return left
}

// flush adds what is pending. If that is void by now, the pass is again where it began. False means that the outbox takes
// nothing more.
func (p *pass) flush() bool {
	mark := &p.mark
	if !p.marked {
		mark = nil
	}
	p.mu.Lock()
	if !p.marked && p.pending.generation != p.generation {
		p.mu.Unlock()
		p.place = p.pending.rewind()
		return true
	}
	ok, start := p.pending.add(mark)
	p.mu.Unlock()
	if ok {
		p.noteReplays()
	}
	if start {
		p.conn.transport.StartWriter()
	}
	return ok
}

// feed encodes messages of one chunk, as many as are added at once. False means that the connection ends.
func (p *pass) feed(after uint64) bool {
	if p.history != nil {
		return p.feedHistory()
	}
	c, evicted, ok := p.matches.take(p.next)
	if !ok {
		return false
	}
	defer p.matches.release()
	if evicted >= p.next {
		p.overtaken(c, evicted)
	}
	if c == nil { // what was published so far is gone, or went to shards
		p.next = max(p.next, after+1)
		return true
	}
	_, ok = p.scan(c)
	return ok
}

// feedRest adds the messages up to the join. What stands behind the mark follows them. So if the connection ends before, the rest
// is reported as missing.
func (p *pass) feedRest() {
	defer p.endRest()
	p.matches.gone = false
	p.begin()
	p.reportEnds()
	if p.history == nil && p.evicted >= p.next {
		var first *recent.Chunk
		if len(p.rest) > 0 {
			first = p.rest[0]
		}
		p.overtaken(first, min(p.evicted, p.last))
	}
	if p.feedChunks() {
		return
	}
	for _, r := range p.replays {
		if r.ends = !r.gone; r.ends {
			r.gone = true
		}
	}
	p.reportEnds()
	p.flush()
}

// feedChunks adds the messages of the rest, at the client's pace. False means that the connection ends.
func (p *pass) feedChunks() bool {
	if p.history != nil {
		return p.feedRounds()
	}
	for _, c := range p.rest {
		for more := true; more && p.next <= p.last; {
			if !p.awaitRoom() {
				return false
			}
			left := p.begin()
			p.reportEnds()
			ok := true
			if more = false; left {
				more, ok = p.scan(c)
			}
			if !p.flush() || !ok {
				return false
			}
		}
	}
	return true
}

// reportEnds reports what those replays miss that have ended behind their join.
func (p *pass) reportEnds() {
	for _, r := range p.replays {
		if r.ends {
			p.pending.missed(r, p.formats[r.sub.Form], -1)
		}
	}
}

// noteReplays notes how far the replays have come whose positions are kept.
func (p *pass) noteReplays() {
	for _, r := range p.replays {
		if r.cursor != nil && !r.gone {
			p.conn.outbox.Replays(r.cursor.track, max(p.next, r.start))
		}
	}
}

// endReplays notes that those are complete which have joined.
func (p *pass) endReplays() {
	for _, r := range p.replays {
		if r.cursor != nil && r.joined && !r.gone {
			p.conn.outbox.Replays(r.cursor.track, 0)
		}
	}
}

// endRest lets the writer go on behind the mark.
func (p *pass) endRest() {
	p.endReplays()
	for _, c := range p.rest {
		c.Release()
	}
	p.mu.Lock()
	p.joined = nil
	p.mu.Unlock()
	if p.conn.outbox.RemoveMark(&p.mark) {
		p.conn.transport.StartWriter()
	}
}

// scan encodes messages of a chunk from next on, and stops when enough is pending, be it within a message. more means that it has
// stopped there. False means that the connection ends.
func (p *pass) scan(c *recent.Chunk) (more, ok bool) {
	if !p.reader.In(c) {
		p.reader = c.Reader()
	}
	for m := (recent.Message{}); !p.pending.isFull(); {
		ahead := p.reader
		if !ahead.Next(&m) || p.marked && m.Sequence > p.last {
			return false, true
		}
		if m.Sequence >= p.next {
			if more, ok := p.message(&m, nil, c.Before()+p.reader.Read()); more || !ok {
				return more, ok
			}
		}
		p.reader = ahead
	}
	return true, true
}

// message encodes a message for the replays that have yet to get it. before is how many messages were kept before it, fields are those
// of an entry. The results are those of scan.
func (p *pass) message(m *recent.Message, fields *stream.Fields, before uint64) (more, ok bool) {
	due, began := p.due, p.due != nil
	if !began {
		if due, ok = p.matches.of(m, fields); !ok {
			return p.matches.gone, p.matches.gone
		}
	}
	p.next, p.before, p.counted = m.Sequence, before, p.history == nil
	for i, r := range due {
		if p.pending.isFull() {
			if p.due = due[i:]; !began {
				p.due = slices.Clone(p.due)
			}
			return true, true
		}
		if !r.gone {
			p.pending.message(r, m, fields, p.formats[r.sub.Form])
		}
	}
	p.next, p.before, p.due = m.Sequence+1, before+1, nil
	return false, true
}

// hasReports reports whether messages before the start of a replay are missing, and are yet to be reported.
func (p *pass) hasReports() bool {
	for _, r := range p.replays {
		if (r.missed || r.lost > 0) && !r.gone {
			return true
		}
	}
	return false
}

// reportMissed reports what is missing before the starts.
func (p *pass) reportMissed() {
	for _, r := range p.replays {
		if (r.missed || r.lost > 0) && !r.gone {
			n := int(r.lost) //nolint:gosec // a count
			if r.missed || r.predicate != nil {
				n = -1
			}
			p.pending.missed(r, p.formats[r.sub.Form], n)
			r.missed, r.lost = false, 0
		}
	}
}

// overtaken reports the messages from next up to evicted as missing. c is the first chunk behind them; nil if there is none.
func (p *pass) overtaken(c *recent.Chunk, evicted uint64) {
	for _, r := range p.replays {
		if r.start > evicted || r.gone {
			continue
		}
		if n := p.countMissed(c, evicted, r); n != 0 {
			p.pending.missed(r, p.formats[r.sub.Form], n)
		}
		r.start, r.missed = evicted+1, false
	}
	p.place = place{next: evicted + 1}
}

// countMissed counts the messages that are missing for a replay before a chunk, if it gets those of all topics. Otherwise it
// returns -1: of messages that are gone, the topics are unknown.
func (p *pass) countMissed(c *recent.Chunk, evicted uint64, r *replay) int {
	got := uint64(0) // of message next, which has come to some replays only
	if p.due != nil && r.previous == p.next {
		if got = 1; evicted == p.next {
			return 0
		}
	}
	switch all := r.predicate == nil && r.sub.Kind() == broker.Pattern && matchesAll(r.sub.Topic()); {
	case !all || c == nil || r.missed:
		return -1
	case p.counted && r.start <= p.next:
		return int(c.Before() - p.before - got) //nolint:gosec // a count
	}
	// Each number so far is that of a message to a topic, but of numbers of an earlier start nothing is known.
	if from := max(r.start, p.next); c.Before() == c.First()-1 && from >= p.recent.Start() {
		return int(c.First() - from) //nolint:gosec // a count
	}
	return -1
}

// resolve finds the starts. False means that the connection ends.
func (p *pass) resolve() bool {
	if p.history != nil && !p.history.begin() {
		return false
	}
	var last []*replay
	for _, r := range p.replays {
		if r.durable {
			if !p.history.resolve(r) {
				return false
			}
			continue
		}
		switch from := &r.from; from.Kind {
		case position.Number:
			// Of another epoch nothing is known, but that all that is kept is newer.
			if from.Epoch != "" && from.Epoch != p.conn.service.Epoch() {
				r.start, r.missed = p.recent.Evicted()+1, true
			} else {
				r.start = max(from.Number, 1)
			}
		case position.Time:
			p.resolveAge(r, time.Since(from.Time))
		case position.Age:
			p.resolveAge(r, from.Age)
		case position.Last:
			last = append(last, r)
		case position.Oldest, position.Entry, position.Group: // the reader has refused the last two
			r.start = p.recent.Evicted() + 1
		}
	}
	if !p.resolveLast(last) {
		return false
	}
	for _, r := range p.replays {
		if !r.durable {
			r.recentFrom = r.start
		}
	}
	return true
}

// maxAge bounds an age, and a time that is yet to come.
const maxAge = 100 * 365 * 24 * time.Hour

// resolveAge finds the first message that is no older than that. The service has the time to the second.
func (p *pass) resolveAge(r *replay, age time.Duration) {
	evicted := p.recent.Evicted()
	// The time of day may be any year, and a duration ends after 292 years.
	age = min(max(age, -maxAge), maxAge)
	r.start = min(r.after+1, p.recent.Since(uptime.Now()-age-sweepEvery))
	r.missed = evicted > 0 && r.start <= max(p.recent.Stats().Oldest, evicted+1) // what is gone may be young enough
}

// resolveLast walks back from the end, until each replay has as many messages as it is to have.
func (p *pass) resolveLast(replays []*replay) bool {
	missing, before := make(map[*replay]uint64, len(replays)), uint64(0)
	for _, r := range replays {
		missing[r], before = r.from.Number, max(before, r.after+1)
	}
	for len(missing) > 0 {
		c, ok := p.matches.takeBefore(before)
		if c == nil {
			if !ok {
				return false
			}
			break
		}
		before = c.First()
		ok = p.begin() && p.findIn(c, missing)
		p.matches.release()
		if !ok && !p.matches.gone {
			return false
		}
	}
	for r := range missing { // all that is kept is less
		r.start = min(before, p.recent.Evicted()+1)
	}
	return true
}

// findIn looks in a chunk for the messages that replays still miss, and completes those that have enough. False means that the
// connection ends.
//
// It counts first, and walks a second time for the places: the numbers of all messages for all replays would be a
// thousand times the chunk.
func (p *pass) findIn(c *recent.Chunk, missing map[*replay]uint64) bool {
	for r := range missing {
		if r.gone {
			delete(missing, r)
		}
	}
	counts := make(map[*replay]uint64, len(missing))
	if !p.eachIn(c, missing, func(r *replay, _ uint64) { counts[r]++ }) {
		return false
	}
	complete := make(map[*replay]uint64) // how many of its messages in the chunk are too many
	for r, n := range counts {
		if n < missing[r] {
			missing[r] -= n
			continue
		}
		complete[r] = n - missing[r]
		delete(missing, r)
	}
	if len(complete) == 0 {
		return true
	}
	for r := range complete {
		r.start = c.First() // should newer messages displace the chunk meanwhile
	}
	return p.eachIn(c, complete, func(r *replay, seq uint64) {
		if complete[r] == 0 {
			r.start = seq
			delete(complete, r)
			return
		}
		complete[r]--
	})
}

// eachIn calls f for each message in a chunk and each of some replays that gets it. False means that the connection ends.
func (p *pass) eachIn(c *recent.Chunk, some map[*replay]uint64, f func(r *replay, seq uint64)) bool {
	for reader, m := c.Reader(), (recent.Message{}); len(some) > 0 && reader.Next(&m); {
		matching, ok := p.matches.of(&m, nil)
		if !ok {
			return false
		}
		for _, r := range matching {
			if _, open := some[r]; open && m.Sequence <= r.after {
				f(r, m.Sequence)
			}
		}
	}
	return true
}
