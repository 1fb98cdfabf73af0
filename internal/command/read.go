package command

import (
	"slices"

	"github.com/conchmq/conch/internal/acl"
	"github.com/conchmq/conch/internal/filter"
	"github.com/conchmq/conch/internal/keyargs"
	"github.com/conchmq/conch/internal/position"
	"github.com/conchmq/conch/internal/stream"
	"github.com/conchmq/conch/protocol"
)

// READ shows the entries of several streams in the one order. The core fixes its instant, and nothing else: a filler finds the streams,
// reads the log, and visits the core shortly to find out which of the entries exist.
//
// A reply is a page. It is bounded by COUNT, by bytes, and by what is looked at, and has the position from which to go on.

const (
	// defaultReadCount is COUNT where none is given.
	defaultReadCount = 100
	// maxPage is the size at which a page ends. One entry always comes.
	maxPage = 1 << 20
	// maxLooked is how many entries a page looks at.
	maxLooked = 100_000
	// maxRead is how many bytes of the log a page reads.
	maxRead = 64 << 20
	// maxLookedBack bounds LAST: it finds the last entries that match among so many.
	maxLookedBack = 1_000_000
)

// readRequest is a READ. The reader parses it, the core completes it, and then it is the filler's. It aliases no batch.
type readRequest struct {
	names     []string // of streams
	globs     []string
	all       bool // a glob matches every name
	from      position.Position
	hasFrom   bool
	last      int // 0 without LAST
	count     int
	predicate *filter.Predicate // nil without one

	// The core sets what follows, at the instant of the command.
	user    *acl.User // nil if it may read all
	command *acl.Command
	upTo    uint64 // the last sequence number
	start   readStart
	crlf    bool
	isLine  bool
}

// readStart is where a reading begins: at an entry with that sequence number or time, and with that id, whatever comes last.
type readStart struct {
	sequence uint64
	time     int64
	id       stream.ID
	// passed has the entries of some streams behind which the sequence number is: these need no search.
	passed map[uint64]*passedEntry
}

// isBefore reports whether an entry is in front of it.
func (s *readStart) isBefore(sequence uint64, time int64) bool {
	return sequence < s.sequence || time < s.time
}

// parseRead parses a READ on the reader: compiling a predicate may take long.
//
//go:noinline
func (r *Reader) parseRead(inv *invocation) *protocol.Error {
	if r.unauthenticated() {
		return noAuth(inv)
	}
	var x keyargs.Read
	if err := x.Parse(inv.args); err != nil {
		return err
	}
	q := &readRequest{last: int(x.Last), count: int(min(x.Count, maxLooked))}
	for _, name := range x.Names {
		if err := r.service.options.Limits.CheckTopic(name); err != nil {
			return err
		}
		switch text := string(name); {
		case matchesAll(text):
			q.all = true
		case isLiteral(text):
			q.names = append(q.names, text)
		default:
			q.globs = append(q.globs, text)
		}
	}
	slices.Sort(q.names)
	q.names = slices.Compact(q.names)
	if q.count == 0 {
		q.count = defaultReadCount
		if q.last > 0 {
			q.count = min(q.last, maxLooked)
		}
	}
	if x.From != nil {
		if err := r.parseReadFrom(q, string(x.From)); err != nil {
			return err
		}
	}
	if x.Where != nil {
		p, err := r.compileRead(x.Where)
		if err != nil {
			return err
		}
		q.predicate = p
	}
	inv.reading = q
	return nil
}

func (r *Reader) compileRead(expression []byte) (*filter.Predicate, *protocol.Error) {
	if err := r.checkPredicateLen(expression); err != nil {
		return nil, err
	}
	p, err := r.compile(string(expression))
	if err != nil {
		return nil, errPredicate(string(expression), err)
	}
	return p, nil
}

// parseReadFrom parses what stands behind FROM.
func (r *Reader) parseReadFrom(q *readRequest, text string) *protocol.Error {
	from, err := position.ParseFrom(text)
	switch {
	case err != nil:
		return protocol.Errorf("%s", err)
	case from.Kind == position.Entry && (len(q.names) != 1 || len(q.globs) > 0 || q.all):
		return protocol.Errorf("%s is an entry of one stream, and more are named; type: FROM EPOCH-123, or name one", text)
	case from.Kind == position.Number && from.Epoch != "" && from.Epoch != r.service.Epoch():
		store, ok := r.service.options.Store, false
		if store != nil {
			from.Number, ok = store.Position(from.Epoch, from.Number)
		}
		if !ok {
			return protocol.Errorf("the epoch of %s is none of this log; type: FROM 0, or FROM a time", text)
		}
	}
	q.from, q.hasFrom = from, true
	return nil
}

// read is READ.
func read(w *response) {
	s := &w.executor.service.streams
	if s.store == nil {
		w.fail(errNoStreams)
		return
	}
	q := *w.inv.reading
	q.upTo = w.view.Stats().Sequence
	q.isLine, q.crlf = w.inv.dialect == protocol.Line, w.inv.crlf
	if e := w.executor; !e.unrestricted {
		q.user, q.command = e.user, aclRules[w.inv.row.Index()].command
	}
	if err := q.begin(w.now()); err != nil {
		w.fail(err)
		return
	}
	w.fill = &fill{conn: w.executor.Conn, reading: &q}
}

// begin finds the start of the reading.
func (q *readRequest) begin(now int64) *protocol.Error {
	if !q.hasFrom {
		return nil
	}
	switch p := q.from; p.Kind {
	case position.Number:
		q.start.sequence = min(p.Number, q.upTo+1)
	case position.Time:
		q.start.time = p.Time.UnixMilli()
	case position.Age:
		q.start.time = now - p.Age.Milliseconds()
	case position.Entry:
		id, err := stream.ParseID([]byte(p.Text), 0)
		if err != nil {
			return protocol.Errorf("%s", err)
		}
		q.start.id = id
	}
	return nil
}

// mayRead reports whether the user may read a stream that a glob matches.
func (q *readRequest) mayRead(name string) bool {
	return q.user == nil || q.user.Check(q.command, nil, acl.Keys{Names: [][]byte{[]byte(name)}, Read: true}) == nil
}
