package nats

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/conchmq/conch/internal/connect"
)

// sink publishes to a subject, which may be a template. With stream=NAME it waits for the stream's acknowledgements.
type sink struct {
	address connect.Address
	subject *connect.Template
	stream  string

	expected []string // the value of the header that names the stream

	conn    *connection // nil between two connections
	js      jetstream.JetStream
	answers *answers // of the connection
}

func newSink(a connect.Address) (connect.Sink, error) {
	if _, err := a.Alone("subject"); err != nil {
		return nil, err
	}
	s := &sink{address: a, stream: a.Take("stream")}
	s.expected = []string{s.stream}
	var err error
	if s.subject, err = connect.ParseTemplate(a.Take("subject")); err != nil {
		return nil, fmt.Errorf("subject: %w", err)
	}
	if fixed, ok := s.subject.Fixed(); ok {
		if err := checkSubject(fixed, s.subject); err != nil || escape(fixed) != fixed {
			return nil, fmt.Errorf("%.60q is no subject to publish to", fixed)
		}
	}
	return s, nil
}

// Connect opens one connection.
func (s *sink) Connect(ctx context.Context) (err error) {
	if s.conn, err = dial(ctx, &s.address, func(error) {}); err != nil {
		return err
	}
	if s.stream == "" {
		return nil
	}
	s.answers = newAnswers()
	s.js, err = jetstream.New(s.conn.Conn, jetstream.WithPublishAsyncAckHandler(s.answers.taken), jetstream.WithPublishAsyncErrHandler(s.answers.refused))
	if err == nil {
		_, err = s.js.Stream(ctx, s.stream)
	}
	return markPermanent(err)
}

// Write publishes a batch. It returns when the server has read all of it, or when the stream has kept all.
func (s *sink) Write(ctx context.Context, batch []connect.Message) error {
	var refused connect.Refusals
	published := make([]*nats.Msg, len(batch))
	for i := range batch {
		m, err := s.messageOf(&batch[i])
		if err != nil {
			refused.Add(i, err)
			continue
		}
		if s.stream == "" {
			err = s.conn.PublishMsg(m)
		} else {
			_, err = s.js.PublishMsgAsync(m)
		}
		switch {
		case errors.Is(err, nats.ErrMaxPayload) || errors.Is(err, nats.ErrBadSubject):
			refused.Add(i, err)
		case err != nil:
			return markPermanent(err)
		default:
			published[i] = m
		}
	}
	if err := s.await(ctx, published, &refused); err != nil {
		return err
	}
	return refused.Err()
}

// messageOf is a message as NATS has it. The server drops a second one with its id within the stream's window.
func (s *sink) messageOf(from *connect.Message) (*nats.Msg, error) {
	subject, err := s.subject.Expand(from, escape)
	if err != nil {
		return nil, err //nolint:wrapcheck // of this project
	}
	if err := checkSubject(subject, s.subject); err != nil {
		return nil, err
	}
	m := &nats.Msg{Subject: subject, Data: from.Payload}
	m.Header = make(nats.Header, len(from.Headers)+2)
	values := make([]string, len(from.Headers)+1) // of all headers
	for i, h := range from.Headers {
		if values[i] = h.Value; m.Header[h.Name] == nil {
			m.Header[h.Name] = values[i : i+1 : i+1]
		} else {
			m.Header[h.Name] = append(m.Header[h.Name], h.Value)
		}
	}
	if from.ID != "" {
		values[len(values)-1] = from.ID
		m.Header[nats.MsgIdHdr] = values[len(values)-1:]
	}
	if s.stream != "" {
		m.Header[jetstream.ExpectedStreamHeader] = s.expected
	}
	return m, nil
}

// await waits until the server has what was published.
func (s *sink) await(ctx context.Context, published []*nats.Msg, refused *connect.Refusals) error {
	if s.stream == "" {
		err := s.conn.flush(ctx)
		if failure := s.conn.failure.Load(); failure != nil { // it came before the answer to the flush
			err = *failure
		}
		return markPermanent(err)
	}
	n := 0
	for _, m := range published {
		if m != nil {
			n++
		}
	}
	select {
	case <-s.answers.await(n):
	case <-ctx.Done():
		return ctx.Err() //nolint:wrapcheck // of the engine
	case <-s.conn.ended:
		return s.conn.cause()
	}
	for m, err := range s.answers.take() {
		if !errors.Is(err, jetstream.ErrStreamMessageExceedsMaximum) {
			return markPermanent(err)
		}
		refused.Add(slices.Index(published, m), err)
	}
	return nil
}

// Close ends the connection.
func (s *sink) Close(context.Context) error {
	if s.conn != nil {
		s.conn.close()
	}
	s.conn, s.js = nil, nil
	return nil
}
