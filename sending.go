package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/conchmq/conch/client"
)

// sending is one run of conch pub: an intake of messages, a publisher that takes them, and what waits for their
// acknowledgements.
type sending struct {
	order     *pubOrder
	ctx       context.Context // ends with a signal
	going     context.Context // ends with that one, and when something is not acknowledged
	stop      context.CancelFunc
	publisher *client.Publisher
	in        *intake
	acks      *acks
	left      []byte // the message that was read and that the publisher did not take, if there is one
}

func newSending(ctx context.Context, o *pubOrder, c *call, p *client.Publisher) *sending {
	s := &sending{order: o, ctx: ctx, publisher: p, in: newIntake(o, c.stdin)}
	s.going, s.stop = context.WithCancel(ctx)
	s.acks = newAcks(p, o, c, s.in, s.stop)
	return s
}

// send publishes until the input ends, something is not acknowledged, or a signal comes; and waits until it is known
// what has become of everything. It returns why it ended before the input did.
func (s *sending) send() error {
	defer s.stop()
	unseen, err := s.publishAll()
	_ = s.publisher.Close() // Unacked knows the same, message by message
	if unseen != nil {
		s.acks.sent <- *unseen // who waits for acknowledgements waits no more
	}
	s.acks.end()
	return err
}

// publishAll gives messages to the publisher. Unseen is one that is on its way and not with s.acks yet.
func (s *sending) publishAll() (unseen *sent, err error) {
	for {
		select {
		case line, ok := <-s.in.lines:
			if !ok {
				return nil, s.in.err
			}
			id, err := s.publisher.Publish(s.going, s.order.topic, line)
			if err != nil {
				s.left = line
				return nil, err //nolint:wrapcheck // finish does
			}
			m := sent{id, len(line) + 1}
			select {
			case s.acks.sent <- m:
			case <-s.going.Done():
				return &m, s.going.Err() //nolint:wrapcheck // as above
			}
		case <-s.going.Done():
			return nil, s.going.Err() //nolint:wrapcheck // as above
		}
	}
}

// finish says what has become of the messages, and brings those that are not acknowledged to rest. A message that was
// read when a signal came, and not published, counts as if it had not been read.
func (s *sending) finish(why error, rest *leftover) error {
	defer s.in.stop()
	interrupted := s.ctx.Err() != nil
	lost := s.publisher.Unacked()
	for _, u := range lost {
		rest.add(u.Payload)
	}
	if len(lost) > 0 {
		why = lost[0].Cause
	}
	if s.left != nil && !interrupted {
		rest.add(s.left)
	}
	var unread error
	if why != nil && rest.file != nil {
		unread = s.in.copyTo(s.ctx, rest)
	}
	if rest.count > 0 {
		where := "written above"
		switch {
		case rest.file != nil:
			where = "in " + rest.file.Name()
			if unread != nil && !errors.Is(why, unread) {
				where += ", but " + unread.Error()
			}
		case s.order.message == nil:
			where += "; the rest of the input is not read"
		}
		_ = s.summary() // the failure is worse
		return &failure{statusUnacked, fmt.Errorf("pub: not acknowledged: %s, %s; the first because: %w", messages(rest.count), where, why)}
	}
	if err := s.summary(); err != nil || interrupted || why == nil {
		return err
	}
	return fmt.Errorf("pub: %w", why)
}

// divert brings the whole input to rest, where there is a file for it: nothing could be published at all, and the
// status remains that of why.
func divert(ctx context.Context, in *intake, rest *leftover, why error) error {
	defer in.stop()
	if rest.file == nil {
		return why
	}
	if err := in.copyTo(ctx, rest); err != nil {
		why = fmt.Errorf("%w; and %w", why, err)
	}
	if rest.count == 0 {
		return why
	}
	return &failure{statusFailure, fmt.Errorf("%w; not published: %s, in %s", why, messages(rest.count), rest.file.Name())}
}

// summary ends the output.
func (s *sending) summary() error {
	if !s.order.quiet && !s.order.json {
		_, _ = fmt.Fprintf(s.acks.out, "published %s, %d receivers\n", messages(s.acks.published), s.acks.receivers) // Flush says
	}
	return unlessClosed(s.acks.out.Flush())
}

func messages(n int) string {
	if n == 1 {
		return "1 message"
	}
	return fmt.Sprintf("%d messages", n)
}
