package client

import (
	"context"
	"iter"
	"strconv"
	"strings"
)

// Query is a selection of entries of several streams.
type Query struct {
	Streams []string // names, and globs such as orders.*: one at least
	// From is a position such as Entry.Position, 0, -5m, or 2026-11-21T10:00:00Z; empty for the oldest entry that is kept. It
	// includes the entry that it names.
	From  string
	Last  int    // only the last entries that match, up to 10,000; 0 for all
	Where string // a condition, such as price > 100; empty for none
}

// Entries iterates over the entries of several streams, in the one order in which they were added, as far as there are any. It is for
// conch: Redis has no such order.
//
// It has a connection of its own, and requests entries as the loop takes them. After a lost connection it goes on with
// another one behind the last entry; each entry comes once. To go on later, use AfterPosition. Errors are as for Range.
func (c *Client) Entries(ctx context.Context, q Query) iter.Seq2[*Entry, error] {
	return func(yield func(*Entry, error) bool) {
		p, err := newQueryPages(q)
		if err != nil {
			yield(nil, err)
			return
		}
		c.iterate(ctx, p, yield)
	}
}

// AfterPosition returns the position behind one such as Entry.Position, for Query.From.
func AfterPosition(position string) (string, error) {
	epoch, number, ok := cutPosition(position)
	if !ok {
		return "", invalidOption("%.60q is not the position of an entry, as a1b2c3d4e5f60718-12 is", position)
	}
	return epoch + "-" + strconv.FormatUint(number+1, 10), nil
}

func cutPosition(position string) (epoch string, number uint64, ok bool) {
	epoch, digits, ok := strings.Cut(position, "-")
	number, err := strconv.ParseUint(digits, 10, 63)
	return epoch, number, ok && err == nil && len(epoch) == 16
}

// queryPages requests the entries of a query by READ.
type queryPages struct {
	query Query
	from  string // where the next page begins
	last  uint64 // the sequence number of the last entry
}

func newQueryPages(q Query) (*queryPages, error) {
	switch {
	case len(q.Streams) == 0:
		return nil, invalidOption("nothing to read")
	case q.From != "" && q.Last != 0:
		return nil, invalidOption("both From and Last")
	case q.Last < 0:
		return nil, invalidOption("Last is negative")
	}
	return &queryPages{query: q, from: q.From}, nil
}

func (*queryPages) prepare(*conn) error { return nil }

func (p *queryPages) request(*Options) []string {
	command := append([]string{"READ"}, p.query.Streams...)
	switch {
	case p.from != "":
		command = append(command, "FROM", p.from)
	case p.query.Last > 0:
		command = append(command, "LAST", strconv.Itoa(p.query.Last))
	}
	command = append(command, "COUNT", strconv.Itoa(pageSize))
	if p.query.Where != "" {
		command = append(command, "WHERE", p.query.Where)
	}
	return command
}

// read reads a page: the position from which to go on, the entries, and whether these were the last.
func (p *queryPages) read(c *conn, head *reply, yield func(*Entry) bool) (more bool, err error) {
	if head.kind != kindArray || head.integer != 3 {
		return false, malformed("unexpected reply %q to READ", head.kind)
	}
	next, err := c.replies.read()
	if err != nil {
		return false, unexpectedEOF(err)
	}
	from := string(next.bytes)
	if _, _, ok := cutPosition(from); next.kind != kindBulk || !ok {
		return false, malformed("%.60q is no position", next.bytes)
	}
	rows, err := c.replies.readHead()
	if err != nil {
		return false, unexpectedEOF(err)
	}
	if rows.kind != kindArray {
		return false, malformed("unexpected reply %q in place of entries", rows.kind)
	}
	for range rows.integer {
		if on, err := p.readRow(c, yield); err != nil || !on {
			return false, err
		}
	}
	end, err := c.replies.read()
	if err != nil {
		return false, unexpectedEOF(err)
	}
	if !end.isCount() {
		return false, malformed("unexpected reply %q at the end of a page", end.kind)
	}
	p.from = from
	return end.integer == 0, nil
}

// readRow reads an entry: the name of its stream, its position, its id and its fields. on is false once yield has returned false.
func (p *queryPages) readRow(c *conn, yield func(*Entry) bool) (on bool, err error) {
	r, err := c.replies.read()
	if err != nil {
		return false, unexpectedEOF(err)
	}
	if r.kind != kindArray || len(r.elements) != 4 || r.elements[0].kind != kindBulk || r.elements[1].kind != kindBulk {
		return false, malformed("unexpected reply %q in place of an entry", r.kind)
	}
	position := string(r.elements[1].bytes)
	epoch, number, ok := cutPosition(position)
	if !ok || number <= p.last {
		return false, malformed("the position %.60q behind %d", position, p.last)
	}
	e, err := parseEntry(string(r.elements[0].bytes), &reply{kind: kindArray, elements: r.elements[2:]})
	if err != nil {
		return false, err
	}
	e.Position = position
	p.last, p.from = number, epoch+"-"+strconv.FormatUint(number+1, 10)
	return yield(e), nil
}
