package store

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"
	"time"
	"unicode/utf8"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/entry"
	"github.com/conchmq/conch/internal/filter"
	"github.com/conchmq/conch/internal/log"
	"github.com/conchmq/conch/internal/position"
	"github.com/conchmq/conch/internal/stream"
)

// DumpOptions choose entries.
type DumpOptions struct {
	Streams  []string // globs; all without one
	From, To string   // an id, a position or a time; both included. Empty: all
	Where    string   // a predicate
	Now      time.Time
	Damage   func(Fault) // a record that is not whole; it is left out
}

// Dump writes the entries that exist, in the one order, as a JSON object a line. It is for a store that is only read.
func (s *Store) Dump(w io.Writer, o DumpOptions) (entries int, err error) {
	d := &dump{store: s, streams: o.Streams, names: make(map[uint64]string)}
	if err := errors.Join(d.from.parse(s, o.From, o.Now, false), d.to.parse(s, o.To, o.Now, true)); err != nil {
		return 0, err
	}
	if o.Where != "" {
		if d.where, err = filter.Compile(o.Where, filter.Limits{}); err != nil {
			return 0, fmt.Errorf("the predicate is invalid: %w", err)
		}
	}
	d.out, d.json = w, json.NewEncoder(&d.text)
	d.json.SetEscapeHTML(false)
	scan := s.log.NewScan()
	defer scan.Release()
	broken := func(x *log.Damage) { o.Damage(Fault{File: x.File, Offset: x.Offset, What: x.Lost()}) }
	for more := true; more && err == nil && d.err == nil; {
		more, err = scan.Next(d.record, broken)
	}
	d.flush()
	return d.count, errors.Join(d.err, err)
}

// dump is one call of Dump.
type dump struct {
	store    *Store
	streams  []string
	from, to bound
	where    *filter.Predicate
	out      io.Writer
	count    int

	// The lines of one record. In a segment that was written again it is in several pieces, by stream.
	number uint64
	json   *json.Encoder // writes to text
	text   bytes.Buffer
	lines  []dumpedLine

	names   map[uint64]string // of streams that were looked at; those left out are empty
	message entry.Message
	matched filter.Message
	row     dumpedEntry
	err     error
}

// dumpedEntry is a line.
type dumpedEntry struct {
	Stream       string   `json:"stream,omitempty"`
	StreamBase64 []byte   `json:"stream_base64,omitempty"` // a name that is no UTF-8
	ID           string   `json:"id"`
	Position     string   `json:"position"`
	Fields       []string `json:"fields,omitempty"`        // names and values in turn
	FieldsBase64 [][]byte `json:"fields_base64,omitempty"` // the same, if one of them is no UTF-8
}

// dumpedLine is a line that is not written yet.
type dumpedLine struct {
	sequence uint64
	from, to int // in dump.text
}

// bound is an end of what is chosen: by id, or by sequence number.
type bound struct {
	isSet, byNumber bool
	id              stream.ID
	number          uint64
}

// parse reads a bound.
func (b *bound) parse(s *Store, text string, now time.Time, last bool) (err error) {
	if text == "" {
		return nil
	}
	b.isSet = true
	parse := stream.ParseRangeStart
	if last {
		parse = stream.ParseRangeEnd
	}
	if text[0] >= '0' && text[0] <= '9' || text == "-" || text == "+" {
		if b.id, err = parse([]byte(text)); err == nil {
			return nil
		}
	}
	p, err := position.ParseFrom(text)
	if err != nil {
		return fmt.Errorf("%q is neither an id, a position nor a time; type 1764370800123-0, EPOCH-123, #123, -5m or 2026-11-21T10:00:00Z", text)
	}
	switch p.Kind {
	case position.Oldest:
		b.isSet = false
	case position.Number:
		b.byNumber, b.number = true, p.Number
		return s.checkEpoch(p)
	case position.Time, position.Age:
		at := p.Time
		if p.Kind == position.Age {
			at = now.Add(-p.Age)
		}
		b.id, err = parse(fmt.Append(nil, max(0, at.UnixMilli())))
	default:
		err = fmt.Errorf("%q is no place in the order of all streams", text)
	}
	return err
}

// checkEpoch refuses an epoch that the directory does not know: its numbers are those of another order.
func (s *Store) checkEpoch(p position.Position) error {
	if p.Epoch == "" || slices.ContainsFunc(s.epochs, func(e log.Epoch) bool { return epochName(e.ID) == p.Epoch }) {
		return nil
	}
	return fmt.Errorf("the epoch %s is unknown here; conch log stats lists those that are known", p.Epoch)
}

// compare is negative for an entry before the bound, and positive for one behind it.
func (b *bound) compare(e *stream.Entry) int {
	switch {
	case !b.isSet:
		return 0
	case b.byNumber && e.Sequence < b.number:
		return -1
	case b.byNumber && e.Sequence > b.number:
		return 1
	case b.byNumber:
		return 0
	}
	return e.ID.Compare(b.id)
}

func (d *dump) record(r log.Record) {
	if r.Number != d.number {
		d.flush()
		d.number = r.Number
	}
	if r.Kind != kindChanges || d.err != nil {
		return
	}
	err := stream.EachEntry(r.Payload, 0, func(e *stream.Entry) bool {
		if d.chooses(e) {
			d.err = d.encode(e)
		}
		return d.err == nil
	})
	d.err = cmp.Or(d.err, err)
}

// flush writes the lines of a record.
func (d *dump) flush() {
	slices.SortStableFunc(d.lines, func(a, b dumpedLine) int { return cmp.Compare(a.sequence, b.sequence) })
	for _, l := range d.lines {
		if d.err == nil {
			d.count++
			_, d.err = d.out.Write(d.text.Bytes()[l.from:l.to])
		}
	}
	d.lines = d.lines[:0]
	d.text.Reset()
}

// chooses reports whether an entry exists and is wanted.
func (d *dump) chooses(e *stream.Entry) bool {
	if d.from.compare(e) < 0 || d.to.compare(e) > 0 || d.name(e.Key) == "" {
		return false
	}
	if alive, _ := d.store.streams.Has(e.Key, e.Ordinal, e.ID); !alive {
		return false
	}
	if d.where == nil {
		return true
	}
	d.message.Reset(e.Fields)
	d.matched.ResetSource([]byte(d.name(e.Key)), &d.message, filter.Limits{})
	return d.where.Match(&d.matched) == filter.Yes
}

// name returns the name of a stream, empty if it is gone or not chosen.
func (d *dump) name(number uint64) string {
	name, known := d.names[number]
	if known {
		return name
	}
	if st := d.store.streams.ByNumber(number); st != nil && d.matches(st.Name()) {
		name = st.Name()
	}
	d.names[number] = name
	return name
}

func (d *dump) matches(name string) bool {
	return len(d.streams) == 0 || slices.ContainsFunc(d.streams, func(glob string) bool { return broker.Match(glob, []byte(name)) })
}

// encode makes a line.
func (d *dump) encode(e *stream.Entry) error {
	row := &d.row
	*row = dumpedEntry{ID: e.ID.String(), Position: d.store.positionOf(e.Sequence), Fields: row.Fields[:0], FieldsBase64: row.FieldsBase64[:0]}
	if name := d.name(e.Key); utf8.ValidString(name) {
		row.Stream = name
	} else {
		row.StreamBase64 = []byte(name)
	}
	isText := true
	for fields := e.Fields; ; {
		text, ok := fields.Next()
		if !ok {
			break
		}
		isText = isText && utf8.Valid(text)
		row.FieldsBase64 = append(row.FieldsBase64, text)
	}
	if isText {
		for _, text := range row.FieldsBase64 {
			row.Fields = append(row.Fields, string(text))
		}
		row.FieldsBase64 = row.FieldsBase64[:0]
	}
	from := d.text.Len()
	err := d.json.Encode(row)
	d.lines = append(d.lines, dumpedLine{e.Sequence, from, d.text.Len()})
	return err
}

// positionOf is the position of a sequence number, in the epoch that has it; in the form #123 if that is no longer listed.
func (s *Store) positionOf(sequence uint64) string {
	behind := sort.Search(len(s.epochs), func(i int) bool { return s.epochs[i].First > sequence })
	if behind == 0 {
		return fmt.Sprintf("#%d", sequence)
	}
	return string(position.Append(nil, epochName(s.epochs[behind-1].ID), sequence))
}
