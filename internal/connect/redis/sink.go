package redis

import (
	"context"
	"errors"

	"github.com/conchmq/conch/client"
	"github.com/conchmq/conch/internal/connect"
	"github.com/conchmq/conch/internal/entry"
)

// sink publishes to a channel or appends to a stream, whose name may be a template.
type sink struct {
	options client.Options
	stream  bool
	name    *connect.Template
	append  []client.AppendOption

	client    *client.Client    // of a connection to append
	publisher *client.Publisher // of a connection to publish

	// Of the batch that is written; the next one uses the memory again.
	names   []string
	indices []int // in the batch, of each name
	entries []client.Entry
	fields  []client.Field
}

func newSink(a connect.Address) (connect.Sink, error) {
	kind, err := a.Alone("channel", "stream")
	if err != nil {
		return nil, err
	}
	s := &sink{stream: kind == "stream"}
	if s.options, err = options(&a, s.stream); err != nil {
		return nil, err
	}
	if s.name, err = connect.ParseTemplate(a.Take(kind)); err != nil {
		return nil, err //nolint:wrapcheck // of this project
	}
	if s.stream {
		n, err := a.TakeInt("maxlen", 0, 1, 1<<31-1)
		if err != nil {
			return nil, err
		}
		if n > 0 {
			s.append = append(s.append, client.MaxLen(n))
		}
	}
	return s, nil
}

// Connect opens one connection.
func (s *sink) Connect(ctx context.Context) (err error) {
	once := dialAtMost(s.options, 1, func(error) {})
	if s.stream {
		s.client, err = client.Dial(ctx, once)
	} else {
		s.publisher, err = client.NewPublisher(ctx, once, client.PublisherOptions{})
	}
	return markPermanent(err)
}

// Write sends a batch and waits for all replies.
func (s *sink) Write(ctx context.Context, batch []connect.Message) error {
	var refused connect.Refusals
	s.indices = s.indices[:0]
	names := s.names[:0]
	for i := range batch {
		name, err := s.name.Expand(&batch[i], nil)
		if err != nil {
			refused.Add(i, err)
			continue
		}
		names, s.indices = append(names, name), append(s.indices, i)
	}
	s.names = names
	write := s.publishAll
	if s.stream {
		write = s.appendAll
	}
	if err := write(ctx, batch, &refused); err != nil {
		return err
	}
	return refused.Err()
}

// refuse notes that the server has not taken a message; it returns the error if that is no refusal of the message alone.
func refuse(refused *connect.Refusals, index int, err error) error {
	if refusal := (*client.Error)(nil); !errors.As(err, &refusal) || isTemporary(refusal.Code) {
		return err
	}
	refused.Add(index, err)
	return nil
}

// isTemporary tells refusals of the state of a server from those of a message: without memory, a replica, while it loads or runs a script.
func isTemporary(code client.Code) bool {
	switch code {
	case "OOM", "READONLY", "LOADING", "BUSY", "MASTERDOWN", "MISCONF", "NOAUTH", "CLUSTERDOWN", "TRYAGAIN", "NOREPLICAS":
		return true
	}
	return false
}

// publishAll publishes the messages that have a name. It names those that are refused.
func (s *sink) publishAll(ctx context.Context, batch []connect.Message, refused *connect.Refusals) error {
	records := make([]client.Record, len(s.indices))
	for i, index := range s.indices {
		records[i] = client.Record{Topic: s.names[i], Payload: batch[index].Payload}
	}
	defer s.publisher.Unacked() // what was refused: its error is that of Wait
	ids, unsent := s.publisher.PublishBatch(ctx, records)
	for i, index := range s.indices {
		err := unsent
		if i < len(ids) {
			_, err = s.publisher.Wait(ctx, ids[i])
		}
		if err != nil {
			if err := refuse(refused, index, err); err != nil {
				return err
			}
		}
	}
	return nil
}

// appendAll appends the messages that have a name. It names those that are refused.
func (s *sink) appendAll(ctx context.Context, batch []connect.Message, refused *connect.Refusals) error {
	entries, fields := s.entries[:0], s.fields[:0]
	for i, index := range s.indices {
		m, first := &batch[index], len(fields)
		fields = append(fields, client.Field{Name: entry.Field, Value: string(m.Payload)})
		for _, h := range m.Headers {
			fields = append(fields, client.Field{Name: h.Name, Value: h.Value})
		}
		entries = append(entries, client.Entry{Stream: s.names[i], Fields: fields[first:len(fields):len(fields)]})
	}
	s.entries, s.fields = entries, fields
	defer clear(fields)
	for i, appended := range s.client.AppendBatch(ctx, entries, s.append...) {
		if appended.Err == nil {
			continue
		}
		if err := refuse(refused, s.indices[i], appended.Err); err != nil {
			return err
		}
	}
	return nil
}

// Close ends the connection.
func (s *sink) Close(context.Context) error {
	if s.client != nil {
		_ = s.client.Close() // nil always
	}
	if s.publisher != nil {
		_ = s.publisher.Close() // what was not acknowledged is written again
	}
	s.client, s.publisher = nil, nil
	return nil
}
