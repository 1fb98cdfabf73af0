package client

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// Client publishes and appends over one connection, and makes subscriptions with a connection each. In RESP2 a subscribed
// connection cannot publish, and a slow subscriber must not delay acknowledgements. All methods may be called from any
// goroutine.
type Client struct {
	options Options                 // with defaults
	ctx     context.Context         // ends with Close
	cancel  context.CancelCauseFunc // with ErrClosed
	tasks   sync.WaitGroup          // dial attempts, the goroutines of pipelines and subscriptions

	mu       sync.Mutex             // guards the fields below; never held across a blocking call
	pipe     *pipeline              // for publishing and appending; nil or unusable until the next call
	pipes    map[*pipeline]struct{} // pipe, and those before it that wait for replies
	dialing  *dialing               // nil if no attempt is under way
	lastDial time.Time              // end of the last attempt
	subs     map[*Subscription]struct{}
}

// dialing is a connection attempt shared by all callers that wait for it.
type dialing struct {
	done chan struct{} // closed when pipe and err are set
	pipe *pipeline
	err  error
}

// Dial connects to a server. It fails if the first attempt fails, because the address, the certificate or the password
// may be wrong. Afterwards, Publish replaces a connection that breaks.
func Dial(ctx context.Context, o Options) (*Client, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &Client{options: o, pipes: map[*pipeline]struct{}{}, subs: map[*Subscription]struct{}{}}
	c.ctx, c.cancel = context.WithCancelCause(context.Background())
	if _, err := c.pipeline(ctx); err != nil {
		_ = c.Close() // always nil
		return nil, err
	}
	return c, nil
}

// DialURL is Dial with the options of ParseURL.
func DialURL(ctx context.Context, url string) (*Client, error) {
	o, err := ParseURL(url)
	if err != nil {
		return nil, err
	}
	return Dial(ctx, o)
}

// Published is the acknowledgement of a message.
type Published struct {
	Receivers int    // subscriptions that the message was queued to
	Sequence  uint64 // 0 without sequence numbers
}

// Publish publishes a message and waits for the acknowledgement. The payload is copied. Calls from several goroutines
// share the connection without waiting for each other. A call that has returned is ordered before one that begins
// later; the order of concurrent calls is undefined.
//
// An error that wraps ErrOutcomeUnknown means that the message may have been published: ctx ended or the connection
// broke after it was sent. It is not sent again. With any other error it was not published; an *Error is a refusal by
// the server.
//
// The next call replaces a broken connection. It makes one attempt, at once, or after a random pause up to MinBackoff
// if the last attempt was less than that ago. The caller decides how long to wait before calling again.
func (c *Client) Publish(ctx context.Context, topic string, payload []byte) (Published, error) {
	pipe, err := c.pipeline(ctx)
	if err != nil {
		return Published{}, err
	}
	return pipe.publish(ctx, topic, payload)
}

// HasSequences reports whether messages and acknowledgements carry sequence numbers. Options.Sequences requests them,
// and some servers have none. The result describes the latest connection.
func (c *Client) HasSequences() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pipe != nil && c.pipe.conn.hasSeq
}

// Close ends the connection and all subscriptions, and returns when their goroutines have ended. Waiting calls of
// Publish return an error. Close returns nil, and may be called again.
func (c *Client) Close() error {
	c.cancel(ErrClosed)
	c.mu.Lock()
	pipes, subs := slices.Collect(maps.Keys(c.pipes)), c.subs
	c.subs = nil // register fails from now on
	c.mu.Unlock()
	for _, pipe := range pipes {
		pipe.fail(ErrClosed)
	}
	for s := range subs {
		s.cancel()
	}
	c.tasks.Wait()
	return nil
}

// pipeline returns the connection for publishing. If there is none, one goroutine dials for all callers. The ctx of a
// single caller does not end the attempt, because others wait for it.
func (c *Client) pipeline(ctx context.Context) (*pipeline, error) {
	c.mu.Lock()
	if c.pipe != nil && !c.pipe.unusable() {
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

// dialLocked returns the current connection attempt, or starts one. c.mu is held.
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

// dial makes the connection and starts it. After a recent attempt it pauses first, so that a loop of publishes does not
// flood a server that is down.
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
			_ = conn.Close() // it is not used
		}
		return
	}
	d.pipe = newPipeline(conn)
	c.pipe = d.pipe
	c.pipes[d.pipe] = struct{}{}
	c.tasks.Go(d.pipe.write)
	c.tasks.Go(func() { c.read(d.pipe) })
}

// read is the reader of a pipeline.
func (c *Client) read(p *pipeline) {
	p.read()
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.pipes, p)
}
