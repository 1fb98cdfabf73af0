package server

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
func (o *outbox) hole(e *entry) {
	a, cut := e.account, e.number
	if !e.way.line() {
		return // RESP3 shows the number before in any case
	}
	if cut == a.owed {
		a.lost, cut = cut, 0 // nothing of it waits any more: the next message will be encoded so
	}
	if !o.numbered {
		return
	}
	if a.cut != 0 {
		o.holes--
	}
	if a.cut = cut; cut != 0 {
		o.holes++
	}
}

// torn is a hole in front of an entry that a writer has in hand.
type torn struct {
	entry  int
	number uint64 // of the last message that is missing
}

// takeCuts closes the holes in front of what is in hand: the next loss opens a new one. Called under the mutex.
func (o *outbox) takeCuts(h *hand) (cuts []torn) {
	for i := 0; o.holes > 0 && i < h.entries.len(); i++ {
		e := h.entries.at(i)
		if e.kind != kindMessages || e.account.cut == 0 {
			continue
		}
		if e.way.line() && e.way.numbered() {
			cuts = append(cuts, torn{i, e.account.cut})
		}
		e.account.cut = 0
		o.holes--
	}
	return cuts
}

// tellCuts writes the first line of each of these entries anew. The others stay where they are, in a hand that has more
// chunks than before: all are passed on in one walk, because there may be a hole for each of many subscriptions.
func (o *outbox) tellCuts(h *hand, cuts []torn) {
	if len(cuts) == 0 {
		return
	}
	p := patch{from: h.queue, to: queues.Get().(*queue), cuts: cuts}
	for i := range h.chunks.all() {
		p.pass(h.chunks.at(i))
	}
	h.recycle()
	h.queue = p.to
	o.waiting.Add(int64(p.added))
	o.totals.memory.hold(int64(p.added))
}

// patch is a queue on its way into another, with some lines written anew.
type patch struct {
	from, to *queue
	cuts     []torn // still to come
	at       int    // among the entries of from
	added    int    // bytes
}

// pass passes one chunk on, in as many pieces as are needed. It takes over the chunk's hold on its buffer.
func (p *patch) pass(c *chunk) {
	entries := p.from.entries.all()[p.at:][:c.entries]
	start, end, first := 0, 0, 0 // what is not passed yet begins in bytes, and among the entries
	for i := range entries {
		e := &entries[i]
		if len(p.cuts) > 0 && p.cuts[0].entry == p.at+i {
			n := frameLen(c.bytes[end:])
			if line := p.anew(c.bytes[end : end+n]); line != nil {
				p.piece(c, c.bytes[start:end], entries[first:i])
				p.to.push(chunk{bytes: line}, entry{account: e.account, count: 1, bytes: len(line), way: e.way})
				end, start, first = end+n, end+n, i
				if e.count, e.bytes = e.count-1, e.bytes-n; e.count == 0 {
					first++
				}
			}
		}
		end += e.bytes
	}
	p.at += c.entries
	if start == 0 && first == 0 {
		p.to.push(*c, entries...)
		return
	}
	p.piece(c, c.bytes[start:], entries[first:])
	c.in.release()
}

// anew writes the line behind the next cut. It is nil if the line tells of a loss already, which then came after the cut.
func (p *patch) anew(line []byte) []byte {
	number := p.cuts[0].number
	p.cuts = p.cuts[1:]
	own, tells := protocol.UpdateNumber(line)
	invariant.Check(number < own, "message %d is cut in front of %.40q", number, line)
	if tells {
		return nil
	}
	told := protocol.AppendAfterLoss(make([]byte, 0, len(line)+24), line, number)
	p.added += len(told) - len(line)
	return told
}

// piece passes a part of a chunk on.
func (p *patch) piece(c *chunk, part []byte, entries []entry) {
	if len(entries) > 0 {
		c.in.hold()
		p.to.push(chunk{bytes: part, in: c.in}, entries...)
	}
}
