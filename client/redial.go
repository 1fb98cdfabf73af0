package client

import (
	"context"
	"time"
)

// newRedial returns the function with which one pubConn replaces its connection. It retries until it succeeds; it
// returns nil when the publisher has stopped or the server refuses, which stops the publisher.
func (p *Publisher) newRedial() func() *conn {
	attempts, last := 0, time.Now()
	return func() *conn {
		if time.Since(last) > p.options.MaxBackoff {
			attempts = 0 // a server that accepts and drops at once is retried with growing pauses
		}
		for {
			timer := time.NewTimer(p.options.backoff(attempts))
			attempts++
			select {
			case <-timer.C:
			case <-p.ctx.Done():
				timer.Stop()
				return nil
			}
			conn, err := p.options.dial(p.ctx)
			switch last = time.Now(); {
			case err == nil:
				return conn
			case isPermanent(err):
				p.firstErr.Store(&err)
				p.refused.Store(true)
				p.halt()
				return nil
			}
		}
	}
}

// resumedNow returns the channel that is closed when the next connection is replaced.
func (p *Publisher) resumedNow() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.resumed
}

// connResumed wakes the calls of Publish that wait for a connection. If the publisher has stopped meanwhile, its drain
// may have come before the new connection, and is repeated.
func (p *Publisher) connResumed() {
	if p.ctx.Err() != nil {
		p.drain()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.resumed)
	p.resumed = make(chan struct{})
}

// awaitResumed waits until a connection is replaced or the publisher has stopped.
func (p *Publisher) awaitResumed(ctx context.Context, resumed <-chan struct{}) error {
	select {
	case <-resumed:
	case <-p.ctx.Done():
	case <-ctx.Done():
		return ctx.Err() //nolint:wrapcheck // the error of the caller's ctx
	}
	return nil
}
