package command

import (
	"time"

	"github.com/conchmq/conch/internal/position"
	"github.com/conchmq/conch/internal/recent"
	"github.com/conchmq/conch/internal/uptime"
)

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
