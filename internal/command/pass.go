package command

import (
	"slices"
	"time"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/outbox"
	"github.com/conchmq/conch/internal/recent"
	"github.com/conchmq/conch/internal/stream"
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

// noteReplays notes how far the replays have come whose positions are kept.
func (p *pass) noteReplays() {
	for _, r := range p.replays {
		if r.cursor != nil && !r.gone {
			p.conn.outbox.Replays(r.cursor.track, max(p.next, r.start))
		}
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
