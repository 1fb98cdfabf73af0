package client

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Client publishes over one connection, and makes subscriptions, each of which has a connection of its own: in RESP2 a
// subscribed connection cannot publish, and what a subscriber does not read must not hold up acknowledgements. All
// methods may be called from any goroutine.
type Client struct {
	options Options                 // with defaults
	ctx     context.Context         // ends with Close
	cancel  context.CancelCauseFunc // with ErrClosed
	tasks   sync.WaitGroup          // dialing, the goroutines of each pipeline, and the subscriptions

	mu       sync.Mutex // held for a few instructions at a time
	pipe     *pipeline  // publishes go over it; nil, or one that is broken, until the next publish
	dialing  *dialing   // nil while nobody dials
	lastDial time.Time  // when somebody last had
	subs     map[*Subscription]struct{}
}

// dialing is a connection in the making, for all who wait for it.
type dialing struct {
	done chan struct{} // closed when line and err are set
	pipe *pipeline
	err  error
}

// Dial connects to a server. It fails if that cannot be done at once: the address, the certificate or the password may
// be wrong. From then on, a connection that breaks is made anew by the next Publish.
func Dial(ctx context.Context, o Options) (*Client, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &Client{options: o, subs: map[*Subscription]struct{}{}}
	c.ctx, c.cancel = context.WithCancelCause(context.Background())
	if _, err := c.pipeline(ctx); err != nil {
		_ = c.Close() // there is nothing in it that could fail
		return nil, err
	}
	return c, nil
}

// DialURL is Dial with what ParseURL says.
func DialURL(ctx context.Context, url string) (*Client, error) {
	o, err := ParseURL(url)
	if err != nil {
		return nil, err
	}
	return Dial(ctx, o)
}

// Published is the acknowledgement of a message.
type Published struct {
	Receivers int    // subscriptions that it was queued to
	Sequence  uint64 // its place in the one order; 0 without numbers
}

// Publish publishes and waits for the acknowledgement. The payload is copied. Calls from several goroutines share the
// connection, and do not wait for each other; they take effect in some order, of which is known only that a call that
// has returned was before one that had not begun.
//
// An error that wraps ErrOutcomeUnknown says that the message may have been published: ctx ended or the connection broke
// when it was on its way. It is not sent again. With any other error it was not published; it is an *Error if the
// server refused it. A connection that broke is made anew by the next call: once, and at once, but for a random pause up to
// MinBackoff when the last attempt is not longer ago than that. How long to wait before calling again is the caller's to
// decide.
func (c *Client) Publish(ctx context.Context, topic string, payload []byte) (Published, error) {
	pipe, err := c.pipeline(ctx)
	if err != nil {
		return Published{}, err
	}
	return pipe.publish(ctx, topic, payload)
}

// HasSequences tells whether messages come and are acknowledged with numbers: that is asked for by Options.Sequences, and some
// servers have none. It speaks of the connection that was made last.
func (c *Client) HasSequences() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pipe != nil && c.pipe.conn.hasSeq
}

// Close ends the connection and all subscriptions. It returns when no goroutine of theirs is left. Calls of Publish that
// wait return an error. It returns nil, and may be called again.
func (c *Client) Close() error {
	c.cancel(ErrClosed)
	c.mu.Lock()
	pipe, subs := c.pipe, c.subs
	c.subs = nil // from now on, none is made
	c.mu.Unlock()
	if pipe != nil {
		pipe.fail(ErrClosed)
	}
	for s := range subs {
		s.cancel()
	}
	c.tasks.Wait()
	return nil
}

// pipeline returns the connection for publishing. If there is none that works, one goroutine dials for all who ask; its
// end by the ctx of one of them would be wrong for the others.
func (c *Client) pipeline(ctx context.Context) (*pipeline, error) {
	c.mu.Lock()
	if c.pipe != nil && !c.pipe.broken() {
		defer c.mu.Unlock()
		return c.pipe, nil
	}
	d, err := c.dialLocked()
	c.mu.Unlock()
	if err != nil {
		return nil, err
	}
	select {
	case <-d.done:
		return d.pipe, d.err
	case <-ctx.Done():
		return nil, fmt.Errorf("no connection yet: %w", ctx.Err())
	}
}

// dialLocked begins to dial, if nobody has. c.mu is held.
func (c *Client) dialLocked() (*dialing, error) {
	switch {
	case c.ctx.Err() != nil:
		return nil, ErrClosed
	case c.dialing != nil:
		return c.dialing, nil
	}
	d := &dialing{done: make(chan struct{})}
	soon := time.Since(c.lastDial) < c.options.MinBackoff
	c.dialing = d
	c.tasks.Go(func() { c.dial(d, soon) })
	return d, nil
}

// dial makes the connection, and runs it if it can; after a pause if that is soon after the last attempt, so that who
// publishes in a loop does not flood a server that is down.
func (c *Client) dial(d *dialing, soon bool) {
	if soon {
		select {
		case <-time.After(c.options.backoff(0)):
		case <-c.ctx.Done():
		}
	}
	conn, err := c.options.dial(c.ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	defer close(d.done)
	c.dialing, c.lastDial = nil, time.Now()
	switch {
	case c.ctx.Err() != nil:
		d.err = ErrClosed
	case err != nil:
		d.err = err
	}
	if d.err != nil {
		if conn != nil {
			_ = conn.Close() // it was never used
		}
		return
	}
	d.pipe = newPipeline(conn)
	c.pipe = d.pipe
	c.tasks.Go(d.pipe.write)
	c.tasks.Go(d.pipe.read)
}
