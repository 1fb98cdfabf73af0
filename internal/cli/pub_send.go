package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/conchmq/conch/client"
)

// publishRun is one run of conch pub: input, publisher and acknowledgements.
type publishRun struct {
	options     *pubOptions
	ctx         context.Context // ends with a signal
	going       context.Context // ends with ctx, and when a message is not acknowledged
	stop        context.CancelFunc
	publisher   *client.Publisher
	in          *lineReader
	acks        *acks
	unpublished []byte // a line that the publisher did not take; nil: none
}

func newPublishRun(ctx context.Context, o *pubOptions, e *Env, p *client.Publisher) *publishRun {
	s := &publishRun{options: o, ctx: ctx, publisher: p, in: newLineReader(o, e.Stdin)}
	s.going, s.stop = context.WithCancel(ctx)
	s.acks = newAcks(p, o, e, s.in, s.stop)
	return s
}

// send publishes until the input ends, a message is not acknowledged, or a signal comes. It returns when every message is
// acknowledged or given up; err is why it ended before the input.
func (s *publishRun) send() error {
	defer s.stop()
	untracked, err := s.publishAll()
	_ = s.publisher.Close() // its error is in Unacked, message by message
	if untracked != nil {
		s.acks.sent <- *untracked // the goroutine of acks is not blocked any more
	}
	s.acks.end()
	return err
}

// publishAll gives lines to the publisher. untracked is a message that was published and that acks does not have yet.
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

// finish writes messages that are not acknowledged to rest, prints the summary and returns the error of the run. A line
// that was read but not published when a signal came counts as not read.
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
		if rest.cut {
			where += ", long lines cut (--unacked FILE keeps them whole)"
		}
		switch {
		case rest.file != nil:
			where = "in " + rest.file.Name()
			if unread != nil && !errors.Is(why, unread) {
				where += ", but " + unread.Error()
			}
		case s.options.message == nil:
			where += "; the rest of the input is not read"
		}
		_ = s.summary() // this error matters more
		return &exitError{statusUnacked, fmt.Errorf("pub: not acknowledged: %s, %s; the first because: %w", counted(rest.count, "message"), where, why)}
	}
	if err := s.summary(); err != nil || interrupted || why == nil {
		return err
	}
	return fmt.Errorf("pub: %w", why)
}

// saveInput writes the whole input to the file of rest, if there is one, because nothing could be published. The exit
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
	return &exitError{statusFailure, fmt.Errorf("%w; not published: %s, in %s", why, counted(rest.count, "message"), rest.file.Name())}
}

// summary prints the last line of the output and flushes.
func (s *publishRun) summary() error {
	if !s.options.quiet && !s.options.json {
		_, _ = fmt.Fprintf(s.acks.out, "published %s, %s\n", counted(s.acks.published, "message"), counted(s.acks.receivers, "receiver")) // Flush has the error
	}
	return unlessClosed(s.acks.out.Flush())
}

// counted is a number of things in words.
func counted(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
