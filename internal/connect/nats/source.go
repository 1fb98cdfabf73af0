package nats

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/conchmq/conch/internal/connect"
)

const (
	queueBytes   = 1 << 20  // read ahead by this driver
	pendingBytes = 16 << 20 // read ahead by the library for a subject, besides two messages; beyond it, messages are lost and reported

	// Messages that are requested of a stream: pulled, or fewer if so many could take more than pulledBytes.
	pulled      = 256
	pulledBytes = 256 << 20
)

// source reads a subject, or a stream of JetStream.
type source struct {
	address                         connect.Address
	subject, group, stream, durable string

	conn   *connection // nil between two connections
	queue  *connect.Queue
	cancel context.CancelCauseFunc // ends the goroutine that reads a stream, and those that wait for the queue
	tasks  sync.WaitGroup          // the goroutine that reads a stream; Close waits for it

	meta map[string]string // of the last message: mostly it is that of the next one; the reading goroutine's

	mu      sync.Mutex // guards unacked
	unacked []string   // of a durable consumer: where to acknowledge what is in the queue or about to be, in its order
}

func newSource(a connect.Address) (connect.Source, error) {
	s := &source{address: a}
	s.subject, s.group = a.Take("subject"), a.Take("group")
	s.stream, s.durable = a.Take("stream"), a.Take("durable")
	switch {
	case s.subject == "" && s.stream == "":
		return nil, errors.New("the address needs ?subject=NAME, or ?stream=NAME&durable=NAME for JetStream")
	case s.stream != "" && s.group != "":
		return nil, errors.New("group is of subjects: consumers of a stream share it by durable=NAME")
	case s.stream == "" && s.durable != "":
		return nil, errors.New("durable needs stream=NAME")
	}
	return s, nil
}

// Connect subscribes, or begins to read a stream.
func (s *source) Connect(ctx context.Context, start connect.Start) (err error) {
	running, cancel := context.WithCancelCause(context.Background())
	s.queue, s.cancel, s.unacked = connect.NewQueue(queueBytes), cancel, nil
	if s.conn, err = dial(ctx, &s.address, s.report); err != nil {
		return err
	}
	conn, queue := s.conn, s.queue
	s.tasks.Go(func() {
		<-conn.ended
		cancel(conn.cause())
		if s.stream == "" {
			queue.End(conn.cause())
		}
	})
	if s.stream == "" {
		return s.subscribe(ctx, running)
	}
	return s.openStream(ctx, running, start)
}

// report is called with errors that end nothing: a subscription without permission, messages that were lost.
func (s *source) report(err error) {
	if errors.Is(err, nats.ErrSlowConsumer) {
		err = fmt.Errorf("messages are lost: more than %d MiB came before they were read: %w", pendingBytes>>20, err)
	}
	if errors.Is(err, nats.ErrPermissionViolation) {
		s.queue.End(markPermanent(err))
	}
	s.address.Warn(err.Error())
}

func (s *source) subscribe(ctx, running context.Context) error {
	queue := s.queue
	sub, err := s.conn.QueueSubscribe(s.subject, s.group, func(m *nats.Msg) {
		_ = queue.Put(running, s.messageOf(m.Subject, m.Data, m.Header)) // an error is the end of the connection
	})
	if err == nil {
		err = sub.SetPendingLimits(-1, pendingBytes+2*int(s.conn.MaxPayload())) // one that is passed on, and one that comes
	}
	if err == nil {
		err = s.conn.flush(ctx) // the server has the subscription, or has refused it
	}
	return markPermanent(err)
}

// openStream begins to read a stream: behind the position that conch has kept, if the topic is durable, else by a durable consumer, which
// the server keeps. A consumer without a name begins with what is new.
func (s *source) openStream(ctx, running context.Context, start connect.Start) error {
	js, err := jetstream.New(s.conn.Conn)
	if err != nil {
		return err //nolint:wrapcheck // of the library, with its name
	}
	stream, err := js.Stream(ctx, s.stream)
	if err != nil {
		return markPermanent(fmt.Errorf("stream %s: %w", s.stream, err))
	}
	// A stream that was made anew has sequence numbers from 1 on, and a partition of its own.
	partition := s.stream + "@" + stream.CachedInfo().Created.UTC().Format("2006-01-02T15:04:05.000000000")
	var consumer interface {
		Messages(...jetstream.PullMessagesOpt) (jetstream.MessagesContext, error)
	}
	if start.Durable || s.durable == "" {
		config := jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverAllPolicy}
		if kept := start.Positions[partition]; kept != "" {
			last, err := strconv.ParseUint(kept, 10, 64)
			if err != nil {
				return &connect.Permanent{Err: fmt.Errorf("the position %.60q is no sequence number: %w", kept, err)}
			}
			config.DeliverPolicy, config.OptStartSeq = jetstream.DeliverByStartSequencePolicy, last+1
		} else if !start.Durable {
			config.DeliverPolicy = jetstream.DeliverNewPolicy
		}
		if s.subject != "" {
			config.FilterSubjects = []string{s.subject}
		}
		consumer, err = stream.OrderedConsumer(ctx, config)
	} else {
		consumer, err = s.durableConsumer(ctx, stream)
	}
	if err != nil {
		return markPermanent(fmt.Errorf("a consumer of the stream %s: %w", s.stream, err))
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessages(pullOf(s.conn.MaxPayload())))
	if err != nil {
		return markPermanent(err)
	}
	context.AfterFunc(running, messages.Stop)
	acks := !start.Durable && s.durable != ""
	s.tasks.Go(func() { s.queue.End(s.readStream(running, messages, partition, acks)) })
	return nil
}

// pullOf returns how many messages are requested of a server with this limit for a payload.
func pullOf(maxPayload int64) int { return int(min(max(pulledBytes/max(maxPayload, 1), 2), pulled)) }

// durableConsumer returns the consumer of that name, and makes it if there is none.
func (s *source) durableConsumer(ctx context.Context, stream jetstream.Stream) (jetstream.Consumer, error) {
	consumer, err := stream.Consumer(ctx, s.durable)
	if !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return consumer, err //nolint:wrapcheck // by the caller
	}
	return stream.CreateConsumer(ctx, jetstream.ConsumerConfig{ //nolint:wrapcheck // by the caller
		Durable: s.durable, FilterSubject: s.subject, AckPolicy: jetstream.AckExplicitPolicy, DeliverPolicy: jetstream.DeliverAllPolicy,
		MaxAckPending: max(2*pulled, s.address.InFlight),
	})
}

// readStream queues the messages of a stream, until the connection ends.
func (s *source) readStream(ctx context.Context, messages jetstream.MessagesContext, partition string, acks bool) error {
	for {
		next, err := messages.Next()
		if err != nil {
			if ctx.Err() != nil {
				err = context.Cause(ctx)
			}
			messages.Stop()
			return markPermanent(err)
		}
		info, err := next.Metadata()
		if err != nil {
			return err //nolint:wrapcheck // of the library, with its name
		}
		m := s.messageOf(next.Subject(), next.Data(), next.Headers())
		m.Partition, m.Position, m.Time = partition, strconv.FormatUint(info.Sequence.Stream, 10), info.Timestamp
		m.ID = cmp.Or(m.ID, partition+":"+m.Position)
		if acks {
			s.mu.Lock()
			s.unacked = append(s.unacked, next.Reply())
			s.mu.Unlock()
		}
		if err := s.queue.Put(ctx, m); err != nil {
			return err //nolint:wrapcheck // the cause of the end of the connection
		}
	}
}

func (s *source) messageOf(subject string, data []byte, header nats.Header) connect.Message {
	if s.meta["subject"] != subject {
		s.meta = map[string]string{"subject": subject}
	}
	m := connect.Message{Payload: connect.Clip(data, s.address.Limit), Meta: s.meta, ID: header.Get(nats.MsgIdHdr)}
	if len(header) == 0 {
		return m
	}
	for name, values := range header {
		for _, value := range values {
			m.Headers = append(m.Headers, connect.Header{Name: name, Value: value})
		}
	}
	slices.SortStableFunc(m.Headers, func(a, b connect.Header) int { return cmp.Compare(a.Name, b.Name) })
	return m
}

// Read takes what was read ahead.
func (s *source) Read(ctx context.Context) (connect.Batch, error) {
	taken, err := s.queue.Take(ctx)
	if err != nil {
		return connect.Batch{}, err //nolint:wrapcheck // of the connection, or of ctx
	}
	batch := connect.Batch{Messages: taken}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.unacked) > 0 {
		acked := s.unacked[:len(taken):len(taken)]
		s.unacked = s.unacked[len(taken):]
		conn := s.conn.Conn
		batch.Ack = func(_ context.Context, err error) error { return acknowledge(conn, acked, err) }
	}
	return batch, nil
}

// acknowledge acknowledges messages, and ends the delivery of those that conch never takes. It does what the library's Ack and Term do, of
// which each needs its whole message.
func acknowledge(conn *nats.Conn, messages []string, err error) error {
	refused := (*connect.Refused)(nil)
	_ = errors.As(err, &refused)
	for i, reply := range messages {
		done := "+ACK"
		if refused != nil && slices.Contains(refused.Indices, i) {
			done = "+TERM"
		}
		if err := conn.Publish(reply, []byte(done)); err != nil {
			return err //nolint:wrapcheck // of the library, with its name
		}
	}
	return nil
}

// Close ends the connection.
func (s *source) Close(ctx context.Context) error {
	if s.cancel != nil {
		s.cancel(nats.ErrConnectionClosed)
	}
	if s.conn != nil {
		_ = s.conn.flush(ctx) // acknowledgements; without it they come again
		s.conn.close()
	}
	s.tasks.Wait()
	s.conn = nil
	return nil
}
