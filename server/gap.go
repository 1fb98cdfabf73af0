package server

import (
	"github.com/conchmq/conch/internal/invariant"
	"github.com/conchmq/conch/protocol"
)

// gap is a place in an outbox where messages are missing: a note for each subscription that lost some there. While
// nothing else comes between them, further losses count up the notes that are there, so a gap is never longer than the
// connection has subscriptions.
type gap struct{ notes []entry }

// noteWeight is what a note costs in memory besides its name, about. Notes have a limit too, which is that of messages: a
// connection could make us remember more than it may have wait. Over it no policy helps.
const noteWeight = 128

func (e *entry) weight() int { return noteWeight + len(e.account.name) }

// weight is what all notes cost.
func (g *gap) weight() int {
	n := 0
	for i := range g.notes {
		n += g.notes[i].weight()
	}
	return n
}

// add notes that e.count messages are missing, and returns what more the gap costs.
func (g *gap) add(e entry) int {
	if a := e.account; a.gap == g && g.notes[a.place].way == e.way {
		g.notes[a.place].count += e.count
		return 0
	}
	e.kind, e.bytes = kindMissed, 0
	e.account.gap, e.account.place = g, len(g.notes)
	g.notes = append(g.notes, e)
	return e.weight()
}

// appendNotes writes the notes out, each in the form of its subscription.
func (g *gap) appendNotes(b []byte) []byte {
	for i := range g.notes {
		switch e := &g.notes[i]; {
		case e.way.line():
			b = protocol.AppendMissed(b, e.account.name, e.count, e.way.crlf())
		default:
			b = protocol.RESP3.AppendCount(b, "missed", []byte(e.account.name), e.count)
		}
	}
	return b
}

// drop notes that e.count messages, which were matched but are not waiting, are lost to the policy. It makes a note of it
// in the gap in front of chunk i of what waits, or in a new one there; RESP2 has no word for it.
func (o *outbox) drop(e entry, i int) {
	e.account.dropped += int64(e.count)
	o.tally.dropped += int64(e.count)
	e.account.check()
	o.totals.dropped.Add(int64(e.count))
	if e.way == wayRESP2 {
		return
	}
	if i > 0 && o.queue.chunks.at(i-1).gap != nil {
		o.noted.Add(int64(o.queue.chunks.at(i - 1).gap.add(e)))
		return
	}
	g := new(gap)
	o.noted.Add(int64(g.add(e)))
	o.queue.insertGap(i, g)
}

// insertGap puts a gap in front of chunk i. Its entry is for the notes' bytes.
func (q *queue) insertGap(i int, g *gap) {
	c := chunk{gap: g, entries: 1}
	if i == q.chunks.len() {
		q.chunks.push(c)
		q.entries.push(entry{kind: kindOther})
		return
	}
	invariant.Check(i == q.oldest.chunk, "a gap in front of chunk %d, but the oldest message is in %d", i, q.oldest.chunk)
	q.chunks.insert(i, c)
	q.entries.insert(q.oldest.entry-q.oldest.passed, entry{kind: kindOther})
	q.oldest.chunk++
	q.oldest.entry++
}

// cursor is where the oldest message in a queue is. What is in front of it cannot be dropped.
type cursor struct {
	chunk  int
	entry  int // among all entries
	passed int // of them, so many belong to the same chunk and are passed
	offset int // in the chunk's bytes, where the entry starts
}

// skip follows when the front of the queue is taken away.
func (c *cursor) skip(chunks, entries int) {
	if c.chunk < chunks {
		*c = cursor{}
		return
	}
	c.chunk -= chunks
	c.entry -= entries
}

// cut drops the oldest messages that wait until, without the newest bytes, no more wait than may. What a writer has
// in hand is not here to be dropped.
func (o *outbox) cut(newest int) {
	for {
		over := o.messages() - int64(newest) - o.limit
		if over <= 0 || !o.queue.findOldest() {
			return
		}
		o.cutOldest(over)
	}
}

// findOldest moves the cursor to the first message. It stays in front of the last entry there is, which may still grow.
func (q *queue) findOldest() bool {
	for c := &q.oldest; c.entry < q.entries.len(); {
		e := q.entries.at(c.entry)
		switch {
		case c.passed == q.chunks.at(c.chunk).entries:
			c.chunk++
			c.passed, c.offset = 0, 0
		case e.kind == kindMessages:
			return true
		case c.entry == q.entries.len()-1:
			return false
		default:
			c.entry++
			c.passed++
			c.offset += e.bytes
		}
	}
	return false
}

// cutOldest drops messages of the entry at the cursor: as many whole frames as are needed to drop that many bytes. The
// chunk loses its front, or is parted; not a byte is moved, because others may be reading it.
func (o *outbox) cutOldest(over int64) {
	q := o.queue
	e := q.entries.at(q.oldest.entry)
	frames := q.chunks.at(q.oldest.chunk).bytes[q.oldest.offset:][:e.bytes]
	lost := *e
	if int64(e.bytes) > over {
		last := 0
		lost.count, lost.bytes = 0, 0
		for int64(lost.bytes) < over {
			last = lost.bytes
			lost.bytes += frameLen(frames[last:])
			lost.count++
		}
		if lost.bytes < e.bytes {
			lost.number = lost.way.numberOf(frames[last:])
		}
	}
	invariant.Check(lost.count <= e.count && lost.bytes <= e.bytes, "an entry of %d messages has %d frames at least", e.count, lost.count)
	if q.oldest.offset > 0 {
		q.part()
	}
	c := q.chunks.at(q.oldest.chunk)
	c.bytes = c.bytes[lost.bytes:]
	e.count -= lost.count
	e.bytes -= lost.bytes
	if e.count == 0 {
		q.entries.remove(q.oldest.entry)
		if c.entries--; c.entries == 0 {
			c.in.release()
			q.chunks.remove(q.oldest.chunk)
		}
	}
	o.waiting.Add(-int64(lost.bytes))
	o.totals.memory.hold(-int64(lost.bytes))
	o.hole(&lost)
	o.drop(lost, q.oldest.chunk)
	o.closeUp()
}

// part makes two chunks of the one at the cursor, which then stands at the start of the second.
func (q *queue) part() {
	at := &q.oldest
	c := q.chunks.at(at.chunk)
	c.in.hold()
	front := chunk{bytes: c.bytes[:at.offset:at.offset], in: c.in, entries: at.passed}
	c.bytes, c.entries = c.bytes[at.offset:], c.entries-at.passed
	q.chunks.insert(at.chunk, front)
	at.chunk++
	at.passed, at.offset = 0, 0
}

// closeUp makes one gap of two that nothing stands between any more.
func (o *outbox) closeUp() {
	q := o.queue
	i := q.oldest.chunk
	if i == q.chunks.len() {
		q.stepBack()
		return
	}
	if i == 0 || q.chunks.at(i-1).gap == nil || q.chunks.at(i).gap == nil {
		return
	}
	first, second := q.chunks.at(i-1).gap, q.chunks.at(i).gap
	for _, e := range second.notes {
		o.noted.Add(int64(first.add(e) - e.weight()))
	}
	q.chunks.remove(i)
	q.entries.remove(q.oldest.entry)
}

// stepBack moves the cursor from behind the last chunk into it, in front of its last entry: both may still grow.
func (q *queue) stepBack() {
	q.oldest = cursor{}
	if i := q.chunks.len() - 1; i >= 0 {
		c, last := q.chunks.at(i), q.entries.len()-1
		q.oldest = cursor{chunk: i, entry: last, passed: c.entries - 1, offset: len(c.bytes) - q.entries.at(last).bytes}
	}
}

// frameLen is the length of the first of some whole frames.
func frameLen(b []byte) int {
	n := protocol.FrameLen(b)
	invariant.Check(n > 0, "no whole frame in %.40q", b)
	if n == 0 {
		return len(b) // what it is will never be known, but there is an end to it
	}
	return n
}
