package server

import (
	"github.com/conchmq/conch/internal/invariant"
	"github.com/conchmq/conch/protocol"
)

// gap is a place in an outbox where messages are missing: a note for each subscription that lost some there. While
// nothing else comes between them, further losses count up the notes that are there, so a gap is never longer than the
// connection has subscriptions.
type gap struct{ notes []note }

// note is how many messages of a subscription are missing in one place.
type note struct {
	account *account
	count   int // 32 bits would be too few: one place can stay open for hours
	way     way
}

// noteWeight is what a note costs in memory besides its name, about. Notes have a limit too, which is that of messages: a
// connection could make us remember more than it may have wait. Over it no policy helps.
const noteWeight = 128

func (n *note) weight() int { return noteWeight + len(n.account.name) }

// weight is what all notes cost.
func (g *gap) weight() int {
	weight := 0
	for i := range g.notes {
		weight += g.notes[i].weight()
	}
	return weight
}

// add notes that n.count messages are missing, and returns what more the gap costs.
func (g *gap) add(n note) int {
	if a := n.account; a.gap == g && g.notes[a.place].way == n.way {
		g.notes[a.place].count += n.count
		return 0
	}
	n.account.gap, n.account.place = g, len(g.notes)
	g.notes = append(g.notes, n)
	return n.weight()
}

// appendNotes writes the notes out, each in the form of its subscription.
func (g *gap) appendNotes(b []byte) []byte {
	for i := range g.notes {
		switch n := &g.notes[i]; {
		case n.way.line():
			b = protocol.AppendMissed(b, n.account.name, n.count, n.way.crlf())
		default:
			b = protocol.RESP3.AppendConfirmation(b, "missed", []byte(n.account.name), n.count)
		}
	}
	return b
}

// drop notes that e.count messages, which were matched but are not waiting, are lost to the policy. It makes a note of it
// in the gap in front of a chunk that waits (behind all, if that is nil), or in a new one there; RESP2 has no word for it.
func (o *outbox) drop(e entry, before *chunk) {
	e.account.dropped += int64(e.count)
	o.tally.dropped += int64(e.count)
	e.account.check()
	o.totals.dropped.Add(int64(e.count))
	if e.way == wayRESP2 {
		return
	}
	n := note{e.account, int(e.count), e.way}
	last := o.queue.last
	if before != nil {
		last = before.prev
	}
	if last != nil && last.gap != nil {
		o.note(last.gap.add(n))
		return
	}
	c := newChunk()
	c.gap = new(gap)
	c.entries = append(c.entries, entry{kind: kindOther}) // for the notes' bytes
	o.queue.insert(before, c)
	o.weigh(c, c.memory())
	o.note(c.gap.add(n))
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

// cutOldest drops messages of the entry at the cursor: as many whole frames as are needed to drop that many bytes. The
// chunk loses its front, or is parted; not a byte is moved, because others may be reading it.
func (o *outbox) cutOldest(over int64) {
	q := o.queue
	if q.oldest.offset > 0 {
		o.splitChunk()
	}
	c := q.oldest.chunk
	e := &c.entries[0]
	lost := c.oldest(over)
	o.waiting.Add(-int64(lost.bytes))
	o.hole(&lost)
	if e.count -= lost.count; e.count == 0 && len(c.entries) == 1 {
		q.oldest = cursor{chunk: c.next}
		q.remove(c)
		o.free(c)
	} else {
		c.bytes = c.bytes[lost.bytes:]
		if e.bytes -= lost.bytes; e.count == 0 {
			*e = entry{} // it must not keep the account alive
			c.entries = c.entries[1:]
		}
	}
	o.drop(lost, q.oldest.chunk)
	o.closeUp()
}

// oldest is the part of the chunk's first entry that must go to drop that many bytes, in whole frames.
func (c *chunk) oldest(over int64) (lost entry) {
	lost = c.entries[0]
	if int64(lost.bytes) <= over || c.large != nil {
		return lost
	}
	last, size := 0, 0
	lost.count = 0
	for int64(size) < over {
		last = size
		size += frameLen(c.bytes[size:])
		lost.count++
	}
	if lost.bytes = size; lost.bytes < c.entries[0].bytes {
		lost.number = lost.way.numberOf(c.bytes[last:])
	}
	e := &c.entries[0]
	invariant.Check(lost.count <= e.count && lost.bytes <= e.bytes, "an entry of %d messages has %d frames at least", e.count, lost.count)
	return lost
}

// splitChunk makes two chunks of the one at the cursor, which then stands at the start of the second.
func (o *outbox) splitChunk() {
	at := &o.queue.oldest
	c, front := at.chunk, newChunk()
	c.in.hold()
	front.bytes, front.in, front.entries = c.bytes[:at.offset:at.offset], c.in, c.entries[:at.entry:at.entry]
	c.bytes, c.entries = c.bytes[at.offset:], c.entries[at.entry:]
	o.queue.insert(c, front)
	at.entry, at.offset = 0, 0
	o.weigh(front, front.memory())
	o.weigh(c, c.memory())
}

// closeUp makes one gap of two that nothing stands between any more.
func (o *outbox) closeUp() {
	q := o.queue
	second := q.oldest.chunk
	if second == nil {
		q.stepBack()
		return
	}
	first := second.prev
	if first == nil || first.gap == nil || second.gap == nil {
		return
	}
	for _, n := range second.gap.notes {
		o.note(first.gap.add(n) - n.weight())
	}
	q.oldest.chunk = second.next
	q.remove(second)
	o.free(second)
	if q.oldest.chunk == nil {
		q.stepBack()
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
