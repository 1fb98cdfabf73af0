package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/conchmq/conch/client"
)

// publishRun is one run of conch pub: a lineReader of messages, a publisher that takes them, and what waits for their
// acknowledgements.
type publishRun struct {
	options     *pubOptions
	ctx         context.Context // ends with a signal
	going       context.Context // ends with that one, and when something is not acknowledged
	stop        context.CancelFunc
	publisher   *client.Publisher
	in          *lineReader
	acks        *acks
	unpublished []byte // the message that was read and that the publisher did not take, if there is one
}

func newPublishRun(ctx context.Context, o *pubOptions, e *Env, p *client.Publisher) *publishRun {
	s := &publishRun{options: o, ctx: ctx, publisher: p, in: newLineReader(o, e.Stdin)}
	s.going, s.stop = context.WithCancel(ctx)
	s.acks = newAcks(p, o, e, s.in, s.stop)
	return s
}

// send publishes until the input ends, something is not acknowledged, or a signal comes; and waits until it is known
// what has become of everything. It returns why it ended before the input did.
func (s *publishRun) send() error {
	defer s.stop()
	untracked, err := s.publishAll()
	_ = s.publisher.Close() // Unacked knows the same, message by message
	if untracked != nil {
		s.acks.sent <- *untracked // who waits for acknowledgements waits no more
	}
	s.acks.end()
	return err
}

// publishAll gives messages to the publisher. untracked is one that is on its way and not with s.acks yet.
func (s *publishRun) publishAll() (untracked *sent, err error) {
	for {
		select {
		case line, ok := <-s.in.lines:
			if !ok {
				return nil, s.in.err
			}
			id, err := s.publisher.Publish(s.going, s.options.topic, line)
			if err != nil {
				s.unpublished = line
				return nil, err
			}
			m := sent{id, len(line) + 1}
			select {
			case s.acks.sent <- m:
			case <-s.going.Done():
				return &m, s.going.Err()
			}
		case <-s.going.Done():
			return nil, s.going.Err()
		}
	}
}

// finish says what has become of the messages, and brings those that are not acknowledged to rest. A message that was
// read when a signal came, and not published, counts as if it had not been read.
func (s *publishRun) finish(why error, rest *unackedFile) error {
	defer s.in.stop()
	interrupted := s.ctx.Err() != nil
	lost := s.publisher.Unacked()
	for _, u := range lost {
		rest.add(u.Payload)
	}
	if len(lost) > 0 {
		why = lost[0].Cause
	}
	if s.unpublished != nil && !interrupted {
		rest.add(s.unpublished)
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
		case s.options.message == nil:
			where += "; the rest of the input is not read"
		}
		_ = s.summary() // the failure is worse
		return &exitError{statusUnacked, fmt.Errorf("pub: not acknowledged: %s, %s; the first because: %w", messages(rest.count), where, why)}
	}
	if err := s.summary(); err != nil || interrupted || why == nil {
		return err
	}
	return fmt.Errorf("pub: %w", why)
}

// saveInput brings the whole input to rest, where there is a file for it: nothing could be published at all, and the
// status remains that of why.
func saveInput(ctx context.Context, in *lineReader, rest *unackedFile, why error) error {
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
	return &exitError{statusFailure, fmt.Errorf("%w; not published: %s, in %s", why, messages(rest.count), rest.file.Name())}
}

// summary ends the output.
func (s *publishRun) summary() error {
	if !s.options.quiet && !s.options.json {
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
