package command

import (
	"errors"
	"math"
	"strconv"

	"github.com/rs/zerolog"

	"github.com/conchmq/conch/internal/entry"
	"github.com/conchmq/conch/internal/filter"
	"github.com/conchmq/conch/internal/outbox"
	"github.com/conchmq/conch/internal/position"
	"github.com/conchmq/conch/protocol"
)

// page is the reply to one READ. It belongs to the filler's goroutine.
type page struct {
	*readRequest
	filling *filling
	source  readSource

	rows   []byte // encoded, behind room for the head
	shown  int    // entries in it
	next   uint64 // the sequence number from which to go on
	looked int    // entries
	bytes  int    // that were read
	// searching: it looks for the last entries, and shows none yet.
	searching bool

	text    entryText
	topic   []byte
	message entry.Message
	input   filter.Message
	limits  filter.Limits
}

const (
	// headRoom is in front of the rows, for what comes last and stands first.
	headRoom = 64
	// Entries are checked in steps that grow, since few are wanted at first.
	minChecked, maxChecked = 32, 1024
	// scanCost is about what a piece of the log takes in memory, with what is known of its entries.
	scanCost = 512 << 10
)

// fillPage fills in the reply to a READ.
func (x *filling) fillPage(q *readRequest) {
	var refused *protocol.Error
	switch err := x.page(q); {
	case err == nil:
	case errors.Is(err, errConnectionEnds):
		x.cut()
	case errors.As(err, &refused):
		x.b = q.appendError(refused)
	default:
		x.conn.Log(zerolog.ErrorLevel).Err(err).Msg("entries cannot be read")
		x.b = q.appendError(protocol.Errorf("entries cannot be read: %v", err))
	}
	if len(x.b) > 0 && !x.reply.presented {
		x.own()
	}
	x.add(true)
	x.endSlot()
}

// own makes the encoded page a buffer that counts as memory. What has much room beside it is copied: only its bytes would count.
func (x *filling) own() {
	memory := &x.conn.service.memory
	if len(x.b) > outbox.LargeBuffers.BufferSize && cap(x.b) < 2*len(x.b) {
		x.buf = outbox.WrapBuffer(memory, x.b)
		return
	}
	x.buf = outbox.NewBuffer(memory, len(x.b))
	x.b = append(x.buf.Bytes[:0], x.b...)
}

// appendError encodes an error in the dialect of the command.
func (q *readRequest) appendError(err *protocol.Error) []byte {
	if q.isLine {
		return protocol.AppendHints(protocol.AppendLineEnd(protocol.AppendLineError(nil, err), q.crlf), err, q.crlf)
	}
	return protocol.AppendError(nil, err)
}

// page encodes the reply to a READ.
func (x *filling) page(q *readRequest) error {
	if err := x.awaitRoom(); err != nil {
		return err
	}
	if err := x.acquireSlot(); err != nil {
		return err
	}
	x.chargeRecord(int64(q.room() + scanCost))
	defer x.chargeRecord(0)
	s := x.conn.service
	p := &page{readRequest: q, filling: x, limits: s.options.filterLimits(), rows: make([]byte, headRoom, q.room()), next: max(1, q.start.sequence)}
	end, err := p.read(s)
	if err == nil {
		p.finish(end)
	}
	return err
}

// room is about how many bytes a page takes, so that it seldom grows.
func (q *readRequest) room() int {
	const each = 256
	return headRoom + min(each*min(q.count, maxPage/each), maxPage) + 4<<10
}

// read reads the page, and reports whether nothing is behind it.
func (p *page) read(s *Service) (end bool, err error) {
	names := newReadNames(p.readRequest)
	found, few, ok := names.find(s)
	switch {
	case !ok:
		return false, errConnectionEnds
	case names.err() != nil:
		return false, names.err()
	case !few:
		p.source = newLogSource(s, names)
	default:
		m, ok := newMergedSource(s, found, p.start.id)
		p.source = m
		defer m.release()
		if !ok {
			return false, errConnectionEnds
		}
	}
	if !few {
		defer p.source.release()
	}
	if p.last > 0 {
		if err := p.findLast(); err != nil {
			return false, err
		}
	}
	if err := p.source.seek(p.start); err != nil {
		return false, err
	}
	end, err = p.each(pageLimits{maxLooked, maxRead}, p.take)
	return end || p.next > p.upTo, err
}

// findLast makes the start that of the last entries that match. It goes back in growing steps, as far as maxLookedBack allows.
func (p *page) findLast() error {
	p.searching = true
	start := p.upTo + 1
	for attempt := 0; ; attempt++ {
		more, err := p.source.back(p.last, attempt)
		if err != nil {
			return err
		}
		ring, n := make([]uint64, 0, min(p.last, maxChecked)), 0
		p.looked, p.bytes = 0, 0
		limits := pageLimits{maxLookedBack, maxLookedBack / maxLooked * maxRead}
		if attempt == 0 {
			limits = pageLimits{math.MaxInt, math.MaxInt} // it is not far
		}
		end, err := p.each(limits, func(r *readRow) (taken, more bool) {
			if len(ring) < p.last {
				ring = append(ring, r.Sequence)
			} else {
				ring[n%p.last] = r.Sequence
			}
			n++
			return true, true
		})
		if err != nil {
			return err
		}
		if !end { // so far back is too far: what was found before counts
			break
		}
		oldest := p.upTo + 1
		if n > 0 {
			oldest = ring[0]
		}
		if n > p.last {
			oldest = ring[n%p.last]
		}
		whole := p.source.wholeFrom()
		start = max(oldest, whole)
		if n >= p.last && oldest >= whole || !more {
			break
		}
	}
	p.start.sequence, p.next = start, start
	p.looked, p.bytes, p.searching = 0, 0, false
	return nil
}

// pageLimits bound what a page looks at.
type pageLimits struct{ looked, bytes int }

// each calls take for the entries that match, in their order. An entry that is not taken is the next one. It returns true once it has
// looked at all.
func (p *page) each(most pageLimits, take func(*readRow) (taken, more bool)) (end bool, err error) {
	var damage error
	for step := minChecked; p.looked < most.looked && p.bytes < most.bytes; {
		rows, seen, found, err := p.source.next()
		p.bytes += p.source.read(rows)
		switch {
		case err != nil && !errors.Is(err, errAtEnd):
			return false, err
		case damage != nil && (err != nil || len(rows) > 0):
			if stop, failed := p.damaged(damage, rows); stop {
				return false, failed
			}
			damage = nil
		}
		if err != nil {
			p.next = p.upTo + 1
			return true, nil
		}
		rows, past := p.within(rows)
		for len(rows) > 0 && p.looked < most.looked {
			n := min(len(rows), step)
			if more, err := p.look(rows[:n], take); err != nil || !more {
				return false, err
			}
			rows, step = rows[n:], min(2*step, maxChecked)
		}
		if len(rows) > 0 {
			break
		}
		if past {
			p.next = p.upTo + 1
			return true, nil
		}
		p.next = max(p.next, seen+1)
		if found != nil {
			damage = found
		}
	}
	return false, nil
}

// within leaves out what is in front of the start. past is true if there are entries behind the last one to show.
func (p *page) within(rows []readRow) (_ []readRow, past bool) {
	for len(rows) > 0 && p.start.isBefore(rows[0].Sequence, rows[0].Time) {
		rows = rows[1:]
	}
	n := len(rows)
	for n > 0 && rows[n-1].Sequence > p.upTo {
		n--
	}
	return rows[:n], n < len(rows)
}

// look looks at some entries. It returns false once the page is full.
func (p *page) look(rows []readRow, take func(*readRow) (taken, more bool)) (more bool, err error) {
	if err := p.filling.giveTurn(); err != nil {
		return false, err
	}
	if err := p.source.check(rows); err != nil {
		return false, err
	}
	for i := range rows {
		r := &rows[i]
		p.looked++
		if r.wanted && p.matches(r) {
			taken, more := take(r)
			if !taken {
				p.next = r.Sequence
				return false, nil
			}
			if !more {
				p.next = r.Sequence + 1
				return false, nil
			}
		}
		p.next = r.Sequence + 1
	}
	return true, nil
}

// matches evaluates the predicate.
func (p *page) matches(r *readRow) bool {
	if p.predicate == nil {
		return true
	}
	p.topic = append(p.topic[:0], r.name...)
	p.message.Reset(r.Fields)
	p.input.ResetSource(p.topic, &p.message, p.limits)
	return p.predicate.Match(&p.input) == filter.Yes
}

// damaged decides on what is broken in front of some entries; there are none at the end. What stands in front of the start is of no concern.
// The page ends in front of a damage. An empty one is an error, which has the position behind it.
func (p *page) damaged(damage error, behind []readRow) (stop bool, err error) {
	if p.searching {
		return false, nil
	}
	next := p.upTo + 1
	if len(behind) > 0 {
		next = behind[0].Sequence
		if next <= p.start.sequence || behind[0].Time < p.start.time {
			return false, nil
		}
	}
	if p.shown > 0 {
		return true, nil
	}
	return true, protocol.Errorf("entries cannot be read: %v; what is behind it: FROM %s", damage, position.Append(nil, p.epoch(), next))
}

func (p *page) epoch() string { return p.filling.conn.service.Epoch() }

// take adds an entry.
func (p *page) take(r *readRow) (taken, more bool) {
	size := entrySize(r.Fields) + len(r.name) + 2*headRoom
	before, room := len(p.rows), cap(p.rows)
	if p.shown > 0 && before+size > maxPage {
		return false, false
	}
	if p.isLine {
		p.appendLine(r)
	} else {
		p.appendRow(r)
	}
	if p.shown > 0 && len(p.rows) > maxPage { // a line may be longer than what it shows
		p.rows = p.rows[:before]
		return false, false
	}
	if grown := cap(p.rows); grown > room {
		p.filling.chargeRecord(int64(grown + scanCost))
	}
	p.shown++
	return true, p.shown < p.count
}

// appendLine appends an entry as a line.
func (p *page) appendLine(r *readRow) {
	if p.predicate == nil {
		p.message.Reset(r.Fields)
	}
	b := append(p.rows, "ENTRY "...)
	b = append(protocol.EscapeTopic(b, []byte(r.name)), ' ')
	b = append(position.Append(b, p.epoch(), r.Sequence), ' ')
	p.rows = protocol.AppendLineEnd(protocol.EscapeMessage(b, p.message.Payload()), p.crlf)
}

// appendRow appends an entry as an array: the name, the position, the id, and the fields.
func (p *page) appendRow(r *readRow) {
	b := protocol.AppendBulkString(append(p.rows, "*4\r\n"...), r.name)
	b = p.appendPosition(b, r.Sequence)
	b = p.text.appendID(b, r.ID)
	fields := r.Fields
	b = protocol.AppendArray(b, fields.Len())
	for text, ok := fields.Next(); ok; text, ok = fields.Next() {
		b = append(append(protocol.AppendBulkHeader(b, len(text)), text...), "\r\n"...)
	}
	p.rows = b
}

// appendPosition appends a position as a bulk string.
func (p *page) appendPosition(b []byte, sequence uint64) []byte {
	b = protocol.AppendBulkHeader(b, len(p.epoch())+1+digits(sequence))
	return append(position.Append(b, p.epoch(), sequence), "\r\n"...)
}

// finish makes the reply.
func (p *page) finish(end bool) {
	b := p.rows
	if p.isLine {
		b = strconv.AppendInt(append(b, "OK READ "...), int64(p.shown), 10)
		word := " NEXT "
		if end {
			word = " END "
		}
		p.filling.b = protocol.AppendLineEnd(position.Append(append(b, word...), p.epoch(), p.next), p.crlf)[headRoom:]
		return
	}
	b = protocol.AppendInt(b, map[bool]int64{true: 1}[end])
	head := protocol.AppendArray(p.appendPosition(protocol.AppendArray(make([]byte, 0, headRoom), 3), p.next), p.shown)
	at := headRoom - len(head)
	copy(b[at:], head)
	p.filling.b = b[at:]
}

// giveTurn lets another filler have the slot, if one waits for it.
func (x *filling) giveTurn() error {
	if x.stopping.raised.Load() || x.conn.outbox.IsEvicted() {
		return errConnectionEnds
	}
	if x.conn.service.fillers.waiting.Load() > 0 {
		x.endSlot()
	}
	return x.acquireSlot()
}
