package client

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"
)

// Publisher publishes over one connection or several, and keeps the state of each message until it is acknowledged. Any
// number of goroutines may use it.
//
// Publish returns when the message is copied into the window of a connection; the connections take turns. One
// connection keeps the order of what one goroutine publishes. Several do not, unless OrderedBy is used; receivers can
// restore the order by sequence number.
//
// When a connection breaks, the outcome of its messages in flight is unknown, and they are never sent again. The whole
// publisher then stops: the other connections have PublisherOptions.Grace for their acknowledgements, nothing more is
// accepted, and Unacked returns all unacknowledged messages. With KeepGoing it continues with the remaining
// connections. With Reconnect it replaces the broken one, and the account goes on: ids stay valid, and Unacked returns
// what was in flight. While no connection is up, Publish waits. It stops when the server refuses, such as a password.
//
// A connection also breaks if it acknowledges nothing for twice Options.PingAfter while messages are in flight, or if
// it sends an unexpected reply. A second acknowledgement of one message is detected at once with sequence numbers;
// without them, only when nothing else is in flight.
type Publisher struct {
	conns     []*pubConn
	options   Options // with defaults
	keepGoing bool
	reconnect bool
	grace     time.Duration
	seed      maphash.Seed

	nextConn atomic.Uint64 // picks the connection
	ordinals atomic.Uint64 // of messages, over all connections
	closing  atomic.Bool
	firstErr atomic.Pointer[error] // cause of the first break, or the refusal that stopped the publisher
	refused  atomic.Bool           // a connection could not be replaced
	ctx      context.Context       // ends when the connections must drain
	halt     context.CancelFunc    // ends ctx
	tasks    sync.WaitGroup        // the connections, and the goroutine that drains them

	mu      sync.Mutex
	resumed chan struct{} // closed, and replaced, when a connection is; guarded by mu
}

// NewPublisher connects; ctx bounds nothing else. It fails if any of the connections fails.
func NewPublisher(ctx context.Context, o Options, po PublisherOptions) (*Publisher, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	po, err = po.withDefaults()
	if err != nil {
		return nil, err
	}
	conns := make([]*conn, po.Connections)
	failures := make([]error, po.Connections)
	var dials sync.WaitGroup
	for i := range conns {
		dials.Go(func() { conns[i], failures[i] = o.dial(ctx) })
	}
	dials.Wait()
	for _, err := range failures {
		if err == nil {
			continue
		}
		for _, c := range conns {
			if c != nil {
				_ = c.Close() // nothing was published
			}
		}
		return nil, err
	}
	return startPublisher(conns, o, po), nil
}

// NewPublisherURL is NewPublisher with the options of ParseURL.
func NewPublisherURL(ctx context.Context, url string, po PublisherOptions) (*Publisher, error) {
	o, err := ParseURL(url)
	if err != nil {
		return nil, err
	}
	return NewPublisher(ctx, o, po)
}

// startPublisher starts a publisher over connections after their handshake.
func startPublisher(conns []*conn, o Options, po PublisherOptions) *Publisher {
	p := &Publisher{
		options: o, keepGoing: po.KeepGoing || po.Reconnect, reconnect: po.Reconnect, grace: po.Grace,
		seed: maphash.MakeSeed(), resumed: make(chan struct{}),
	}
	p.ctx, p.halt = context.WithCancel(context.Background())
	for i, conn := range conns {
		window := newAckWindow(i, po.Window, po.WindowBytes)
		c := newPubConn(conn, window, 2*max(0, o.PingAfter), po.Grace, p.connBroken)
		if p.reconnect {
			c.redial, c.onResumed = p.newRedial(), p.connResumed
		}
		p.conns = append(p.conns, c)
	}
	for _, c := range p.conns {
		p.tasks.Go(c.run)
	}
	p.tasks.Go(func() {
		<-p.ctx.Done()
		p.drain()
	})
	return p
}

// Publish appends one message to the window of a connection. It waits only while the window is full; if ctx ends first,
// the message was not published. Any other error is the cause of the first broken connection, ErrClosed, or wraps
// ErrBacklog.
func (p *Publisher) Publish(
	ctx context.Context, topic string, payload []byte, options ...PublishOption,
) (MessageID, error) {
	records, ids := [1]Record{{topic, payload}}, [1]MessageID{}
	_, err := p.publish(ctx, records[:], ids[:], options)
	return ids[0], err
}

// PublishBatch is Publish for many records, which go over one connection in order; with KeepGoing, the rest continues
// on another one after a break. After an error, the records of the returned ids were accepted and the others were not.
func (p *Publisher) PublishBatch(ctx context.Context, batch []Record, options ...PublishOption) ([]MessageID, error) {
	ids := make([]MessageID, len(batch))
	n, err := p.publish(ctx, batch, ids, options)
	return ids[:n], err
}

func (p *Publisher) publish(
	ctx context.Context, records []Record, ids []MessageID, options []PublishOption,
) (done int, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err //nolint:wrapcheck // the error of the caller's ctx
	}
	key, ordered := keyOf(options)
	at := p.pickConn(key, ordered)
	var resumed <-chan struct{} // of p, as it was before the last round over the connections
	for tries := 0; done < len(records); {
		if p.stopped() || !p.reconnect && tries == 2*len(p.conns) {
			return done, p.stopErr()
		}
		first, n, err := p.conns[at].publish(ctx, &p.ordinals, records[done:])
		for i := range n {
			ids[done+i] = newMessageID(at, first+uint64(i))
		}
		done += n
		switch {
		case errors.Is(err, errConnClosed) && resumed != nil && (ordered || tries >= len(p.conns)): // none is up
			if err := p.awaitResumed(ctx, resumed); err != nil {
				return done, err
			}
			resumed, tries = nil, 0
		case errors.Is(err, errConnClosed):
			tries++
			if p.reconnect && resumed == nil {
				resumed, tries = p.resumedNow(), 0
			}
			switch {
			case ordered && p.reconnect: // waits for its own connection
			case ordered || tries >= len(p.conns) || p.reconnect: // visits each connection
				at = (at + 1) % len(p.conns)
			default: // the remaining connections share the turns of a broken one
				at = p.pickConn(key, false)
			}
		case err != nil:
			return done, err
		}
	}
	return done, nil
}

// pickConn returns the connection of a key, or the next one in turn.
func (p *Publisher) pickConn(key string, ordered bool) int {
	n := uint64(len(p.conns))
	if ordered {
		return int(maphash.String(p.seed, key) % n)
	}
	return int(p.nextConn.Add(1) % n)
}

// Wait waits until a message is acknowledged, and returns the acknowledgement. Details are kept for two windows per
// connection; for older acknowledged messages Sequence is 0 and Receivers -1.
//
// The error is that of ctx, or the cause as in Unacked: it wraps ErrOutcomeUnknown or is the *Error of the server.
// ErrRefused replaces the *Error of an old message. ErrExpired means that not even that is known: each connection keeps
// the ids of 65,536 refused messages that Unacked has returned.
//
// An id of another publisher is refused with ErrInvalidOption if it is out of range; otherwise it is taken for one of
// this publisher.
func (p *Publisher) Wait(ctx context.Context, id MessageID) (Published, error) {
	if id.connection() >= len(p.conns) {
		return Published{}, invalidOption("not an id of this publisher")
	}
	return p.conns[id.connection()].wait(ctx, id.count())
}

// Flush waits until all messages published so far are acknowledged. The error is that of ctx, or the cause of an
// unacknowledged message that Unacked has not returned.
func (p *Publisher) Flush(ctx context.Context) error {
	for _, c := range p.conns {
		if err := c.flush(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Err returns the cause of the first broken connection, or nil. With Reconnect, it returns the refusal once the server
// has refused a connection.
func (p *Publisher) Err() error {
	if first := p.firstErr.Load(); first != nil {
		return *first
	}
	return nil
}

// Unacked returns the unacknowledged messages in the order of publishing, each once: a second call returns only later
// ones. While the publisher works, these are the refused messages; messages in flight are not included.
//
// After a break, Unacked waits for the other connections, at most for PublisherOptions.Grace. It returns unsent
// messages too.
func (p *Publisher) Unacked() []Unacked {
	if p.stopped() {
		p.drain()
	}
	var all []unacked
	for _, c := range p.conns {
		all = append(all, c.takeUnacked()...)
	}
	return sortUnacked(all)
}

// Close accepts no more messages, waits for the acknowledgements of those in flight, at most for
// PublisherOptions.Grace, and closes the connections. The error is the cause of an unacknowledged message that Unacked
// has not returned. Unacked works after Close.
func (p *Publisher) Close() error {
	p.closing.Store(true)
	p.halt()
	p.tasks.Wait()
	return p.Flush(context.Background())
}

// stopped reports whether the publisher accepts no more messages.
func (p *Publisher) stopped() bool {
	return p.closing.Load() || !p.keepGoing && p.firstErr.Load() != nil || p.refused.Load()
}

// stopErr returns why the publisher accepts no more messages.
func (p *Publisher) stopErr() error {
	if err := p.Err(); err != nil && (!p.reconnect || p.refused.Load()) {
		return fmt.Errorf("the publisher has stopped: %w", err)
	}
	return ErrClosed
}

// connBroken keeps the first cause. A pubConn calls it with its mu held.
func (p *Publisher) connBroken(cause error) {
	p.firstErr.CompareAndSwap(nil, &cause)
	if !p.keepGoing {
		p.halt()
	}
}

// drain closes all working connections once their messages are acknowledged.
func (p *Publisher) drain() {
	deadline := time.Now().Add(p.grace)
	for _, c := range p.conns {
		c.drain(deadline)
	}
}
