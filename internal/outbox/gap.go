package outbox

import (
	"github.com/conchmq/conch/internal/invariant"
	"github.com/conchmq/conch/protocol"
)

// gap is a place in an outbox where messages are missing: a loss for each subscription that lost some there.
// Adjacent losses are counted together, so a gap is never longer than the connection has subscriptions.
type gap struct{ losses []loss }

// loss counts the missing messages of one subscription in one gap.
type loss struct {
	account *Account
	count   int // 32 bits are too few: one gap can stay open for hours
	format  Format
}

// lossOverhead is about what a loss takes in memory besides its name.
//
// Losses have a limit too, equal to that of messages: a connection could make the server keep more losses than
// messages. Over that limit no policy helps.
const lossOverhead = 128

func (l *loss) cost() int { return lossOverhead + len(l.account.name) }

// cost is the memory of all losses.
func (g *gap) cost() int {
	weight := 0
	for i := range g.losses {
		weight += g.losses[i].cost()
	}
	return weight
}

// addLocked counts l.count missing messages, and returns the memory that the gap takes more. It changes the
// account of the subscription, which the mutex guards.
func (g *gap) addLocked(l loss) int {
	if a := l.account; a.gap == g && g.losses[a.gapIndex].format == l.format {
		g.losses[a.gapIndex].count += l.count
		return 0
	}
	l.account.gap, l.account.gapIndex = g, int32(len(g.losses)) //nolint:gosec // memory ends before that does
	g.losses = append(g.losses, l)
	return l.cost()
}

// appendLosses encodes the losses, each in the format of its subscription.
func (g *gap) appendLosses(b []byte) []byte {
	for i := range g.losses {
		l := &g.losses[i]
		b = AppendMissed(b, l.format, l.account.name, l.count)
	}
	return b
}

// AppendMissed encodes that so many messages of a subscription are missing. A negative count is unknown. RESP2 has no frame for it.
func AppendMissed(b []byte, f Format, name string, count int) []byte {
	switch {
	case f == FormatRESP2:
		return b
	case f.IsLine():
		return protocol.AppendMissed(b, name, count, f.IsCRLF())
	case !f.IsPresented():
		return protocol.AppendMissedPush(b, name, count)
	case f.Framing() == protocol.Events:
		return protocol.AppendNamedEvent(b, "missed", protocol.AppendMissedObject(nil, name, count))
	}
	start := len(b)
	b = protocol.BeginWebSocketText(b)
	if f == FormatObjects {
		b = protocol.AppendMissedObject(b, name, count)
	} else {
		line := protocol.AppendMissed(nil, name, count, false)
		b = protocol.TextEscaped.Append(b, line[:len(line)-1]) // a text message needs no line end
	}
	return protocol.EndWebSocketText(b, start)
}

// recordDropLocked counts e.Count messages, matched but not waiting, as dropped by the policy. It records them
// in the gap in front of a waiting chunk, or in a new gap there. A nil chunk is the end of the queue. RESP2 has
// no frame for losses, so there the count is all.
func (o *Outbox) recordDropLocked(e FrameInfo, before *Chunk) {
	e.Account.Dropped += int64(e.Count)
	e.Account.droppedAt = o.totals.now()
	o.counts.Dropped += int64(e.Count)
	e.Account.assertBalancedLocked()
	o.totals.Dropped.Add(int64(e.Count))
	if e.Format == FormatRESP2 {
		return
	}
	l := loss{e.Account, int(e.Count), e.Format}
	last := o.queue.last
	if before != nil {
		last = before.prev
	}
	if last != nil && last.gap != nil {
		o.chargeGaps(last.gap.addLocked(l))
		return
	}
	c := newChunk()
	c.gap = new(gap)
	c.entries = append(c.entries, FrameInfo{Kind: KindOther}) // covers the bytes of the losses, once they are encoded
	o.queue.insert(before, c)
	o.chargeChunk(c, c.memSize())
	o.chargeGaps(c.gap.addLocked(l))
}

// dropOldestLocked drops the oldest messages until the rest is within the limit. The newest bytes do not count
// against it. What the writer has dequeued is out of reach.
func (o *Outbox) dropOldestLocked(newest int) {
	for {
		over := o.MessageBytes() - int64(newest) - o.Limit
		if over <= 0 || !o.queue.findOldest() {
			return
		}
		o.dropFrontLocked(over)
	}
}

// dropFrontLocked drops whole frames of the entry at the cursor, as many as cover that many bytes. The chunk
// loses its front, or is split. No byte moves, because writers of other connections may be reading them.
func (o *Outbox) dropFrontLocked(over int64) {
	q := o.queue
	if q.oldest.offset > 0 {
		o.splitChunkLocked()
	}
	c := q.oldest.chunk
	e := &c.entries[0]
	lost := c.oldestFrames(over, o.framing)
	o.bytes.Add(-int64(lost.bytes))
	if e.Count -= lost.Count; e.Count == 0 && len(c.entries) == 1 {
		q.oldest = cursor{chunk: c.Next}
		q.remove(c)
		o.free(c)
	} else {
		c.bytes = c.bytes[lost.bytes:]
		if e.bytes -= lost.bytes; e.Count == 0 {
			*e = FrameInfo{} // the slice must not keep the account alive
			c.entries = c.entries[1:]
		}
	}
	if lost.isTracked() {
		o.dropLocked(lost.Account.Track, int(lost.Count))
	}
	o.recordDropLocked(lost, q.oldest.chunk)
	o.mergeGapsLocked()
}

// oldestFrames is the part of the first entry to drop: the fewest whole frames that cover that many bytes. A
// large frame goes as a whole.
func (c *Chunk) oldestFrames(over int64, f protocol.Framing) (lost FrameInfo) {
	lost = c.entries[0]
	if int64(lost.bytes) <= over || c.large != nil {
		return lost
	}
	size := 0
	lost.Count = 0
	for int64(size) < over {
		size += frameLen(c.bytes[size:], f)
		lost.Count++
	}
	lost.bytes = size
	e := &c.entries[0]
	invariant.Check(lost.Count <= e.Count && lost.bytes <= e.bytes, "an entry of %d messages has %d frames at least", e.Count, lost.Count)
	return lost
}

// splitChunkLocked splits the chunk at the cursor, which then stands at the start of the second part. Both parts
// hold the buffer.
func (o *Outbox) splitChunkLocked() {
	at := &o.queue.oldest
	c, front := at.chunk, newChunk()
	c.buf.Retain()
	front.bytes, front.buf, front.entries = c.bytes[:at.offset:at.offset], c.buf, c.entries[:at.entry:at.entry]
	c.bytes, c.entries = c.bytes[at.offset:], c.entries[at.entry:]
	o.queue.insert(c, front)
	at.entry, at.offset = 0, 0
	o.chargeChunk(front, front.memSize())
	o.chargeChunk(c, c.memSize())
}

// mergeGapsLocked joins two gaps with nothing left between them. Otherwise a subscriber would get two losses in
// a row for one subscription.
func (o *Outbox) mergeGapsLocked() {
	q := o.queue
	second := q.oldest.chunk
	if second == nil {
		q.cursorToLast()
		return
	}
	first := second.prev
	if first == nil || first.gap == nil || second.gap == nil {
		return
	}
	o.mergeGapLocked(first, second)
}

// mergeGapLocked joins the gap of a chunk with that of the chunk behind it. A subscription in both has one loss then.
func (o *Outbox) mergeGapLocked(first, second *Chunk) {
	type kind struct {
		account *Account
		format  Format
	}
	into, from := first.gap, second.gap
	places := make(map[kind]int, len(into.losses))
	for i, l := range into.losses {
		places[kind{l.account, l.format}] = i
	}
	for _, l := range from.losses {
		at, known := places[kind{l.account, l.format}]
		if known {
			into.losses[at].count += l.count
			o.chargeGaps(-l.cost())
		} else {
			at = len(into.losses)
			into.losses = append(into.losses, l)
		}
		if l.account.gap == from { // it may have another one further behind
			l.account.gap, l.account.gapIndex = into, int32(at) //nolint:gosec // as above
		}
	}
	q := o.queue
	if q.oldest.chunk == second {
		if q.oldest = (cursor{chunk: second.Next}); second.Next == nil {
			defer q.cursorToLast()
		}
	}
	q.remove(second)
	o.free(second)
}

// frameLen is the length of the first of some whole frames.
func frameLen(b []byte, f protocol.Framing) int {
	n := f.FrameLen(b)
	invariant.Check(n > 0, "no whole frame in %.40q", b)
	if n == 0 {
		return len(b) // a defect; the caller's loop still ends
	}
	return n
}
