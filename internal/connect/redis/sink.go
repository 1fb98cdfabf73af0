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
	records := make([]client.Record, 0, len(batch))
	indices := make([]int, 0, len(batch)) // in batch, of each record
	for i := range batch {
		name, err := s.name.Expand(&batch[i], nil)
		if err != nil {
			refused.Add(i, err)
			continue
		}
		records, indices = append(records, client.Record{Topic: name, Payload: batch[i].Payload}), append(indices, i)
	}
	var errs []error
	if s.stream {
		errs = s.appendAll(ctx, batch, records, indices)
	} else {
		errs = s.publishAll(ctx, records)
	}
	for i, err := range errs {
		if err == nil {
			continue
		}
		if refusal := (*client.Error)(nil); !errors.As(err, &refusal) || isTemporary(refusal.Code) {
			return err
		}
		refused.Add(indices[i], err)
	}
	return refused.Err()
}

// isTemporary tells refusals of the state of a server from those of a message: without memory, a replica, while it loads or runs a script.
func isTemporary(code client.Code) bool {
	switch code {
	case "OOM", "READONLY", "LOADING", "BUSY", "MASTERDOWN", "MISCONF", "NOAUTH", "CLUSTERDOWN", "TRYAGAIN", "NOREPLICAS":
		return true
	}
	return false
}

// publishAll returns an error or nil for each record.
func (s *sink) publishAll(ctx context.Context, records []client.Record) []error {
	errs := make([]error, len(records))
	ids, err := s.publisher.PublishBatch(ctx, records)
	for i := range records {
		if errs[i] = err; i < len(ids) {
			_, errs[i] = s.publisher.Wait(ctx, ids[i])
		}
	}
	s.publisher.Unacked() // what was refused: its error is in errs
	return errs
}

// appendAll returns an error or nil for each record.
func (s *sink) appendAll(ctx context.Context, batch []connect.Message, records []client.Record, indices []int) []error {
	entries := make([]client.Entry, len(records))
	for i, r := range records {
		m := &batch[indices[i]]
		fields := make([]client.Field, 0, 1+len(m.Headers))
		fields = append(fields, client.Field{Name: entry.Field, Value: string(m.Payload)})
		for _, h := range m.Headers {
			fields = append(fields, client.Field{Name: h.Name, Value: h.Value})
		}
		entries[i] = client.Entry{Stream: r.Topic, Fields: fields}
	}
	errs := make([]error, len(records))
	for i, appended := range s.client.AppendBatch(ctx, entries, s.append...) {
		errs[i] = appended.Err
	}
	return errs
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
