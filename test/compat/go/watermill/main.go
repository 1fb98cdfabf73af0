// Command watermill drives Watermill's module for Redis Streams: a publisher, and two consumers of a group, one of which dies.
package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill-redisstream/pkg/redisstream"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/redis/go-redis/v9"

	"github.com/conchmq/conch/test/compat/go/check"
)

const jobs = 60

var topic = check.Topic("jobs")

func main() {
	address, protocol := check.Arguments()
	r := &check.Report{Client: "Watermill", Version: check.Version("github.com/ThreeDotsLabs/watermill-redisstream"), Protocol: protocol}
	w := &work{options: redis.Options{Addr: address, Protocol: 3, ReadTimeout: check.Patience}, done: map[string]int{}}
	if protocol == "RESP2" {
		w.options.Protocol = 2
	}
	r.Try("publish", w.publish)
	r.Try("two consumers, one of which dies", w.share)
	r.Try("without a group", w.fanOut)
	r.Exit()
}

// work is what two consumers share.
type work struct {
	options redis.Options
	done    map[string]int // how often a message was acknowledged
}

func (w *work) publish() error {
	p, err := redisstream.NewPublisher(redisstream.PublisherConfig{Client: redis.NewClient(&w.options)}, watermill.NopLogger{})
	if err != nil {
		return err
	}
	defer func() { _ = p.Close() }()
	for i := range jobs {
		m := message.NewMessage(watermill.NewUUID(), []byte(fmt.Sprint("job ", i)))
		m.Metadata.Set("number", fmt.Sprint(i))
		if err := p.Publish(topic, m); err != nil {
			return err
		}
	}
	return nil
}

// consume subscribes a consumer, whose messages come until stop.
func (w *work) consume(config redisstream.SubscriberConfig) (messages <-chan *message.Message, stop func(), err error) {
	c := redis.NewClient(&w.options)
	config.Client, config.ClaimInterval, config.MaxIdleTime = c, 20*time.Millisecond, 100*time.Millisecond
	s, err := redisstream.NewSubscriber(config, watermill.NopLogger{})
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	stop = func() {
		_ = c.Close() // as if the process had ended: nothing is acknowledged any more
		cancel()
		_ = s.Close() // its connection is gone
	}
	messages, err = s.Subscribe(ctx, topic)
	return messages, stop, err
}

// take returns the next message, whole.
func take(messages <-chan *message.Message) (*message.Message, error) {
	select {
	case m, ok := <-messages:
		if !ok {
			return nil, fmt.Errorf("the messages have ended")
		}
		if want := "job " + m.Metadata.Get("number"); string(m.Payload) != want {
			return nil, fmt.Errorf("the payload is %q, not %q", m.Payload, want)
		}
		return m, nil
	case <-time.After(check.Patience):
		return nil, fmt.Errorf("no message within %v", check.Patience)
	}
}

// share has two consumers work in turn, until one dies with a message at hand. The other one does the rest.
func (w *work) share() error {
	doomed, kill, err := w.consume(redisstream.SubscriberConfig{ConsumerGroup: "workers", Consumer: "doomed"})
	if err != nil {
		return err
	}
	defer kill()
	other, stop, err := w.consume(redisstream.SubscriberConfig{ConsumerGroup: "workers", Consumer: "other"})
	if err != nil {
		return err
	}
	defer stop()
	for range 10 {
		if err := errors.Join(w.do(doomed), w.do(other)); err != nil {
			return err
		}
	}
	left, err := take(doomed)
	if err != nil {
		return err
	}
	kill()
	for len(w.done) < jobs {
		if err := w.do(other); err != nil {
			return fmt.Errorf("after %d of %d: %w", len(w.done), jobs, err)
		}
	}
	if w.done[string(left.Payload)] == 0 {
		return fmt.Errorf("%s is not done, which the dead consumer had at hand", left.Payload)
	}
	return w.settled() // while the consumer is there: its last acknowledgement may be on its way
}

// do takes a message and acknowledges it.
func (w *work) do(messages <-chan *message.Message) error {
	m, err := take(messages)
	if err != nil {
		return err
	}
	w.done[string(m.Payload)]++
	m.Ack()
	return nil
}

func (w *work) settled() error {
	c := redis.NewClient(&w.options)
	defer func() { _ = c.Close() }()
	return check.Eventually("all acknowledged", func() (bool, error) {
		groups, err := c.XInfoGroups(context.Background(), topic).Result()
		if err != nil || len(groups) != 1 {
			return false, fmt.Errorf("%+v: %w", groups, err)
		}
		return groups[0].Pending == 0 && groups[0].Lag == 0, nil
	})
}

// fanOut reads all messages in order, without a group.
func (w *work) fanOut() error {
	messages, stop, err := w.consume(redisstream.SubscriberConfig{FanOutOldestId: "0"})
	if err != nil {
		return err
	}
	defer stop()
	for i := range jobs {
		m, err := take(messages)
		if err != nil {
			return err
		}
		if want := fmt.Sprint("job ", i); string(m.Payload) != want {
			return fmt.Errorf("got %q, not %q", m.Payload, want)
		}
		m.Ack()
	}
	return nil
}
