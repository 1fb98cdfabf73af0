package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/conchmq/conch/internal/connect"
)

// unconfirmed is how many messages may wait for their confirmation. The library blocks if more of them are returned than returns holds.
const unconfirmed = 1024

// sink publishes to an exchange. RabbitMQ confirms a message once all queues have it.
type sink struct {
	address   *url.URL
	name      string
	exchange  string
	key       *connect.Template
	unrouted  bool // messages without a queue are fine
	transient bool

	link    *link
	returns chan amqp.Return // messages that no queue takes; they come ahead of their confirmation
}

func (s *sink) Connect(ctx context.Context) error {
	link, err := dial(ctx, s.address, s.name)
	if err != nil {
		return err
	}
	s.link = link
	if err := s.confirm(); err != nil {
		link.close()
		s.link = nil
		return diagnose(err)
	}
	return nil
}

// confirm prepares a new channel.
func (s *sink) confirm() error {
	s.returns = s.link.channel.NotifyReturn(make(chan amqp.Return, unconfirmed))
	if s.exchange != "" {
		if err := s.exists(); err != nil {
			return err
		}
	}
	return s.link.channel.Confirm(false)
}

// exists finds out whether there is such an exchange, before a message needs it. A channel of its own bears the refusal. The kind
// plays no part in a passive declaration.
func (s *sink) exists() error {
	channel, err := s.link.conn.Channel()
	if err != nil {
		return err
	}
	if err := channel.ExchangeDeclarePassive(s.exchange, amqp.ExchangeTopic, true, false, false, false, nil); err != nil {
		return err
	}
	return channel.Close()
}

// Write publishes a batch. If the server closes the channel over one message, the batch is written again, one message after the other,
// which shows the one.
func (s *sink) Write(ctx context.Context, batch []connect.Message) error {
	stop := context.AfterFunc(ctx, func() { _ = s.link.socket.Close() }) // the library's writes know no context
	defer stop()
	refused := &connect.Refused{}
	for first := 0; first < len(batch); first += unconfirmed {
		part := batch[first:min(first+unconfirmed, len(batch))]
		err := s.writePart(ctx, part, first, refused)
		if s.isRefusal(err) {
			err = s.writeSingly(ctx, part, first, refused)
		}
		if err != nil {
			return diagnose(err)
		}
	}
	if len(refused.Indices) > 0 {
		return refused
	}
	return nil
}

// isRefusal is true if the server has closed the channel, and not the connection, over what a message is.
func (s *sink) isRefusal(err error) bool {
	var e *amqp.Error
	return errors.As(err, &e) && e.Code == amqp.PreconditionFailed && !s.link.conn.IsClosed()
}

func (s *sink) writeSingly(ctx context.Context, part []connect.Message, first int, refused *connect.Refused) error {
	for i := range part {
		if s.link.channel.IsClosed() {
			if err := s.reopen(); err != nil {
				return err
			}
		}
		err := s.writePart(ctx, part[i:i+1], first+i, refused)
		if s.isRefusal(err) {
			refused.Add(first+i, err)
			err = nil
		}
		if err != nil {
			return err
		}
	}
	if s.link.channel.IsClosed() {
		return s.reopen()
	}
	return nil
}

func (s *sink) reopen() error {
	if err := s.link.openChannel(); err != nil {
		return err
	}
	return s.confirm()
}

// writePart publishes messages, and waits until all are confirmed. The first one is at an index of the batch.
func (s *sink) writePart(ctx context.Context, part []connect.Message, first int, refused *connect.Refused) error {
	waiting := make([]*amqp.DeferredConfirmation, len(part))
	for i := range part {
		m := &part[i]
		key, err := s.key.Expand(m, nil)
		if err == nil && len(key) > maxShort {
			err = fmt.Errorf("the routing key %.60q… has %d bytes, AMQP allows %d", key, len(key), maxShort)
		}
		if err != nil {
			refused.Add(first+i, err)
			continue
		}
		p := amqp.Publishing{MessageId: m.ID, Body: m.Payload, Timestamp: m.Time, DeliveryMode: amqp.Persistent}
		if s.transient {
			p.DeliveryMode = amqp.Transient
		}
		setHeaders(&p, m.Headers)
		if waiting[i], err = s.link.channel.PublishWithDeferredConfirm(s.exchange, key, !s.unrouted, false, p); err != nil {
			return s.because(err)
		}
	}
	for i, confirmation := range waiting {
		if confirmation == nil {
			continue
		}
		switch acked, err := confirmation.WaitContext(ctx); {
		case err != nil:
			return err
		case !acked && s.link.channel.IsClosed():
			return s.because(amqp.ErrClosed)
		case !acked:
			return fmt.Errorf("rabbitmq has not taken message %s", part[i].ID)
		}
	}
	return s.refuseReturned(part, first, refused)
}

// because is why the channel was closed, if that is why a write failed.
func (s *sink) because(err error) error {
	if errors.Is(err, amqp.ErrClosed) {
		if reason := <-s.link.closed; reason != nil {
			return reason
		}
	}
	return err
}

// refuseReturned takes the messages that came back, all of which did so ahead of the confirmations. If no message has a say in where it
// goes, it is not the message's fault: the whole batch waits for a queue.
func (s *sink) refuseReturned(part []connect.Message, first int, refused *connect.Refused) error {
	for len(s.returns) > 0 {
		back := <-s.returns
		err := fmt.Errorf("no queue takes messages of exchange %q with the key %.60q: bind one, or allow it by &unrouted=true", s.exchange, back.RoutingKey)
		if _, fixed := s.key.Fixed(); fixed {
			return &connect.Permanent{Err: err}
		}
		for i := range part {
			if part[i].ID == back.MessageId {
				refused.Add(first+i, err)
				break
			}
		}
	}
	return nil
}

func (s *sink) Close(context.Context) error {
	if s.link != nil {
		s.link.close()
		s.link = nil
	}
	return nil
}
