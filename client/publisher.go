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

// Publisher publishes over one connection or several, and knows of each message whether the server has acknowledged
// it. Any number of goroutines may use it.
//
// A publish returns when the message has been copied into the window of a connection, which takes them in turn. The
// order of what one goroutine publishes is kept by one connection, not between several, unless OrderedBy says so; a
// receiver that has numbers can restore the one order of all.
//
// When a connection breaks, what was in flight on it has an unknown fate and is never sent again. The publisher stops
// as a whole: the other connections have PublisherOptions.Grace to get their acknowledgements, nothing more is taken,
// and Unacked hands back all messages that are not acknowledged. With KeepGoing it goes on with the connections that
// are left. No connection is made anew; make another Publisher.
//
// The same holds for a connection that acknowledges nothing for twice Options.PingAfter while messages are in flight, or that
// says what nobody asked for. Without numbers, a server that acknowledges one message twice is only found out at the
// end of what is in flight; with them at once.
type Publisher struct {
	conns     []*pubConn
	keepGoing bool
	grace     time.Duration
	seed      maphash.Seed

	nextConn atomic.Uint64 // of the connections
	ordinals atomic.Uint64 // messages taken by all connections
	closing  atomic.Bool
	firstErr atomic.Pointer[error] // why a connection broke first
	halted   chan struct{}         // closed when the connections are to be drained
	halt     func()                // closes it, once
	tasks    sync.WaitGroup        // the connections, and who drains them
}

// NewPublisher connects. ctx bounds that alone. It fails unless all connections are there.
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
				_ = c.Close() // nothing was sent
			}
		}
		return nil, err
	}
	return startPublisher(conns, 2*max(0, o.PingAfter), po), nil
}

// startPublisher runs a publisher over connections that have been greeted.
func startPublisher(conns []*conn, ackTimeout time.Duration, po PublisherOptions) *Publisher {
	p := &Publisher{keepGoing: po.KeepGoing, grace: po.Grace, seed: maphash.MakeSeed(), halted: make(chan struct{})}
	p.halt = sync.OnceFunc(func() { close(p.halted) })
	for i, conn := range conns {
		c := newPubConn(conn, newAckWindow(i, po.Window, po.WindowBytes), ackTimeout, po.Grace, p.connBroken)
		p.conns = append(p.conns, c)
	}
	for _, c := range p.conns {
		p.tasks.Go(c.run)
	}
	p.tasks.Go(func() {
		<-p.halted
		p.drain()
	})
	return p
}

// Publish gives one message to a connection, and returns at once unless its window is full. Then it waits until there
// is room; if ctx ends before, the message was not published. An error other than that of ctx is the one with which the
// first connection broke, ErrClosed, or wraps ErrBacklog.
func (p *Publisher) Publish(
	ctx context.Context, topic string, payload []byte, options ...PublishOption,
) (MessageID, error) {
	records, ids := [1]Record{{topic, payload}}, [1]MessageID{}
	_, err := p.publish(ctx, records[:], ids[:], options)
	return ids[0], err
}

// PublishBatch is Publish for many, which all go over the same connection, in order; with KeepGoing, those behind the
// break go over another one. After an error, the messages of the ids that are returned were taken, and those behind them
// were not.
func (p *Publisher) PublishBatch(ctx context.Context, batch []Record, options ...PublishOption) ([]MessageID, error) {
	ids := make([]MessageID, len(batch))
	n, err := p.publish(ctx, batch, ids, options)
	return ids[:n], err
}

func (p *Publisher) publish(
	ctx context.Context, records []Record, ids []MessageID, options []PublishOption,
) (done int, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err //nolint:wrapcheck // the caller's own
	}
	key, ordered := keyOf(options)
	at := p.pickConn(key, ordered)
	for tries := 0; done < len(records); {
		if p.stopped() || tries == 2*len(p.conns) {
			return done, p.stopErr()
		}
		first, n, err := p.conns[at].publish(ctx, &p.ordinals, records[done:])
		for i := range n {
			ids[done+i] = newMessageID(at, first+uint64(i))
		}
		done += n
		switch {
		case errors.Is(err, errConnClosed):
			tries++
			if ordered || tries >= len(p.conns) { // surely comes to each
				at = (at + 1) % len(p.conns)
			} else { // those that are left share the turns of those that are not
				at = p.pickConn(key, false)
			}
		case err != nil:
			return done, err
		}
	}
	return done, nil
}

// pickConn is the connection of a key, or the one whose turn it is.
func (p *Publisher) pickConn(key string, ordered bool) int {
	n := uint64(len(p.conns))
	if ordered {
		return int(maphash.String(p.seed, key) % n)
	}
	return int(p.nextConn.Add(1) % n)
}

// Wait waits until the server has acknowledged a message, and returns the acknowledgement. Of a message that is more
// than two windows of its connection ago it knows no more than that: then the number is 0 and the receivers are -1. The
// error is that of ctx, or says why the message is not acknowledged, as Unacked does: it wraps ErrOutcomeUnknown or is the
// *Error of the server, or ErrRefused when that message is so long ago. It is ErrExpired where even that is not known any
// more: on a connection of which Unacked has handed back more than 65,536 refused messages, for those up to the last one
// that is not remembered. An id that this publisher has not given is refused with ErrInvalidOption where that can be seen;
// one of another publisher may be taken for its own.
func (p *Publisher) Wait(ctx context.Context, id MessageID) (Published, error) {
	if id.connection() >= len(p.conns) {
		return Published{}, invalidOption("not an id of this publisher")
	}
	return p.conns[id.connection()].wait(ctx, id.count())
}

// Flush waits until all messages published so far are acknowledged. The error is that of ctx, or says why a message is
// not that Unacked has not handed back yet.
func (p *Publisher) Flush(ctx context.Context) error {
	for _, c := range p.conns {
		if err := c.flush(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Err is why the first connection broke that did, or nil.
func (p *Publisher) Err() error {
	if first := p.firstErr.Load(); first != nil {
		return *first
	}
	return nil
}

// Unacked hands back the messages that are not acknowledged, in the order of publishing, each once: a second call
// returns those that have come since. Of a publisher that works, that is what the server has refused; what is in flight
// is none of it, because its fate is open. When a connection has broken, Unacked waits until it is decided, at most for
// PublisherOptions.Grace. What could not be sent at all is returned as well.
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

// Close takes no more messages, waits for the acknowledgement of those in flight, at most for PublisherOptions.Grace,
// and closes the connections. The error says why a message is not acknowledged that Unacked has not handed back yet;
// Unacked works after Close.
func (p *Publisher) Close() error {
	p.closing.Store(true)
	p.halt()
	p.tasks.Wait()
	return p.Flush(context.Background())
}

// stopped tells whether nothing more is taken.
func (p *Publisher) stopped() bool {
	return p.closing.Load() || !p.keepGoing && p.firstErr.Load() != nil
}

// stopErr is why nothing more is taken.
func (p *Publisher) stopErr() error {
	if err := p.Err(); err != nil {
		return fmt.Errorf("the publisher has stopped: %w", err)
	}
	return ErrClosed
}

// connBroken keeps the first cause. A pubConn calls it, holding its lock.
func (p *Publisher) connBroken(cause error) {
	p.firstErr.CompareAndSwap(nil, &cause)
	if !p.keepGoing {
		p.halt()
	}
}

// drain closes all connections that still work, once they have their acknowledgements.
func (p *Publisher) drain() {
	deadline := time.Now().Add(p.grace)
	for _, c := range p.conns {
		c.drain(deadline)
	}
}
