package client

import (
	"context"
	"fmt"
	"iter"
	"math"
	"slices"
	"strconv"
)

// Span is a part of a stream. The zero Span is the whole stream, from the oldest entry on.
type Span struct {
	From, To  EntryID // both included; the zero EntryID is the beginning, and the end
	Backwards bool    // the newest entry first
}

// Range iterates over the entries of a part of a stream, as far as there are any: of a stream that does not exist, none.
// It has a connection of its own, and requests entries as the loop takes them. After a lost connection it goes on with
// another one behind the last entry; each entry comes once.
//
// If the pair has an error, it is the last one: that of ctx, the refusal of the server (see Error), or a first connection
// that failed.
func (c *Client) Range(ctx context.Context, stream string, span Span) iter.Seq2[*Entry, error] {
	return func(yield func(*Entry, error) bool) {
		c.iterate(ctx, &spanPages{stream: stream, span: span}, yield)
	}
}

// pageSize is how many entries are requested at once. They are read one by one, so it does not bound memory here; it does
// in a server that encodes the whole reply at once.
const pageSize = 256

// spanPages requests a span by XRANGE or XREVRANGE.
type spanPages struct {
	stream string
	span   Span
	last   EntryID // yielded; zero: none
}

func (*spanPages) prepare(*conn) error { return nil }

func (p *spanPages) request(*Options) []string {
	to := p.span.To
	if to.IsZero() {
		to = EntryID{Ms: math.MaxUint64, Seq: math.MaxUint64}
	}
	verb, bounds := "XRANGE", []string{p.span.From.String(), to.String()}
	if p.span.Backwards {
		verb = "XREVRANGE"
		slices.Reverse(bounds)
	}
	if !p.last.IsZero() {
		bounds[0] = "(" + p.last.String()
	}
	return []string{verb, p.stream, bounds[0], bounds[1], "COUNT", strconv.Itoa(pageSize)}
}

func (p *spanPages) read(c *conn, head *reply, yield func(*Entry) bool) (more bool, err error) {
	if head.kind != kindArray {
		return false, malformed("unexpected reply %q to XRANGE", head.kind)
	}
	err = c.readEntries(p.stream, head.integer, func(e *Entry) (bool, error) {
		order := e.ID.Compare(p.last)
		if !p.last.IsZero() && (order == 0 || (order > 0) == p.span.Backwards) {
			return false, malformed("the entry %s after %s", e.ID, p.last)
		}
		p.last = e.ID
		return yield(e), nil
	})
	return head.integer >= pageSize, err
}

// readEntries reads n entries, up to the first that f returns false for.
func (c *conn) readEntries(stream string, n int64, f func(*Entry) (on bool, err error)) error {
	for range n {
		r, err := c.replies.read()
		if err != nil {
			return unexpectedEOF(err)
		}
		e, err := parseEntry(stream, &r)
		if err != nil {
			return err
		}
		if on, err := f(e); err != nil || !on {
			return err
		}
	}
	return nil
}

// pages is what a loop over entries requests, and where its next page begins.
type pages interface {
	// prepare runs on each new connection.
	prepare(c *conn) error
	// request returns the command for the next page.
	request(o *Options) []string
	// read reads the elements of its reply, whose head is read. It ends early once yield returns false. more is false if
	// no page follows.
	read(c *conn, head *reply, yield func(*Entry) bool) (more bool, err error)
}

// entryLoop is one loop over entries. Its caller's goroutine owns it.
type entryLoop struct {
	client   *Client
	pages    pages
	yield    func(*Entry, error) bool
	begun    bool // a connection has brought a page
	stopped  bool // yield has returned false
	attempts int  // since the last page
}

// iterate yields the entries of all pages, and the error that ended them.
func (c *Client) iterate(ctx context.Context, p pages, yield func(*Entry, error) bool) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(c.ctx, func() { cancel(ErrClosed) })()
	if c.ctx.Err() != nil {
		cancel(ErrClosed) // AfterFunc takes a moment
	}
	l := &entryLoop{client: c, pages: p, yield: yield}
	if err := l.run(ctx); err != nil && !l.stopped {
		yield(nil, err)
	}
}

// run reads over one connection after the other, until there is no more page or no sense in another attempt.
func (l *entryLoop) run(ctx context.Context) error {
	for {
		err := l.readPages(ctx)
		switch {
		case err == nil || l.stopped:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx) //nolint:wrapcheck // the caller's, or ErrClosed
		case !l.begun || isPermanent(err) || isMalformed(err):
			return err
		}
		if !l.client.pause(ctx, l.attempts) {
			return context.Cause(ctx) //nolint:wrapcheck // the caller's, or ErrClosed
		}
		l.attempts++
	}
}

// readPages reads pages over a connection of its own.
func (l *entryLoop) readPages(ctx context.Context) error {
	o := l.client.options
	o.Sequences = false // entries have ids
	c, err := o.dial(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }() // nothing is written that matters
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	c.replies.maxElements = maxEntryElements
	c.pings.sendPing = func() error { return nil } // a request is under way, which the server answers in time
	err = l.pages.prepare(c)
	for more := err == nil; more && err == nil && !l.stopped; {
		if more, err = l.readPage(c); err == nil {
			l.begun, l.attempts = true, 0
		}
	}
	if err != nil && ctx.Err() == nil {
		c.leave()
	}
	return err
}

// readPage requests one page and yields its entries.
func (l *entryLoop) readPage(c *conn) (more bool, err error) {
	if _, err := c.Write(appendCommand(nil, l.pages.request(&l.client.options)...)); err != nil {
		return false, fmt.Errorf("cannot write: %w", err)
	}
	head, err := c.readHead()
	if err != nil {
		return false, err
	}
	more, err = l.pages.read(c, &head, func(e *Entry) bool {
		l.begun, l.attempts = true, 0
		l.stopped = !l.yield(e, nil)
		return !l.stopped
	})
	if err != nil && !isMalformed(err) {
		err = c.readError(err)
	}
	return more, err
}

// readHead reads up to the head of the first reply that is not a push. It returns an error reply as a refusal.
func (c *conn) readHead() (reply, error) {
	for {
		head, err := c.replies.readHead()
		switch {
		case isMalformed(err):
			return head, err
		case err != nil:
			return head, c.readError(err)
		case head.kind == kindPush:
			c.noteClosing(&head)
		case head.kind == kindError:
			return head, refusal{newError(head.bytes)}
		default:
			return head, nil
		}
	}
}
