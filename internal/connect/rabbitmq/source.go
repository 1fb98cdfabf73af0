package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/url"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/conchmq/conch/internal/connect"
)

// source consumes a queue. What is not acknowledged when the connection ends is delivered again.
type source struct {
	address     *url.URL
	name, queue string
	limit       int // of a payload
	prefetch    int
	ids         bool

	link      *link
	delivered *connect.Queue // holds as much as the prefetch lets the server send
	read      uint64         // the number of the last delivery that Read has returned
	received  chan struct{}  // closed when receive has returned
}

func (s *source) Connect(ctx context.Context, _ connect.Start) error {
	link, err := dial(ctx, s.address, s.name)
	if err != nil {
		return err
	}
	deliveries, err := s.consume(link)
	if err != nil {
		link.close()
		return diagnose(err)
	}
	s.link, s.read = link, 0
	s.delivered, s.received = connect.NewQueue(math.MaxInt), make(chan struct{})
	go s.receive(deliveries)
	return nil
}

func (s *source) consume(l *link) (<-chan amqp.Delivery, error) {
	if err := l.channel.Qos(s.prefetch, 0, false); err != nil {
		return nil, err
	}
	return l.channel.Consume(s.queue, s.name, false, false, false, false, nil)
}

// receive takes deliveries from the library until the connection ends. It is a goroutine of its own: the library hands over one at a time,
// and Read returns all that are there.
func (s *source) receive(deliveries <-chan amqp.Delivery) {
	defer close(s.received)
	var meta metaCache
	last := uint64(0)
	for d := range deliveries {
		if last++; d.DeliveryTag != last {
			s.delivered.End(fmt.Errorf("rabbitmq has numbered a delivery %d, not %d", d.DeliveryTag, last))
			return
		}
		m := connect.Message{Payload: connect.Clip(d.Body, s.limit), Headers: readHeaders(&d), Meta: meta.of(s.queue, &d), Time: d.Timestamp}
		if s.ids {
			m.ID = d.MessageId
		}
		_ = s.delivered.Put(context.Background(), m) // the queue has room for a whole prefetch
	}
	if s.link.channel.IsClosed() {
		s.delivered.End(s.link.reason())
		return
	}
	s.delivered.End(&connect.Permanent{Err: errors.New("rabbitmq has ended the consumer: the queue was deleted")})
}

func (s *source) Read(ctx context.Context) (connect.Batch, error) {
	messages, err := s.delivered.Take(ctx)
	if err != nil {
		return connect.Batch{}, err
	}
	first := s.read + 1
	s.read += uint64(len(messages))
	last := s.read
	channel := s.link.channel
	return connect.Batch{Messages: messages, Ack: func(_ context.Context, err error) error {
		return acknowledge(channel, first, last, err)
	}}, nil
}

// acknowledge ends the deliveries of a batch, of which all before are ended. Those that conch never takes are rejected, for the dead letters
// of the queue, if it has some.
func acknowledge(channel *amqp.Channel, first, last uint64, err error) error {
	var refused *connect.Refused
	rejected := make(map[uint64]bool)
	if errors.As(err, &refused) {
		for _, i := range refused.Indices {
			tag := first + uint64(i)
			rejected[tag] = true
			if err := channel.Nack(tag, false, false); err != nil {
				return err
			}
		}
	}
	for rejected[last] && last >= first { // an acknowledgement must name a delivery that has not ended
		last--
	}
	if last < first {
		return nil
	}
	return channel.Ack(last, true)
}

func (s *source) Close(context.Context) error {
	if s.link != nil {
		s.link.close()
		<-s.received
		s.link = nil
	}
	return nil
}

// metaCache reuses the metadata of the delivery before, which mostly has the same.
type metaCache struct {
	exchange, key string
	meta          map[string]string
}

func (c *metaCache) of(queue string, d *amqp.Delivery) map[string]string {
	if c.meta == nil || c.exchange != d.Exchange || c.key != d.RoutingKey {
		c.exchange, c.key = d.Exchange, d.RoutingKey
		c.meta = map[string]string{"queue": queue, "exchange": d.Exchange, "routing_key": d.RoutingKey}
	}
	return c.meta
}
