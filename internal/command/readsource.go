package command

import (
	"cmp"
	"errors"
	"slices"
	"sync"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/stream"
)

// readRow is an entry that a READ looks at.
type readRow struct {
	stream.Entry
	name string
	// wanted: it is of a stream that is shown, and exists. gone: it would be, but was given up by a limit.
	wanted, gone bool
	// trimmed is Stream.Trimmed of its stream.
	trimmed uint64
}

// readSource gives the entries of the log, or of some streams, in the one order.
type readSource interface {
	// back goes to a place from which about so many entries come, for the nth time, and returns false if that is the beginning.
	back(entries, attempt int) (more bool, err error)
	// wholeFrom is the sequence number from which on no entry is left out, once next has been called behind back.
	wholeFrom() uint64
	// seek goes to a start. Entries in front of it may come, too.
	seek(start readStart) error
	// next returns the next entries, which are valid until the next call: none at the end. It has looked at all entries up to the sequence
	// number seen. Damage stands behind the entries that it returns, if it is not nil.
	next() (rows []readRow, seen uint64, damage error, err error)
	// check sets what is wanted.
	check(rows []readRow) error
	// read is how many bytes were read for some entries, about.
	read(rows []readRow) int
	release()
}

// errAtEnd is the end of a source.
var errAtEnd = errors.New("no more entries")

// logSource reads the whole log.
type logSource struct {
	service *Service
	names   *readNames
	scan    Scan
	rows    []readRow // of the piece of the log that was read last
	seen    uint64
	parts   []rowPart // of rows, between damages
	part    int       // the next one
	known   map[uint64]readName
	unknown []uint64
}

// rowPart ends in front of a damage, or with the rows; damage is nil then.
type rowPart struct {
	from, to int    // its rows
	seen     uint64 // all entries up to this sequence number were looked at
	damage   error
}

// readName is a stream that a READ has come across.
type readName struct {
	name   string
	wanted bool
}

// rowBuffers are the rows of sources that have ended.
var rowBuffers = sync.Pool{New: func() any { return new([]readRow) }}

// maxPooledRows bounds those: a piece of small entries has some thousands.
const maxPooledRows = 8192

// takeRows returns rows to use.
func takeRows() []readRow { return *rowBuffers.Get().(*[]readRow) }

// giveRows gives them up.
func giveRows(rows []readRow) {
	if cap(rows) == 0 || cap(rows) > maxPooledRows {
		return
	}
	clear(rows[:cap(rows)]) // they would keep records alive
	rows = rows[:0]
	rowBuffers.Put(&rows)
}

func newLogSource(s *Service, names *readNames) *logSource {
	return &logSource{service: s, names: names, scan: s.streams.store.Scan(), rows: takeRows(), known: make(map[uint64]readName, maxChecked)}
}

func (l *logSource) release() {
	l.scan.Release()
	giveRows(l.rows)
}

func (l *logSource) wholeFrom() uint64 { return 0 }

// read counts a piece of the log, whatever it holds.
func (l *logSource) read([]readRow) int { return bytesBack }

func (l *logSource) seek(start readStart) error {
	l.parts, l.part, l.seen = l.parts[:0], 0, 0
	return l.scan.Seek(func(changes []byte) bool { return start.isBefore(stream.RecordStart(changes)) })
}

// bytesBack is how many bytes LAST goes back first, and how many times as far next.
const bytesBack, timesBack = 256 << 10, 4

func (l *logSource) back(_, attempt int) (bool, error) {
	bytes := int64(bytesBack)
	for range attempt {
		bytes *= timesBack
	}
	l.parts, l.part, l.seen = l.parts[:0], 0, 0
	return l.scan.Back(bytes)
}

func (l *logSource) next() (rows []readRow, seen uint64, damage, err error) {
	if l.part == len(l.parts) {
		if err := l.readPiece(); err != nil {
			return nil, l.seen, nil, err
		}
	}
	part := &l.parts[l.part]
	l.part++
	rows = l.rows[part.from:part.to]
	bySequence(rows)
	if n := len(rows); n > 0 {
		part.seen = max(part.seen, rows[n-1].Sequence)
	}
	l.seen = max(l.seen, part.seen)
	return rows, l.seen, part.damage, nil
}

// readPiece reads a piece of the log. A part of it has not seen what stands behind its damage: a page that ended there would leave it out.
func (l *logSource) readPiece() error {
	l.rows, l.parts, l.part = l.rows[:0], l.parts[:0], 0
	part := rowPart{seen: l.seen}
	end := func(damage error) {
		part.to, part.damage = len(l.rows), damage
		l.parts = append(l.parts, part)
		part.from = part.to
	}
	var broken error
	more, err := l.scan.Next(func(changes []byte) {
		sequence, _ := stream.RecordStart(changes)
		part.seen = max(part.seen, sequence)
		if failed := stream.EachEntry(changes, 0, func(e *stream.Entry) bool {
			l.rows = append(l.rows, readRow{Entry: *e})
			return true
		}); failed != nil {
			broken = failed
		}
	}, end)
	switch {
	case err != nil:
		return err
	case broken != nil:
		return broken
	case !more:
		return errAtEnd
	}
	end(nil)
	return nil
}

// bySequence puts rows in order: a record that was written again may have come in parts.
func bySequence(rows []readRow) {
	compare := func(a, b readRow) int { return cmp.Compare(a.Sequence, b.Sequence) }
	if !slices.IsSortedFunc(rows, compare) {
		slices.SortFunc(rows, compare)
	}
}

// check gets from the core the names of streams that are not known yet, and which entries exist.
func (l *logSource) check(rows []readRow) error {
	l.unknown = l.unknown[:0]
	any := false
	for i := range rows {
		n, ok := l.known[rows[i].Key]
		if !ok {
			l.known[rows[i].Key] = readName{wanted: true} // until its name is known
			l.unknown = append(l.unknown, rows[i].Key)
		}
		rows[i].wanted = !ok || n.wanted
		any = any || rows[i].wanted
	}
	if !any {
		return nil
	}
	found := make([]string, len(l.unknown))
	gone := make([]bool, len(l.unknown))
	if !l.service.RunOnCore(func(broker.View) {
		state := l.service.streams.state
		for i, number := range l.unknown {
			if st := state.Present(number); st != nil {
				found[i] = st.Name()
			} else {
				gone[i] = true
			}
		}
		for i := range rows {
			if r := &rows[i]; r.wanted {
				st := state.Present(r.Key)
				if r.wanted = st != nil && st.IsLive(r.Ordinal); st != nil {
					r.trimmed, r.gone = st.Trimmed(), !r.wanted && r.Ordinal < st.Trimmed()
				}
			}
		}
	}) {
		return errConnectionEnds
	}
	for i, number := range l.unknown {
		l.known[number] = readName{name: found[i], wanted: !gone[i] && l.names.wants(found[i])}
	}
	for i := range rows {
		r := &rows[i]
		n := l.known[r.Key]
		r.name, r.wanted, r.gone = n.name, r.wanted && n.wanted, r.gone && n.wanted
	}
	if err := l.names.err(); err != nil {
		return err
	}
	return nil
}
