package command

import (
	"cmp"
	"errors"
	"slices"

	"github.com/rs/zerolog"

	"github.com/conchmq/conch/internal/outbox"
	"github.com/conchmq/conch/internal/recent"
)

// fill makes the batch the messages from a number on: some of the round, or of a new one if that has ended. False means that the
// connection ends.
func (h *history) fill(from uint64) bool {
	h.clearBatch()
	if from > h.upTo && !h.begin() {
		return false
	}
	if h.taken == len(h.entries) {
		h.clearEntries()
		if !h.readEntries(from) {
			return false
		}
	}
	if h.end = h.seen; h.plain {
		h.addRecent(from)
		h.merge()
	} else {
		h.batch, h.entries, h.taken = h.entries, h.batch, 0
	}
	h.charge()
	return true
}

// merge moves entries to the batch, as far as that goes.
func (h *history) merge() {
	merges := len(h.batch) > 0
	for ; h.taken < len(h.entries) && h.entries[h.taken].Sequence <= h.end; h.taken++ {
		h.batch = append(h.batch, h.entries[h.taken])
		h.entries[h.taken].Buf = nil // it is the batch that holds it
	}
	if merges {
		slices.SortFunc(h.batch, func(a, b kept) int { return cmp.Compare(a.Sequence, b.Sequence) })
	}
}

// readEntries reads entries of the round from a number on, until they are enough. False means that the connection ends.
func (h *history) readEntries(from uint64) bool {
	h.seen = from - 1
	for looked := 0; h.seen < h.upTo && len(h.text) < historyBytes && looked < historyRows; {
		if !h.pass.matches.step(turnWork / historyShare) { // before the source is opened: it may be given up for that
			return false
		}
		if h.source == nil {
			source, err := h.open(h.request, readStart{sequence: h.seen + 1, passed: h.passed})
			if err != nil {
				return h.fail(err)
			}
			h.source = source
		}
		rows, end, err := h.next(h.source, h.seen+1, h.upTo)
		if err != nil {
			return h.fail(err)
		}
		for i := range rows {
			if !h.track(&rows[i]) {
				return false
			}
			h.add(&rows[i])
		}
		looked += len(rows)
		if end {
			h.closeSource()
		}
	}
	return true
}

// next returns the next entries from a number on, up to another one, and moves seen behind them. end means that there are no more.
func (h *history) next(source readSource, from, upTo uint64) (rows []readRow, end bool, err error) {
	if len(h.rows) == 0 {
		var damage error
		var seen uint64
		h.rows, seen, damage, err = source.next()
		if errors.Is(err, errAtEnd) {
			h.seen = upTo
			return nil, true, nil
		}
		if err != nil {
			return nil, false, err
		}
		h.read += source.read(h.rows)
		if damage != nil {
			h.damaged(damage)
		}
		for len(h.rows) > 0 && h.rows[0].Sequence < from {
			h.rows = h.rows[1:]
		}
		if len(h.rows) == 0 {
			h.seen = max(h.seen, min(seen, upTo))
			return nil, false, nil
		}
	}
	rows = h.rows[:min(len(h.rows), maxChecked)]
	n := len(rows)
	for n > 0 && rows[n-1].Sequence > upTo {
		n--
	}
	if end = n < len(rows); end {
		h.rows, h.seen = nil, upTo
	} else {
		h.rows, h.seen = h.rows[n:], max(h.seen, rows[n-1].Sequence)
	}
	return rows[:n], end, source.check(rows[:n])
}

// damaged reports that entries are broken. How many of them would have come is unknown.
func (h *history) damaged(damage error) {
	h.pass.conn.Log(zerolog.ErrorLevel).Err(damage).Msg("entries of a replay cannot be read")
	for _, r := range h.pass.replays {
		r.missed = r.missed || r.durable
	}
}

// add keeps an entry that is wanted.
func (h *history) add(row *readRow) {
	if !row.wanted {
		return
	}
	k := kept{isEntry: true}
	k.Sequence = row.Sequence
	k.fields, h.text = row.Fields.CopyTo(h.text)
	e := &h.pass.matches.entry
	e.Reset(k.fields)
	switch whole := e.IsWhole(); {
	case e.Size() >= outbox.LargePayload:
		k.Payload = slices.Clone(e.Payload())
		k.Buf = outbox.WrapBuffer(&h.service.memory, k.Payload)
	case whole:
		k.Payload = e.Payload()
	default:
		at := len(h.text)
		h.text = e.AppendPayload(h.text)
		k.Payload = h.text[at:len(h.text):len(h.text)]
	}
	if n := len(h.entries); n > 0 && string(h.entries[n-1].Topic) == row.name {
		k.Topic = h.entries[n-1].Topic
	} else {
		at := len(h.text)
		h.text = append(h.text, row.name...)
		k.Topic = h.text[at:len(h.text):len(h.text)]
	}
	h.entries = append(h.entries, k)
}

// addRecent adds recent messages from a number on, up to the end of the batch. If they are many, the batch ends with them.
func (h *history) addRecent(from uint64) {
	for size := 0; from <= h.end; {
		c := h.recentChunk(from)
		if c == nil {
			return
		}
		for r, m := c.Reader(), (recent.Message{}); r.Next(&m) && m.Sequence <= h.end; {
			switch {
			case m.Sequence < from:
				continue
			case size >= historyBytes:
				h.end = m.Sequence - 1
			default:
				h.addMessage(&m)
				size += len(m.Topic) + len(m.Payload)
			}
		}
		h.read += size
		from = c.Last() + 1
		c.Release()
	}
}

// addMessage adds a recent message, and copies it unless it is large: a batch holds no chunk.
func (h *history) addMessage(m *recent.Message) {
	k := kept{Message: *m}
	at := len(h.copied)
	h.copied = append(h.copied, m.Topic...)
	k.Topic = h.copied[at:len(h.copied):len(h.copied)]
	if len(m.Payload) >= outbox.LargePayload {
		m.Buf.Retain()
	} else {
		k.Buf, at = nil, len(h.copied)
		h.copied = append(h.copied, m.Payload...)
		k.Payload = h.copied[at:len(h.copied):len(h.copied)]
	}
	h.batch = append(h.batch, k)
}

// recentChunk returns the chunk with the first recent message from a number on. Those before it that are gone are reported.
func (h *history) recentChunk(from uint64) *recent.Chunk {
	p := h.pass
	if p.marked {
		for _, c := range p.rest {
			if c.Last() >= from {
				h.overtaken(from, min(p.evicted, p.last))
				c.Retain()
				return c
			}
		}
		h.overtaken(from, min(p.evicted, p.last))
		return nil
	}
	c, evicted := p.recent.Chunk(from)
	h.overtaken(from, evicted)
	return c
}

// overtaken has recent messages reported as missing that are gone, to those that wanted them.
func (h *history) overtaken(from, evicted uint64) {
	if evicted < from {
		return
	}
	for _, r := range h.pass.replays {
		if r.plain && !r.gone && r.recentFrom <= evicted {
			r.missed, r.recentFrom = true, evicted+1
		}
	}
}

// clearBatch drops the batch.
func (h *history) clearBatch() {
	for i := range h.batch {
		h.batch[i].Buf.Release()
	}
	clear(h.batch)
	h.batch, h.copied = h.batch[:0], h.copied[:0]
}

// clearEntries drops the entries that are yet to be merged, and the text. The batch is dropped before.
func (h *history) clearEntries() {
	for i := range h.entries {
		h.entries[i].Buf.Release()
	}
	clear(h.entries)
	h.entries, h.taken, h.text = h.entries[:0], 0, h.text[:0]
	if cap(h.text) > 4*historyBytes {
		h.text = nil
	}
}

// rest returns the messages of the batch from a number on.
func (h *history) rest(from uint64) []kept {
	at, _ := slices.BinarySearchFunc(h.batch, from, func(k kept, n uint64) int { return cmp.Compare(k.Sequence, n) })
	return h.batch[at:]
}

// feedHistory encodes messages of the history, as many as are added at once. False means that the connection ends.
func (p *pass) feedHistory() bool {
	h := p.history
	if p.each < len(h.each) {
		return h.feedEach()
	}
	if p.next > h.end && !h.fill(p.next) {
		return false
	}
	p.reportMissed()
	batch := h.rest(p.next)
	for i := range batch {
		k := &batch[i]
		fields := &k.fields
		if !k.isEntry {
			fields = nil
		}
		if p.pending.isFull() {
			return true
		}
		if more, ok := p.message(&k.Message, fields, 0); more || !ok {
			return ok
		}
	}
	p.next = max(p.next, h.end+1)
	return true
}

// feedRounds adds the rest, at the client's pace. False means that the connection ends.
func (p *pass) feedRounds() bool {
	p.history.closeSource() // it may lack what has come since it was opened
	if !p.history.awaitSafe() {
		return false
	}
	for p.next <= p.last {
		if !p.awaitRoom() {
			return false
		}
		left := p.begin()
		p.reportEnds()
		ok := !left || p.feedHistory()
		if !left {
			p.next = p.last + 1
		}
		if !p.flush() || !ok {
			return false
		}
	}
	return true
}
