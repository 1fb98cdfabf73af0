package main

import (
	"context"
	"errors"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill-redisstream/pkg/redisstream"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"
)

// watermillIn reads a stream by a group, and does nothing with the messages.
func (b *bench) watermillIn(ctx context.Context, stream string, payload []byte, n int) (spent, error) {
	values, err := redisstream.DefaultMarshallerUnmarshaller{}.Marshal(stream, message.NewMessage(watermill.NewUUID(), payload))
	if err != nil {
		return spent{}, err
	}
	if err := b.fill(ctx, stream, n, values); err != nil {
		return spent{}, err
	}
	from, err := redisstream.NewSubscriber(redisstream.SubscriberConfig{Client: b.dial(), ConsumerGroup: "g", Consumer: "c", OldestId: "0"}, nil)
	if err != nil {
		return spent{}, err
	}
	return route(ctx, n, nil, func(r *message.Router, took func()) {
		r.AddConsumerHandler("in", stream, from, func(*message.Message) error { took(); return nil })
	})
}

// watermillOut writes messages from a channel of the process to a stream.
func (b *bench) watermillOut(ctx context.Context, stream string, payload []byte, n int) (spent, error) {
	to, err := redisstream.NewPublisher(redisstream.PublisherConfig{Client: b.dial()}, nil)
	if err != nil {
		return spent{}, err
	}
	from := gochannel.NewGoChannel(gochannel.Config{OutputChannelBuffer: 1024, BlockPublishUntilSubscriberAck: true}, nil)
	feed := func() error {
		for range n {
			if err := from.Publish("from", message.NewMessage(watermill.NewUUID(), payload)); err != nil {
				return err
			}
		}
		return nil
	}
	s, err := route(ctx, n, feed, func(r *message.Router, took func()) {
		r.AddHandler("out", "from", from, stream, to, func(m *message.Message) ([]*message.Message, error) {
			took()
			return message.Messages{m}, nil
		})
	})
	if err == nil && b.client.XLen(ctx, stream).Val() != int64(n) {
		err = errors.New("not all has come")
	}
	return s, err
}

// route runs a router until its handler has taken n messages. feed, if there is one, returns once all are acknowledged.
func route(ctx context.Context, n int, feed func() error, add func(r *message.Router, took func())) (s spent, err error) {
	router, err := message.NewRouter(message.RouterConfig{}, watermill.NopLogger{})
	if err != nil {
		return s, err
	}
	taken, all := 0, make(chan struct{})
	add(router, func() { // one message at a time
		if taken++; taken == n {
			close(all)
		}
	})
	start := time.Now()
	before, err := ownCPU()
	if err != nil {
		return s, err
	}
	ended := make(chan error, 1)
	go func() { ended <- router.Run(ctx) }()
	<-router.Running()
	if feed != nil {
		err = feed()
	}
	if err == nil {
		<-all
	}
	after, errCPU := ownCPU()
	s = spent{time.Since(start), after - before}
	return s, errors.Join(err, errCPU, router.Close(), <-ended)
}
