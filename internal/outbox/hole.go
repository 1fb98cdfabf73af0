package outbox

import (
	"github.com/conchmq/conch/internal/invariant"
	"github.com/conchmq/conch/protocol"
)

// A line says by `<9` that the message before it, number 9, was lost. Where a policy does not queue a message, that is
// known when the next one is encoded. What is cut out of an outbox later leaves lines behind that are encoded already,
// and which many subscribers share. So the account of the subscription remembers what was cut, and the first line behind
// the hole is written anew when a writer takes it.

// hole notes that messages of a subscription, the last of which is e.number, are cut. It is called on the core's
// goroutine, like all that fills an outbox.
func (o *Outbox) hole(e *FrameInfo) {
	a, cut := e.Account, e.LastSeq
	if !e.Format.IsLine() {
		return // RESP3 shows the number before in any case
	}
	if cut == a.LastSeq {
		a.LastLostSeq, cut = cut, 0 // nothing of it waits any more: the next message will be encoded so
	}
	if !o.wantsSeq {
		return
	}
	if a.cut != 0 {
		o.holes--
	}
	if a.cut = cut; cut != 0 {
		o.holes++
	}
}

// torn is a hole in front of an entry that a writer has dequeued.
type torn struct {
	chunk  *Chunk
	entry  int
	number uint64 // of the last message that is missing
}

// takeCuts closes the holes in front of what is dequeued: the next loss opens a new one. Called under the mutex.
func (o *Outbox) takeCuts(h *WriteQueue) (cuts []torn) {
	for c := h.First; o.holes > 0 && c != nil; c = c.Next {
		for i := range c.entries {
			e := &c.entries[i]
			if e.Kind != kindMessages || e.Account.cut == 0 {
				continue
			}
			if e.Format.IsLine() && e.Format.HasSeq() {
				cuts = append(cuts, torn{c, i, e.Account.cut})
			}
			e.Account.cut = 0
			o.holes--
		}
	}
	return cuts
}

// tellCuts writes the first line of each of these entries anew. The other lines stay where they are, in a writeQueue that has
// more chunks than before. The cuts of one chunk are told from its end on, so that the places of the others stay.
func (o *Outbox) tellCuts(h *WriteQueue, cuts []torn) {
	for i := len(cuts) - 1; i >= 0; i-- {
		o.tellCut(h, &cuts[i])
	}
}

// tellCut writes one line anew, in a chunk of its own between what stood before it and what stands behind.
func (o *Outbox) tellCut(h *WriteQueue, cut *torn) {
	c, at := cut.chunk, 0
	for i := range cut.entry {
		at += c.entries[i].bytes
	}
	e := &c.entries[cut.entry]
	if c.large != nil {
		o.tellLargeCut(c, cut.number)
		return
	}
	n := frameLen(c.bytes[at:])
	line := c.bytes[at : at+n]
	own, tells := protocol.ParseUpdateSeq(line)
	invariant.Check(cut.number < own, "message %d is cut in front of %.40q", cut.number, line)
	if tells { // of a loss that came after the cut
		return
	}
	told := newChunk()
	told.bytes = protocol.AppendWithPrevious(make([]byte, 0, n+24), line, cut.number)
	told.entries = append(told.entries, FrameInfo{Account: e.Account, Count: 1, bytes: len(told.bytes), LastSeq: own, Format: e.Format})
	o.bytes.Add(int64(len(told.bytes) - n))

	e.Count, e.bytes = e.Count-1, e.bytes-n
	behind, first := newChunk(), cut.entry
	if e.Count == 0 {
		first++
	}
	c.buf.Retain()
	behind.buf, behind.bytes = c.buf, c.bytes[at+n:]
	behind.entries = append(behind.entries, c.entries[first:]...)
	c.bytes, c.entries = c.bytes[:at:at], c.entries[:cut.entry]
	c.appendable = false
	next := c.Next
	for _, piece := range []*Chunk{told, behind} {
		if h.insert(next, piece); len(piece.entries) > 0 {
			o.chargeChunk(piece, piece.memSize())
			continue
		}
		h.remove(piece)
		piece.recycle()
	}
	if len(c.entries) == 0 {
		h.remove(c)
		o.free(c)
	}
}

// tellLargeCut has a large line tell of a loss. Its head is the connection's own from here on.
func (o *Outbox) tellLargeCut(c *Chunk, number uint64) {
	if _, tells := protocol.ParseUpdateSeq(c.large.Head); tells {
		return
	}
	f := *c.large
	f.Head = protocol.AppendWithPrevious(nil, f.Head, number)
	more := len(f.Head) - len(c.large.Head)
	f.Size += more
	c.large = &f
	c.entries[0].bytes += more
	o.bytes.Add(int64(more))
}
