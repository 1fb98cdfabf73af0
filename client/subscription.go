package client

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"
)

// Subscription receives the messages of topics and patterns over a connection of its own, and reconnects when that
// breaks. Its methods may be called from any goroutine.
type Subscription struct {
	client  *Client
	options Options

	events chan Event    // closed by run after the last event
	wake   chan struct{} // capacity 1; sent to when changing grows

	mu        sync.Mutex      // guards the fields below; never held across a blocking call
	names     nameSet         // confirmed, or to be subscribed at the next connection
	starts    map[Name]string // positions of names that no connection has confirmed
	live      *conn           // subscribed to all names; nil while there is none
	sentNames map[Name]Name   // names that live has with a position: as they are there
	pending   *pendingCommand // on live
	changing  int             // calls of Add and Remove under way
	err       error           // of Next, after the last event; set before events is closed

	ctx    context.Context
	cancel context.CancelFunc
	done   chan struct{} // closed when run returns

	receiver receiver // owned by run once Subscribe has returned
}

// Subscribe subscribes to all names and returns when the server has confirmed them: messages published after that are
// received. It does not retry; ctx bounds it and has no effect afterwards. The caller closes the subscription.
func (c *Client) Subscribe(ctx context.Context, all ...Name) (*Subscription, error) {
	if len(all) == 0 {
		return nil, invalidOption("nothing to subscribe to")
	}
	n, starts, err := checkNames(all)
	if err != nil {
		return nil, err
	}
	s := &Subscription{
		client: c, options: c.options, names: newNameSet(n...), starts: starts, events: make(chan Event, c.options.Buffer),
		wake: make(chan struct{}, 1), done: make(chan struct{}),
	}
	s.options.Sequences = s.options.Sequences || hasPredicate(n) || len(starts) > 0 // the epoch shows that the server is conch
	s.receiver = receiver{subscription: s}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	both, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	defer context.AfterFunc(c.ctx, func() { stop(ErrClosed) })()
	conn, err := s.connect(both)
	if err == nil && !c.register(s, conn) {
		_ = conn.Close() // no event was delivered from it
		err = ErrClosed
	}
	if err != nil {
		s.cancel()
		if c.ctx.Err() != nil {
			err = ErrClosed
		}
		return nil, err
	}
	return s, nil
}

// register starts a subscription, which ends with the client. It returns false if the client is closed.
func (c *Client) register(s *Subscription, conn *conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.subs == nil {
		return false
	}
	c.subs[s] = struct{}{}
	c.tasks.Go(func() { s.run(conn) })
	return true
}

// Next returns the next event, and waits for it until ctx ends. After the last event it returns why there are no more:
// ErrClosed after Close, or the refusal of the server (see Error). An error of ctx changes nothing: Next can be called
// again.
func (s *Subscription) Next(ctx context.Context) (Event, error) {
	select {
	case e, ok := <-s.events:
		if !ok {
			return nil, s.err
		}
		return e, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("no event: %w", ctx.Err())
	}
}

// All iterates over the events. The last pair has the error of Next and no event. A loop that breaks off loses nothing:
// another one continues at the same place.
func (s *Subscription) All(ctx context.Context) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		for {
			e, err := s.Next(ctx)
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// Messages iterates over the messages alone, and passes over all other events: losses and reconnects go unnoticed. The
// last pair has the error of Next and no message. A loop that breaks off loses no message: another one continues at the
// same place.
func (s *Subscription) Messages(ctx context.Context) iter.Seq2[*Message, error] {
	return func(yield func(*Message, error) bool) {
		for e, err := range s.All(ctx) {
			m, ok := e.(*Message)
			if (ok || err != nil) && !yield(m, err) {
				return
			}
		}
	}
}

// Close ends the subscription and returns when its goroutine has ended. Events received before can still be read. Close
// returns nil, and may be called again.
func (s *Subscription) Close() error {
	s.cancel()
	<-s.done
	return nil
}

// run receives until the subscription is closed or refused. It owns the receiver and every connection.
func (s *Subscription) run(c *conn) {
	defer close(s.done)
	err := s.receive(c)
	s.mu.Lock()
	s.err = err
	s.mu.Unlock()
	s.cancel() // Add and Remove return the error from now on
	close(s.events)
	s.client.mu.Lock()
	delete(s.client.subs, s) // nil after Client.Close
	s.client.mu.Unlock()
}

// receive delivers events over one connection after the other. It returns why there is no next one.
func (s *Subscription) receive(c *conn) error {
	attempts := 0
	for {
		since := time.Now()
		cause := s.readLoop(c)
		s.receiver.ready = append(s.receiver.ready, &Disconnected{Err: cause})
		if s.ctx.Err() != nil || !s.deliver() { // it blocks, because no connection is live
			return ErrClosed
		}
		if errors.Is(cause, ErrTakenOver) {
			return cause
		}
		if time.Since(since) > s.options.MaxBackoff {
			attempts = 0 // a server that accepts and drops at once is retried with growing pauses
		}
		names := s.receiver.names()
		s.receiver.past = s.receiver.snapshot()
		var err error
		if c, err = s.reconnect(&attempts); err != nil {
			return err
		}
		events := []Event{s.receiver.reconnected(cause)}
		if e := s.receiver.namesChanged(names); e != nil {
			events = append([]Event{e}, events...)
		}
		s.receiver.ready = append(events, s.receiver.ready...)
	}
}

// readLoop delivers the events of one connection until that ends, and returns why.
func (s *Subscription) readLoop(c *conn) error {
	defer context.AfterFunc(s.ctx, func() { _ = c.Close() })()
	err := s.readEvents(c)
	if s.ctx.Err() == nil {
		c.leave()
	}
	s.goOffline()
	_ = c.Close() // err matters more than the error of Close
	if !s.deliver() {
		return ErrClosed
	}
	return err
}

func (s *Subscription) readEvents(c *conn) error {
	for s.deliver() {
		r, err := c.replies.read()
		if err != nil {
			return c.readError(err)
		}
		if _, err := s.receiver.handle(&r); err != nil {
			return err
		}
	}
	return ErrClosed
}

// deliver hands the receiver's events to the reader of the subscription, and blocks until all are taken, or a caller of
// Add or Remove waits for a reply that is behind them. It returns false if the subscription is closed.
func (s *Subscription) deliver() bool {
	rc := &s.receiver
	for ; rc.delivered < len(rc.ready); rc.delivered++ {
		sent, closed := s.emit(rc.ready[rc.delivered])
		if !sent {
			return !closed
		}
	}
	rc.clear()
	return true
}

// emit sends one event. It gives up when the subscription is closed or a reply must be read first.
func (s *Subscription) emit(e Event) (sent, closed bool) {
	for {
		select {
		case s.events <- e:
			return true, false
		case <-s.ctx.Done():
			return false, true
		default:
		}
		if s.mustRead() {
			return false, false
		}
		select {
		case s.events <- e:
			return true, false
		case <-s.ctx.Done():
			return false, true
		case <-s.wake:
		}
	}
}

// mustRead reports whether a caller waits for a reply, which may be behind events that it has to read itself.
func (s *Subscription) mustRead() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changing > 0 && s.live != nil && !s.bufferExceeded()
}

// reconnect retries until it succeeds, the server refuses, or the subscription is closed.
func (s *Subscription) reconnect(attempts *int) (*conn, error) {
	for {
		backoff := s.options.backoff(*attempts)
		*attempts++
		timer := time.NewTimer(backoff)
		select {
		case <-timer.C:
		case <-s.ctx.Done():
			timer.Stop()
			return nil, ErrClosed
		}
		c, err := s.connect(s.ctx)
		switch {
		case s.ctx.Err() != nil:
			if c != nil {
				_ = c.Close() // it is not used
			}
			return nil, ErrClosed
		case err == nil:
			return c, nil
		case isPermanent(err):
			return nil, err
		}
	}
}

// backoff returns how long to wait before an attempt, counted from 0. The time is random, so that the clients of a lost
// server do not all return at once.
func (o *Options) backoff(attempt int) time.Duration {
	limit := o.MaxBackoff
	if doubled := o.MinBackoff << min(attempt, 30); doubled>>min(attempt, 30) == o.MinBackoff {
		limit = min(limit, doubled)
	}
	return time.Duration(o.random(int64(limit) + 1))
}

// connect makes a connection that is subscribed to all names.
func (s *Subscription) connect(ctx context.Context) (*conn, error) {
	c, err := s.options.dial(ctx)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	err = s.subscribeAll(c)
	if !stop() {
		err = context.Cause(ctx)
	}
	if err != nil {
		if ctx.Err() == nil {
			c.leave()
		}
		s.goOffline()
		_ = c.Close() // err matters more than the error of Close
		return nil, fmt.Errorf("cannot subscribe: %w", err)
	}
	return c, nil
}

// subscribeAll subscribes to all names and waits for the confirmations. Messages may arrive before the last of them. When
// it returns, the connection is live.
func (s *Subscription) subscribeAll(c *conn) error {
	s.receiver.reset(c)
	s.receiver.connecting = true
	for final := false; ; final = true {
		if final {
			c.setTimeout(0) // before another goroutine may write
		}
		added, removed := s.difference(final)
		if final && len(added)+len(removed) == 0 {
			s.receiver.connecting = false
			c.pings.sendPing = func() error { return s.ping(c) }
			return nil
		}
		if err := s.subscribe(c, added, removed); err != nil {
			return err
		}
	}
}

// subscribe adds and removes names before the connection is live.
func (s *Subscription) subscribe(c *conn, added, removed []Name) error {
	starts := s.currentStarts()
	if err := c.supports(added, starts); err != nil {
		return err
	}
	resumed, begun, plain := s.receiver.place(added, starts)
	refused, err := s.subscribePlaced(c, resumed)
	if err != nil && !errors.As(err, new(refusal)) || isUnready(err) { // without the position a server that is ready by now would lose messages
		return err
	}
	if len(refused) > 0 { // the user may lack the right to a topic as a pattern
		s.receiver.resumed = false
		plain = append(plain, refused...)
	}
	if _, err := s.subscribePlaced(c, begun); err != nil {
		return err
	}
	s.receiver.addNames(plain)
	if err := s.sendAll(c, true, plain); err != nil {
		return err
	}
	sentNames, have := slices.Clone(removed), s.receiver.sentNames()
	for i, n := range removed {
		if sentAs, ok := have[n]; ok {
			sentNames[i] = sentAs
		}
	}
	if err := s.sendAll(c, false, sentNames); err != nil {
		return err
	}
	s.receiver.discard(removed)
	s.receiver.removeNames(sentNames)
	// HELLO returns the current sequence. A resume does without: its reply would stand behind much of what is replayed, and
	// a connection that breaks before it would have got nowhere.
	if c.hasSeq && (!s.receiver.resumed || len(plain)+len(removed) > 0) {
		return s.roundTrip(c, appendCommand(nil, "HELLO"), replyHello, 1)
	}
	return nil
}

// sendAll adds or removes names as they are on the wire.
func (s *Subscription) sendAll(c *conn, add bool, sentNames []Name) error {
	for len(sentNames) > 0 {
		command, taken, rest := nextCommand(add, sentNames)
		if err := s.roundTrip(c, command, replyConfirmation, len(taken)); err != nil {
			return err
		}
		sentNames = rest
	}
	return nil
}

// subscribePlaced subscribes to names from their positions, with as few commands as possible: the server replays to the
// names of one command in one order. With a refusal it returns the names of that command and those behind it.
func (s *Subscription) subscribePlaced(c *conn, names []placed) (refused []Name, err error) {
	for len(names) > 0 {
		some := commandOf(names)
		sentNames := s.receiver.addPlaced(some)
		args := []string{"PSUBSCRIBE"}
		for _, sentAs := range sentNames {
			args = append(args, sentAs.text)
		}
		if err := s.roundTrip(c, appendCommand(nil, args...), replyConfirmation, len(sentNames)); err != nil {
			s.receiver.removeNames(sentNames)
			for _, n := range names {
				refused = append(refused, n.name)
			}
			return refused, err
		}
		names = names[len(some):]
	}
	return nil, nil
}

// roundTrip sends a command and receives up to the last of its replies.
func (s *Subscription) roundTrip(c *conn, command []byte, want replyKind, answers int) error {
	c.setTimeout(s.options.DialTimeout)
	if _, err := c.Write(command); err != nil {
		return fmt.Errorf("cannot write: %w", err)
	}
	for answers > 0 {
		r, err := c.replies.read()
		if err != nil {
			return c.readError(err)
		}
		if r.kind == kindError {
			return refusal{newError(r.bytes)}
		}
		got, err := s.receiver.handle(&r)
		switch {
		case err != nil:
			return err
		case got == want:
			answers--
		case s.bufferExceeded():
			return errors.New("too many messages before the last confirmation")
		}
	}
	return nil
}

// maxBufferedBytes bounds, roughly, the events received between a command and its last reply.
const maxBufferedBytes = 64 << 20

// currentStarts returns the positions of names that no connection has confirmed.
func (s *Subscription) currentStarts() map[Name]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.starts)
}

// currentNames returns the names of the subscription.
func (s *Subscription) currentNames() []Name {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.names.list()
}

func (s *Subscription) bufferExceeded() bool {
	return s.receiver.bufferedBytes > max(maxBufferedBytes, s.options.MaxMessage)
}
