package command

import "github.com/conchmq/conch/internal/recent"

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
