package command

import (
	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/recent"
)

// reportEnds reports what those replays miss that have ended behind their join.
func (p *pass) reportEnds() {
	for _, r := range p.replays {
		if r.ends {
			p.pending.missed(r, p.formats[r.sub.Form], -1)
		}
	}
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
