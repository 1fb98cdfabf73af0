package redis

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/conchmq/conch/client"
	"github.com/conchmq/conch/internal/connect"
	"github.com/conchmq/conch/internal/entry"
)

// queueBytes bounds what is read ahead.
const queueBytes = 1 << 20

// source reads a channel, a pattern, or a stream. A stream is read by a group that acknowledges, or behind a position.
type source struct {
	options client.Options
	warn    func(text string)

	kind, name string // "channel", "pattern" or "stream"
	group      string // "" for none
	consumer   string // of the group
	limit      int    // of a payload
	fromStart  bool   // of a stream, where no position is known

	// last is the position that Read has come to: a connection begins behind the one before it.
	last string

	client *client.Client // of the connection; nil between two
	reads  *client.Consumer
	queue  *connect.Queue
	cancel context.CancelCauseFunc // ends the goroutine below
	tasks  sync.WaitGroup          // the goroutine that reads; Close waits for it
}

func newSource(a connect.Address) (connect.Source, error) {
	s := &source{warn: a.Warn, consumer: a.Name, limit: a.Limit}
	var err error
	if s.kind, err = a.Alone("channel", "pattern", "stream"); err != nil {
		return nil, err
	}
	if s.options, err = options(&a, s.kind == "stream"); err != nil {
		return nil, err
	}
	s.name = a.Take(s.kind)
	if s.kind != "stream" {
		return s, nil
	}
	s.group = a.Take("group")
	switch from := a.Take("from"); from {
	case "":
		s.fromStart = s.group != ""
	case "start", "now":
		s.fromStart = from == "start"
	default:
		return nil, fmt.Errorf("from is start or now: %.60q", from)
	}
	return s, nil
}

// Connect subscribes, or begins to read.
func (s *source) Connect(ctx context.Context, start connect.Start) error {
	running, cancel := context.WithCancelCause(context.Background())
	s.queue, s.cancel = connect.NewQueue(queueBytes), cancel
	c, err := client.Dial(ctx, dialAtMost(s.options, 2, cancel)) // the second one is that of the subscription or of the reads
	if err != nil {
		return markPermanent(err)
	}
	s.client = c
	if s.kind != "stream" {
		return s.subscribe(ctx, running)
	}
	entries, err := s.entries(ctx, running, start)
	if err != nil {
		return markPermanent(err)
	}
	s.tasks.Go(func() { s.readEntries(running, entries) })
	return nil
}

func (s *source) subscribe(ctx, running context.Context) error {
	name := client.Topic(s.name)
	if s.kind == "pattern" {
		name = client.Pattern(s.name)
	}
	sub, err := s.client.Subscribe(ctx, name)
	if err != nil {
		return markPermanent(err)
	}
	s.tasks.Go(func() { s.readMessages(running, sub) })
	return nil
}

// readMessages queues what a subscription receives until it or its connection ends.
func (s *source) readMessages(ctx context.Context, sub *client.Subscription) {
	for event, err := range sub.All(ctx) {
		switch e := event.(type) {
		case *client.Message:
			err = s.queue.Put(ctx, connect.Message{
				Payload: connect.Clip(e.Payload, s.limit), Meta: map[string]string{"channel": e.Topic}, Time: time.Now(),
			})
		case *client.Missed:
			s.warn(fmt.Sprintf("%s: %d messages are lost: the server dropped them before they were read", e.Name, e.Count))
		case *client.Disconnected:
			err = fmt.Errorf("%w: %w", errLost, e.Err)
		}
		if err != nil {
			s.queue.End(markPermanent(err))
			return
		}
	}
}

// entries returns what reads the stream: the group's entries, or those behind a position. On a durable topic conch has the position
// and the group is not used: so an entry that is kept is never read again.
func (s *source) entries(ctx, running context.Context, start connect.Start) (iter.Seq2[*client.Entry, error], error) {
	at := s.last
	if start.Durable { // what was read and did not take effect comes again
		at = start.Positions[s.name]
	}
	from := client.FromNow(s.name)
	if at != "" || s.fromStart || start.Durable {
		id := client.EntryID{}
		if at != "" {
			var err error
			if id, err = client.ParseEntryID(at); err != nil {
				return nil, &connect.Permanent{Err: fmt.Errorf("the position %.60q is none of Redis: %w", at, err)}
			}
		}
		from = client.After(s.name, id)
	}
	if s.group == "" || start.Durable {
		return s.client.Read(running, from), nil
	}
	if err := s.client.CreateGroup(ctx, s.group, from); err != nil {
		return nil, err //nolint:wrapcheck // marked by the caller
	}
	s.reads = s.client.Consumer(s.name, s.group, s.consumer, client.ConsumerOptions{Count: 128})
	return func(yield func(*client.Entry, error) bool) {
		for d, err := range s.reads.All(running) {
			if err == nil && len(d.Fields) == 0 { // deleted while it was pending
				err = s.reads.Ack(running, d.ID)
				if err == nil {
					continue
				}
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(&d.Entry, nil) {
				return
			}
		}
	}, nil
}

// readEntries queues entries until the connection ends.
func (s *source) readEntries(ctx context.Context, entries iter.Seq2[*client.Entry, error]) {
	var m entry.Message
	meta := map[string]string{"stream": s.name}
	for e, err := range entries {
		if err == nil {
			err = s.queue.Put(ctx, messageOf(e, &m, meta, s.limit))
		}
		if err != nil {
			s.queue.End(markPermanent(err))
			return
		}
	}
	s.queue.End(errors.New("the reading of the stream has ended"))
}

// messageOf is an entry as conch's own entries are messages: the field message with the others as headers, else an object of all. Of a
// payload that is too large it has what shows that.
func messageOf(e *client.Entry, m *entry.Message, meta map[string]string, limit int) connect.Message {
	id := e.ID.String()
	out := connect.Message{ID: id, Partition: e.Stream, Position: id, Meta: meta, Time: e.ID.Time()}
	at := slices.IndexFunc(e.Fields, func(f client.Field) bool { return f.Name == entry.Field })
	if at < 0 {
		out.Payload = objectOf(e, m, limit)
		return out
	}
	value := e.Fields[at].Value
	out.Payload = []byte(value[:min(len(value), limit+1)])
	for i, f := range e.Fields {
		if i != at {
			out.Headers = append(out.Headers, connect.Header{Name: f.Name, Value: f.Value})
		}
	}
	return out
}

// objectOf is the JSON object of all fields. It is not made of fields that are too large for it.
func objectOf(e *client.Entry, m *entry.Message, limit int) []byte {
	size := 0
	texts := make([][]byte, 0, 2*len(e.Fields))
	for _, f := range e.Fields {
		if size += len(f.Name) + len(f.Value); size > limit {
			return make([]byte, limit+1)
		}
		texts = append(texts, []byte(f.Name), []byte(f.Value))
	}
	m.ResetTexts(texts)
	return m.AppendPayload(nil)
}

// Read takes what was read ahead.
func (s *source) Read(ctx context.Context) (connect.Batch, error) {
	taken, err := s.queue.Take(ctx)
	if err != nil {
		return connect.Batch{}, err //nolint:wrapcheck // of the connection, or of ctx
	}
	s.last = taken[len(taken)-1].Position
	if s.reads == nil {
		return connect.Batch{Messages: taken}, nil
	}
	ids := make([]client.EntryID, len(taken))
	for i := range taken {
		ids[i], _ = client.ParseEntryID(taken[i].Position) // it is one: messageOf wrote it
	}
	reads := s.reads
	return connect.Batch{Messages: taken, Ack: func(ctx context.Context, _ error) error {
		return reads.Ack(ctx, ids...) // what will never take effect, too: it would come for ever
	}}, nil
}

// Close ends the connection.
func (s *source) Close(context.Context) error {
	if s.cancel != nil {
		s.cancel(client.ErrClosed)
	}
	if s.client != nil {
		_ = s.client.Close() // nil always
	}
	s.tasks.Wait()
	s.client, s.reads = nil, nil
	return nil
}
