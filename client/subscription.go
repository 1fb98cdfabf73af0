package client

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"
)

// Subscription listens to topics and patterns over a connection of its own, which it makes anew when it breaks. Its
// methods may be called from any goroutine.
type Subscription struct {
	client  *Client
	options Options
	names   names

	events chan Event // closed by run, behind the last one
	err    error      // why; set before events is closed

	ctx    context.Context
	cancel context.CancelFunc
	done   chan struct{} // closed when run has returned

	receiver receiver // run's alone, once Subscribe has returned
}

// Subscribe subscribes to all the names, and returns when the server has confirmed them: what is published after that is
// received. It fails if that cannot be done at once; ctx bounds it, and means nothing afterwards. The subscription is
// the caller's to close.
func (c *Client) Subscribe(ctx context.Context, all ...Name) (*Subscription, error) {
	n, err := newNames(all)
	if err != nil {
		return nil, err
	}
	s := &Subscription{
		client: c, options: c.options, names: n, events: make(chan Event, c.options.Buffer), done: make(chan struct{}),
	}
	s.options.Numbers = s.options.Numbers || n.predicates // it is how conch is known
	s.receiver = receiver{subscription: s}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	both, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	defer context.AfterFunc(c.ctx, func() { stop(ErrClosed) })()
	w, err := s.connect(both)
	if err == nil && !c.adopt(s, w) {
		_ = w.Close() // nothing was read from it
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

// adopt runs a subscription, which then ends with the client, unless that has ended already.
func (c *Client) adopt(s *Subscription, w *wire) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.subs == nil {
		return false
	}
	c.subs[s] = struct{}{}
	c.tasks.Go(func() { s.run(w) })
	return true
}

// Next returns the next event, and waits for it as long as ctx lasts. After the last one it returns why there are no
// more: ErrClosed after Close, or what the server answered when it would not take the subscription back (see Error). An
// error of ctx leaves everything as it was.
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

// All iterates over the events. The last pair has an error, that of Next, and no event. Breaking off leaves everything
// as it was: another loop goes on where this one stopped.
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

// Close ends the subscription. It returns when its goroutine has ended. What had been received can still be read. It
// returns nil, and may be called again.
func (s *Subscription) Close() error {
	s.cancel()
	<-s.done
	return nil
}

// run receives until the subscription is closed or refused. It owns the receiver and every connection.
func (s *Subscription) run(w *wire) {
	defer close(s.done)
	s.err = s.receive(w)
	close(s.events)
	s.client.mu.Lock()
	delete(s.client.subs, s) // nil when the client has been closed
	s.client.mu.Unlock()
	s.cancel()
}

// receive hands out what comes, over one connection after the other. It returns why there is no next one.
func (s *Subscription) receive(w *wire) error {
	attempts := 0
	for {
		since := time.Now()
		cause := s.listen(w)
		if s.ctx.Err() != nil || !s.emit(&Disconnected{Err: cause}) {
			return ErrClosed
		}
		if time.Since(since) > s.options.MaxBackoff {
			attempts = 0 // else it goes on: a server that takes us and drops us is not asked without pause
		}
		before := s.receiver.place
		var err error
		if w, err = s.reconnect(&attempts); err != nil {
			return err
		}
		if !s.emit(s.receiver.reconnected(cause, before)) {
			_ = w.Close() // listen would have
			return ErrClosed
		}
	}
}

// listen hands out what comes over one connection, until it ends; it returns why.
func (s *Subscription) listen(w *wire) error {
	defer context.AfterFunc(s.ctx, func() { _ = w.Close() })()
	defer func() { _ = w.Close() }() // what it says matters less than why
	for s.flush() {
		r, err := w.replies.read()
		if err != nil {
			return w.ended(err)
		}
		if _, err := s.receiver.digest(&r); err != nil {
			return err
		}
	}
	return ErrClosed
}

// flush hands out what the receiver has made of a reply. It waits for whoever reads the events, and tells whether it
// could.
func (s *Subscription) flush() bool {
	for _, e := range s.receiver.ready {
		if !s.emit(e) {
			return false
		}
	}
	s.receiver.handed()
	return true
}

func (s *Subscription) emit(e Event) bool {
	select {
	case s.events <- e:
		return true
	case <-s.ctx.Done():
		return false
	}
}

// reconnect tries until it can, is refused, or the subscription is closed.
func (s *Subscription) reconnect(attempts *int) (*wire, error) {
	for {
		pause := s.options.pause(*attempts)
		*attempts++
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-s.ctx.Done():
			timer.Stop()
			return nil, ErrClosed
		}
		w, err := s.connect(s.ctx)
		switch {
		case s.ctx.Err() != nil:
			if w != nil {
				_ = w.Close() // nobody will read from it
			}
			return nil, ErrClosed
		case err == nil:
			return w, nil
		case final(err):
			return nil, err
		}
	}
}

// pause is how long to wait before an attempt, counted from 0: a random time, so that the many who have lost one server
// do not all come back to it at once.
func (o *Options) pause(attempt int) time.Duration {
	longest := o.MaxBackoff
	if doubled := o.MinBackoff << min(attempt, 30); doubled>>min(attempt, 30) == o.MinBackoff {
		longest = min(longest, doubled)
	}
	return time.Duration(o.random(int64(longest) + 1))
}

// connect makes a connection that is subscribed to everything.
func (s *Subscription) connect(ctx context.Context) (*wire, error) {
	w, err := s.options.dial(ctx)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = w.Close() })
	err = s.join(w)
	if !stop() {
		err = context.Cause(ctx)
	}
	if err != nil {
		_ = w.Close() // why tells more
		return nil, fmt.Errorf("cannot subscribe: %w", err)
	}
	w.pulse.ping = func() error { return s.ping(w) }
	return w, nil
}

// join subscribes to all names, and waits for the confirmations. Messages may come before the last of them.
func (s *Subscription) join(w *wire) error {
	if s.names.predicates && w.foreign {
		return ErrNoPredicates
	}
	s.receiver.begin(w)
	for command, confirmations := range s.names.pieces {
		if err := s.await(w, command, confirmed, confirmations); err != nil {
			return err
		}
	}
	if w.numbered { // where in the one order are we now?
		if err := s.await(w, appendCommand(nil, "HELLO"), greeted, 1); err != nil {
			return err
		}
	}
	w.hurry(0)
	return nil
}

// await sends a command and receives up to the last of its answers.
func (s *Subscription) await(w *wire, command []byte, want outcome, answers int) error {
	w.hurry(s.options.DialTimeout)
	if _, err := w.Write(command); err != nil {
		return fmt.Errorf("cannot write: %w", err)
	}
	for answers > 0 {
		r, err := w.replies.read()
		if err != nil {
			return w.ended(err)
		}
		if r.kind == kindError {
			return refusal{newError(r.bytes)}
		}
		got, err := s.receiver.digest(&r)
		switch {
		case err != nil:
			return err
		case got == want:
			answers--
		case s.receiver.held > max(maxHeld, s.options.MaxMessage):
			return errors.New("too much came before the last confirmation")
		}
	}
	return nil
}

// maxHeld is about how many bytes of events may come between subscribing and the confirmations. They are handed out
// afterwards.
const maxHeld = 64 << 20

// ping is called by run's own goroutine, the only one that writes.
func (s *Subscription) ping(w *wire) error {
	_ = w.SetWriteDeadline(time.Now().Add(s.options.PingAfter)) // fails on a dead socket, and so will writing
	s.receiver.pings++
	_, err := w.Write(appendCommand(nil, "PING"))
	return err //nolint:wrapcheck // ended does
}
