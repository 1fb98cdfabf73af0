package command

import (
	"errors"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/stream"
)

// mergedSource reads a few streams, each by itself, and merges them. What exists is fixed when it is made.
type mergedSource struct {
	service *Service
	cursors []*streamCursor
	rows    []readRow
	whole   uint64 // see wholeFrom
}

// maxBuffered is how many bytes of entries the cursors of one source hold, and maxCursorRows how many entries each of them does.
const maxBuffered, maxCursorRows = 256 << 10, 2048

// streamCursor goes over the entries of one stream.
type streamCursor struct {
	readStream
	rng  stream.Range
	pin  Pin
	next uint64 // the ordinal to go on with
	// trimmed is Stream.Trimmed.
	trimmed uint64
	// begins: back has left out entries, and the first one behind is yet to be read.
	begins bool

	// rows are the entries that come next, from i on. They alias text.
	rows []readRow
	i    int
	text []byte
	// damage stands in front of rows[gap], if it is not nil.
	damage error
	gap    int
}

// newMergedSource captures the streams, from an id on.
func newMergedSource(s *Service, found []readStream, from stream.ID) (*mergedSource, bool) {
	m := &mergedSource{service: s, rows: takeRows()}
	ok := s.RunOnCore(func(broker.View) {
		for _, f := range found {
			st := s.streams.state.Present(f.number)
			if st == nil {
				continue
			}
			if r := st.Range(from, stream.MaxID, 0, false); r.Len() > 0 {
				m.cursors = append(m.cursors, &streamCursor{readStream: f, rng: r, pin: s.streams.store.Pin(f.number, r.First(), r.Last()), next: r.First(), trimmed: st.Trimmed(), rows: takeRows()})
			}
		}
	})
	return m, ok
}

func (m *mergedSource) release() {
	for _, c := range m.cursors {
		c.pin.Release()
		giveRows(c.rows)
	}
	giveRows(m.rows)
}

func (m *mergedSource) wholeFrom() uint64 { return m.whole }

func (m *mergedSource) read(rows []readRow) (bytes int) {
	for i := range rows {
		bytes += entrySize(rows[i].Fields)
	}
	return bytes
}

// check has nothing to do.
func (m *mergedSource) check([]readRow) error { return nil }

// seek looks in each stream for the first entry that is not in front of the start.
func (m *mergedSource) seek(start readStart) error {
	for _, c := range m.cursors {
		if passed := start.passed[c.number]; passed != nil {
			c.goTo(max(c.rng.First(), passed.ordinal+1))
			continue
		}
		if err := c.seek(start); err != nil {
			return err
		}
	}
	return nil
}

// seek goes to the first entry that is not in front of the start.
func (c *streamCursor) seek(start readStart) error {
	c.goTo(c.rng.First())
	if start.sequence == 0 && start.time == 0 {
		return nil
	}
	low, high := c.rng.First(), c.rng.Last()+1
	for low < high {
		middle := low + (high-low)/2
		e, found, err := c.first(middle)
		switch {
		case err != nil:
			return err
		case found && start.isBefore(e.Sequence, e.Time):
			low = e.Ordinal + 1
		default:
			high = middle
		}
	}
	c.goTo(low)
	return nil
}

// back goes to a part of so many entries before the end of each stream.
func (m *mergedSource) back(entries, attempt int) (more bool, err error) {
	if entries /= max(1, len(m.cursors)); entries == 0 {
		entries = 1
	}
	for range attempt {
		entries *= timesBack
	}
	m.whole = 0
	ok := m.service.RunOnCore(func(broker.View) {
		for _, c := range m.cursors {
			at := c.rng.First()
			if st := m.service.streams.state.Present(c.number); st != nil {
				r := st.Range(stream.MinID, stream.MaxID, entries, true)
				at = max(at, r.First())
			}
			c.goTo(at)
			c.begins = at > c.rng.First()
			more = more || c.begins
		}
	})
	if !ok {
		return false, errConnectionEnds
	}
	return more, nil
}

func (m *mergedSource) next() (rows []readRow, seen uint64, damage, err error) {
	for _, c := range m.cursors {
		if err := c.fill(maxBuffered / len(m.cursors)); err != nil {
			return nil, 0, nil, err
		}
		if c.begins && len(c.rows) > 0 {
			c.begins, m.whole = false, max(m.whole, c.rows[0].Sequence)
		}
	}
	if len(m.cursors) == 1 && m.cursors[0].damage == nil {
		return m.cursors[0].rest()
	}
	m.rows = m.rows[:0]
	for {
		c := m.first()
		if c == nil {
			break
		}
		if c.damage != nil && c.i == c.gap {
			damage, c.damage = c.damage, nil
			break
		}
		if c.i == len(c.rows) {
			break // its next entries are yet to be read
		}
		m.rows = append(m.rows, c.rows[c.i])
		c.i++
	}
	if len(m.rows) == 0 && damage == nil {
		return nil, 0, nil, errAtEnd
	}
	if n := len(m.rows); n > 0 {
		seen = m.rows[n-1].Sequence
	}
	return m.rows, seen, damage, nil
}

// rest returns all rows that are there: what one stream has needs no merging.
func (c *streamCursor) rest() (rows []readRow, seen uint64, damage, err error) {
	rows, c.i = c.rows[c.i:], len(c.rows)
	if len(rows) == 0 {
		return nil, 0, nil, errAtEnd
	}
	return rows, rows[len(rows)-1].Sequence, nil, nil
}

// first returns the cursor with the first entry, or one of which that is not known; nil at the end.
func (m *mergedSource) first() (first *streamCursor) {
	for _, c := range m.cursors {
		switch {
		case c.i == len(c.rows) && (c.damage != nil || c.next <= c.rng.Last()):
			return c
		case c.i == len(c.rows):
		case first == nil || c.rows[c.i].Sequence < first.rows[first.i].Sequence:
			first = c
		}
	}
	return first
}

// goTo makes the cursor go on with an ordinal.
func (c *streamCursor) goTo(ordinal uint64) {
	c.rows, c.i, c.next, c.damage, c.begins = c.rows[:0], 0, ordinal, nil, false
}

// first returns the first entry from an ordinal on, deleted or not.
func (c *streamCursor) first(from uint64) (first stream.Entry, found bool, err error) {
	err = c.pin.ReadFrom(from, func(changes []byte) bool {
		failed := stream.EachEntry(changes, c.number, func(e *stream.Entry) bool {
			if found = e.Ordinal >= from; found {
				first = *e
			}
			return !found
		})
		err = errors.Join(err, failed)
		return !found && failed == nil
	})
	if found { // what is broken in front of it is found when it is read
		err = nil
	}
	return first, found, err
}

// fill reads the next entries, if there are none left: about so many bytes.
func (c *streamCursor) fill(bytes int) error {
	if c.i < len(c.rows) || c.damage != nil || c.next > c.rng.Last() {
		return nil
	}
	start := c.next
	c.rows, c.i, c.text = c.rows[:0], 0, c.text[:0]
	var failed error
	stopped := false
	err := c.pin.ReadFrom(start, func(changes []byte) bool {
		failed = stream.EachEntry(changes, c.number, func(e *stream.Entry) bool {
			if e.Ordinal < c.next || !c.rng.Live(e.Ordinal) {
				return true
			}
			r := readRow{Entry: *e, name: c.name, wanted: true, trimmed: c.trimmed}
			r.Fields, c.text = e.Fields.CopyTo(c.text)
			c.rows = append(c.rows, r)
			c.next = e.Ordinal + 1
			return true
		})
		stopped = failed != nil || len(c.text) >= bytes || len(c.rows) >= maxCursorRows
		return !stopped
	})
	if failed != nil {
		return failed
	}
	if !stopped {
		c.next = c.rng.Last() + 1 // nothing is left
	}
	if err != nil {
		c.findGap(start, err)
	}
	return nil
}

// findGap finds the entries that a damage has taken: of a record without one it is no loss.
func (c *streamCursor) findGap(start uint64, damage error) {
	at := start
	for i := 0; at < c.next; i++ {
		end := c.next
		if i < len(c.rows) {
			end = c.rows[i].Ordinal
		}
		for ; at < end; at++ {
			if c.rng.Live(at) {
				c.damage, c.gap = damage, i
				return
			}
		}
		at++
	}
}
