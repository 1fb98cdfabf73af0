package client

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strconv"
)

// Cursor is a place in a stream, behind which Read begins.
type Cursor struct {
	stream string
	after  EntryID
	now    bool // behind the last entry that there is when Read begins
}

// After is the place behind an entry, which need not exist. After(stream, EntryID{}) is the beginning.
func After(stream string, id EntryID) Cursor { return Cursor{stream: stream, after: id} }

// FromNow is the place behind all entries that there are when the loop over Read begins.
func FromNow(stream string) Cursor { return Cursor{stream: stream, now: true} }

// Read iterates over the entries of streams behind the cursors, in the order of each stream, and waits for those that are
// appended later. It ends only with an error: that of ctx, ErrClosed after Close, the refusal of the server (see Error),
// or a first connection that failed.
//
// It has a connection of its own. After a lost connection it goes on with another one, behind the last entry of each
// stream: each entry comes once. To go on in another process, keep the ID of the last entry, and begin behind it. Entries
// that are deleted or trimmed before they are read do not come, and nothing reports them.
func (c *Client) Read(ctx context.Context, from ...Cursor) iter.Seq2[*Entry, error] {
	return func(yield func(*Entry, error) bool) {
		p, err := newCursorPages(from)
		if err != nil {
			yield(nil, err)
			return
		}
		c.iterate(ctx, p, yield)
	}
}

// cursorPages requests the entries behind cursors by XREAD.
type cursorPages struct{ cursors []Cursor }

func newCursorPages(from []Cursor) (*cursorPages, error) {
	if len(from) == 0 {
		return nil, invalidOption("nothing to read")
	}
	p := &cursorPages{cursors: slices.Clone(from)}
	for i, c := range p.cursors {
		if slices.ContainsFunc(p.cursors[:i], func(other Cursor) bool { return other.stream == c.stream }) {
			return nil, invalidOption("the stream %.60q is named twice", c.stream)
		}
	}
	return p, nil
}

// prepare finds the last entries of the streams that are read from now on, so that a reconnect misses nothing.
func (p *cursorPages) prepare(c *conn) error {
	for i := range p.cursors {
		if !p.cursors[i].now {
			continue
		}
		last, err := c.lastEntry(p.cursors[i].stream)
		if err != nil {
			return err
		}
		p.cursors[i] = After(p.cursors[i].stream, last)
	}
	return nil
}

// lastEntry returns the id of the last entry of a stream, zero if it has none.
func (c *conn) lastEntry(stream string) (last EntryID, err error) {
	if _, err := c.Write(appendCommand(nil, "XREVRANGE", stream, "+", "-", "COUNT", "1")); err != nil {
		return last, fmt.Errorf("cannot write: %w", err)
	}
	head, err := c.readHead()
	if err != nil {
		return last, err
	}
	if head.kind != kindArray || head.integer > 1 {
		return last, malformed("unexpected reply %q to XREVRANGE", head.kind)
	}
	err = c.readEntries(stream, head.integer, func(e *Entry) (bool, error) {
		last = e.ID
		return true, nil
	})
	if err != nil && !isMalformed(err) {
		err = c.readError(err)
	}
	return last, err
}

// blockTime is how long a command waits: for as long as a silent connection is trusted. The reply shows that it still works.
func blockTime(o *Options) string {
	block := max(0, o.PingAfter.Milliseconds()) // 0: without end
	if o.PingAfter > 0 {
		block = max(1, block)
	}
	return strconv.FormatInt(block, 10)
}

func (p *cursorPages) request(o *Options) []string {
	command := []string{"XREAD", "COUNT", strconv.Itoa(pageSize), "BLOCK", blockTime(o), "STREAMS"}
	for i := range p.cursors {
		command = append(command, p.cursors[i].stream)
	}
	for i := range p.cursors {
		command = append(command, p.cursors[i].after.String())
	}
	return command
}

// read reads a map of streams and their entries; in RESP2 it is an array of pairs. A null is a wait without an entry.
func (p *cursorPages) read(c *conn, head *reply, yield func(*Entry) bool) (more bool, err error) {
	switch head.kind {
	case kindNull:
		return true, nil
	case kindMap, kindArray:
	default:
		return false, malformed("unexpected reply %q to XREAD", head.kind)
	}
	for range head.integer {
		if head.kind == kindArray {
			pair, err := c.replies.readHead()
			if err != nil {
				return false, unexpectedEOF(err)
			}
			if pair.kind != kindArray || pair.integer != 2 {
				return false, malformed("unexpected reply %q in the reply to XREAD", pair.kind)
			}
		}
		on, err := p.readStream(c, yield)
		if err != nil || !on {
			return false, err
		}
	}
	return true, nil
}

// readStream reads the name of a stream and its entries. on is false once yield has returned false.
func (p *cursorPages) readStream(c *conn, yield func(*Entry) bool) (on bool, err error) {
	name, err := c.replies.read()
	if err != nil {
		return false, unexpectedEOF(err)
	}
	at := slices.IndexFunc(p.cursors, func(one Cursor) bool { return name.isText(one.stream) })
	if at < 0 {
		return false, malformed("the stream %.60q, which is not read", name.bytes)
	}
	cursor := &p.cursors[at]
	head, err := c.replies.readHead()
	if err != nil {
		return false, unexpectedEOF(err)
	}
	if head.kind != kindArray {
		return false, malformed("unexpected reply %q in place of entries", head.kind)
	}
	on = true
	err = c.readEntries(cursor.stream, head.integer, func(e *Entry) (bool, error) {
		if e.ID.Compare(cursor.after) <= 0 {
			return false, malformed("the entry %s after %s", e.ID, cursor.after)
		}
		cursor.after = e.ID
		on = yield(e)
		return on, nil
	})
	return on, err
}
