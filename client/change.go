package client

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// pendingCommand is a command that has no reply yet, on a live connection. There is one at most, so each reply belongs to
// it.
type pendingCommand struct {
	ping  bool
	add   bool          // otherwise, the names are removed
	names map[Name]Name // not confirmed yet, by their name on the wire; owned, with confirmed, by run
	// confirmed are the names that take effect with the last reply.
	confirmed []Name

	done chan struct{} // closed when the command is answered or its connection is lost
	err  error         // a refusal; set before done is closed
}

// Add subscribes to more names and returns when the server has confirmed them: messages published after that are
// received. Names that the subscription has already are passed over. A NamesChanged marks the place in the stream.
//
// If the server refuses, the error is an *Error, and the subscription continues without the refused names. Names are
// sent in commands of 16 KiB: those of the commands before it are added. While the connection is lost, Add returns at
// once, and the names are subscribed with the others. A refusal then ends the subscription.
//
// After an error of ctx the names may be added or not; another Add or Remove settles it. A name with a predicate
// requires that Options.Sequences is set or that the subscription began with a predicate.
//
// Add and Remove may be called by the goroutine that reads the events. Until they return, more events than
// Options.Buffer may be read from the server, up to 64 MiB or Options.MaxMessage.
func (s *Subscription) Add(ctx context.Context, names ...Name) error {
	return s.change(ctx, true, names)
}

// Remove ends the subscription to names and returns when the server has confirmed it. Names that the subscription does
// not have are passed over. A subscription without names receives nothing until Add. Errors are those of Add.
func (s *Subscription) Remove(ctx context.Context, names ...Name) error {
	return s.change(ctx, false, names)
}

func (s *Subscription) change(ctx context.Context, add bool, all []Name) error {
	names, starts, err := checkNames(all)
	if err != nil {
		return err
	}
	if add && (len(starts) > 0 || hasPredicate(names)) && !s.options.Sequences {
		return invalidOption("a predicate or a position can be added if Options.Sequences is set or the subscription began with one")
	}
	s.beginChange()
	defer s.endChange()
	for ctx.Err() == nil {
		p, own, err := s.sendChange(add, names, starts)
		if p == nil {
			return err
		}
		select {
		case <-p.done:
		case <-ctx.Done():
		}
		if own && ctx.Err() == nil && p.err != nil {
			return p.err
		}
	}
	return fmt.Errorf("not confirmed: %w", ctx.Err())
}

// beginChange counts a caller that waits for a reply. The goroutine that delivers events then does not block.
func (s *Subscription) beginChange() {
	s.mu.Lock()
	s.changing++
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default: // deliver has not seen the last one yet
	}
}

func (s *Subscription) endChange() {
	s.mu.Lock()
	s.changing--
	s.mu.Unlock()
}

// sendChange sends one command for names that are still to be changed. It returns the command to wait for, which may
// belong to another caller, or nil when nothing is left to be done.
func (s *Subscription) sendChange(add bool, names []Name, starts map[Name]string) (p *pendingCommand, own bool, err error) {
	var command []byte
	s.mu.Lock()
	rest := slices.DeleteFunc(slices.Clone(names), func(n Name) bool { return s.names.has(n) == add })
	c := s.live
	switch {
	case s.ctx.Err() != nil:
		err = s.endErrLocked()
	case len(rest) == 0:
	case c == nil: // connect subscribes to the names, whatever it has sent so far
		s.keepStartsLocked(add, rest, starts)
		s.applyLocked(add, rest)
	case add && c.supports(rest, starts) != nil:
		err = c.supports(rest, starts)
	case s.pending != nil:
		p = s.pending
	default:
		s.keepStartsLocked(add, rest, starts)
		p, command = s.newPendingCommand(add, rest)
		own, s.pending = true, p
	}
	s.mu.Unlock()
	if own {
		_ = s.write(c, command, s.options.DialTimeout) // readLoop reports the loss
	}
	return p, own, err
}

// keepStartsLocked keeps the positions of names until these are confirmed, over a loss of the connection.
func (s *Subscription) keepStartsLocked(add bool, names []Name, starts map[Name]string) {
	for _, n := range names {
		if delete(s.starts, n); add && starts[n] != "" {
			s.starts[n] = starts[n]
		}
	}
}

// newPendingCommand returns a command for as many of the names as fit. s.mu is held.
func (s *Subscription) newPendingCommand(add bool, names []Name) (p *pendingCommand, command []byte) {
	p = &pendingCommand{add: add, names: make(map[Name]Name, len(names)), done: make(chan struct{})}
	bare := make(map[Name]Name, len(names))
	sentNames := make([]Name, len(names))
	for i, n := range names {
		sentNames[i] = n
		if start := s.starts[n]; add && start != "" {
			sentNames[i] = n.at(start)
		} else if sentAs, ok := s.sentNames[n]; ok && !add {
			sentNames[i] = sentAs
		}
		bare[sentNames[i]] = n
	}
	command, taken, _ := nextCommand(add, sentNames)
	for _, sentAs := range taken {
		p.names[sentAs] = bare[sentAs]
	}
	return p, command
}

// write sends a command on a live connection. If that fails, the connection is closed, because a part may be sent.
func (s *Subscription) write(c *conn, command []byte, timeout time.Duration) error {
	_ = c.SetWriteDeadline(time.Now().Add(timeout)) // fails on a dead socket, as the write then does
	_, err := c.Write(command)
	if err != nil {
		_ = c.Close() // err matters more than the error of Close
	}
	return err //nolint:wrapcheck // readError does
}

func (s *Subscription) applyLocked(add bool, names []Name) {
	if add {
		s.names.add(names)
	} else {
		s.names.remove(names)
	}
	for _, n := range names {
		if !add {
			delete(s.sentNames, n)
		}
	}
}

// endErrLocked returns why the subscription has ended or is about to.
func (s *Subscription) endErrLocked() error {
	if s.err != nil {
		return s.err
	}
	return ErrClosed
}

// ping sends a PING unless another command is pending: its reply proves a live server too. It runs on run's goroutine.
//
// With sequence numbers it is a HELLO, whose reply has the present one: a silent name resumes from there, and not from its last
// message, which the server may not keep for as long.
func (s *Subscription) ping(c *conn) error {
	s.mu.Lock()
	busy := s.pending != nil
	if !busy {
		s.pending = &pendingCommand{ping: true, done: make(chan struct{})}
	}
	s.mu.Unlock()
	if busy {
		return nil
	}
	command := "PING"
	if c.hasSeq {
		command = "HELLO"
	}
	return s.write(c, appendCommand(nil, command), s.options.PingAfter)
}

// pingAnswered ends a pending PING.
func (s *Subscription) pingAnswered() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pending != nil && s.pending.ping {
		close(s.pending.done)
		s.pending = nil
	}
}

// pendingNow returns the pending command, or nil. Only run takes it away.
func (s *Subscription) pendingNow() *pendingCommand {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pending
}

// handleError ends the pending command with a refusal. An error reply to no command ends the connection.
func (rc *receiver) handleError(r *reply) error {
	p := rc.subscription.pendingNow()
	switch {
	case p == nil:
		return closedByServer(r)
	case p.ping: // a refusal proves a live server too: the user may lack the right
		rc.subscription.pingAnswered()
	default:
		p.err = fmt.Errorf("cannot change the subscription: %w", newError(r.bytes))
		rc.subscription.dropStarts(p)
		rc.finishChange(p)
	}
	return nil
}

// handleConfirmation records the confirmation of one name. The state of a name exists from here to here, because its
// messages come between.
func (rc *receiver) handleConfirmation(add bool, sentAs Name) error {
	p := rc.subscription.pendingNow()
	var n Name
	requested := false
	if p != nil && p.add == add {
		n, requested = p.names[sentAs]
	}
	switch {
	case requested:
	case add:
		return nil // twice, which does no harm
	default:
		return malformed("an unsubscribe that was not requested")
	}
	delete(p.names, sentAs)
	p.confirmed = append(p.confirmed, n)
	switch {
	case !add:
		rc.removeNames([]Name{sentAs})
	case sentAs == n:
		rc.addNames([]Name{n})
	default:
		rc.subscription.confirmStart(rc, n, sentAs)
	}
	if len(p.names) == 0 {
		rc.finishChange(p)
	}
	return nil
}

// confirmStart adds a name with a position to a live connection.
func (s *Subscription) confirmStart(rc *receiver, n, sentAs Name) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rc.addState(n, sentAs, rc.newReach(&placed{name: n, start: s.starts[n]})).group = groupOf(s.starts[n])
	s.sentNames[n] = sentAs
	delete(s.starts, n)
}

// dropStarts drops the positions of names that were refused.
func (s *Subscription) dropStarts(p *pendingCommand) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range p.names {
		delete(s.starts, n)
	}
}

// finishChange lets the confirmed names take effect, and ends the wait of the caller.
func (rc *receiver) finishChange(p *pendingCommand) {
	s := rc.subscription
	if len(p.confirmed) > 0 {
		e := &NamesChanged{from: s}
		if p.add {
			e.Added = p.confirmed
		} else {
			e.Removed = p.confirmed
		}
		rc.ready = append(rc.ready, e)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.applyLocked(p.add, p.confirmed)
	s.pending = nil
	close(p.done)
}

// goOffline ends the use of a connection for Add and Remove. What was sent and not confirmed takes effect with the next
// connection.
func (s *Subscription) goOffline() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live, s.sentNames = nil, nil
	p := s.pending
	if p == nil {
		return
	}
	s.pending = nil
	s.applyLocked(p.add, p.confirmed)
	for _, n := range p.names {
		s.applyLocked(p.add, []Name{n})
	}
	close(p.done)
}

// difference returns the names that the current connection lacks and those that it has no more. If there are none and
// final is set, the connection goes live: from now on, Add and Remove use it.
func (s *Subscription) difference(final bool) (added, removed []Name) {
	s.mu.Lock()
	defer s.mu.Unlock()
	have := s.receiver.names()
	for _, n := range s.names.list() {
		if !have.has(n) {
			added = append(added, n)
		}
	}
	for _, n := range have.list() {
		if !s.names.has(n) {
			removed = append(removed, n)
		}
	}
	if final && len(added)+len(removed) == 0 {
		s.live, s.sentNames = s.receiver.conn, s.receiver.sentNames()
		clear(s.starts)
	}
	return added, removed
}

// namesChanged returns the event for names that differ from those of the connection before, or nil.
func (rc *receiver) namesChanged(before nameSet) *NamesChanged {
	now := rc.names()
	e := &NamesChanged{from: rc.subscription}
	for n := range now.added {
		if !before.has(n) {
			e.Added = append(e.Added, n)
		}
	}
	for n := range before.added {
		if !now.has(n) {
			e.Removed = append(e.Removed, n)
		}
	}
	if len(e.Added)+len(e.Removed) == 0 {
		return nil
	}
	return e
}
