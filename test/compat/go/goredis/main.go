// Command goredis drives go-redis.
package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/conchmq/conch/test/compat/go/check"
)

var ctx = context.Background()

func main() {
	address, protocol := check.Arguments()
	options := redis.Options{Addr: address, Protocol: 3, TLSConfig: check.TLS(), ReadTimeout: check.Patience} // behind it a publish is sent twice
	if protocol == "RESP2" {
		options.Protocol = 2
	}
	named := options
	named.ClientName = check.Name
	r := &check.Report{Client: "go-redis", Version: check.Version("github.com/redis/go-redis/v9"), Protocol: protocol}
	sub, pub := redis.NewClient(&named), &publisher{redis.NewClient(&options)}
	r.Try("connect", func() error { return errors.Join(pub.c.Ping(ctx).Err(), agreed(pub.c, options.Protocol)) })

	s := newSubscriber(sub.Subscribe(ctx))
	r.Play(address, s, pub)
	r.Killed(address, s, pub)
	_ = s.Close() // it is not needed any more
	r.Try("Channel, killed and back", func() error { return channel(sub, pub) })
	r.Streams(pub)
	r.Share(pub)
	if check.Conch() {
		r.Try("a predicate", func() error { return predicate(sub, pub) })
	} else {
		r.Skip("a predicate", "this server has none")
	}
	r.Exit()
}

// predicate subscribes to what a predicate says, in the name of a pattern: messages come back by that very name.
func predicate(c *redis.Client, pub *publisher) error {
	topic := check.Topic("orders.eu")
	named := check.Topic("orders.*") + " WHERE price > 100"
	ps := c.PSubscribe(ctx, named)
	defer func() { _ = ps.Close() }()
	limited, cancel := context.WithTimeout(ctx, check.Patience)
	defer cancel()
	got, err := ps.Receive(limited)
	if err != nil {
		return err
	}
	if s, ok := got.(*redis.Subscription); !ok || s.Channel != named {
		return fmt.Errorf("PSUBSCRIBE %s: confirmed by %v", named, got)
	}
	for payload, want := range map[string]int64{`{"price":100}`: 0, "no JSON": 0, `{"price":100.5}`: 1} {
		n, err := pub.Publish(topic, payload)
		if err != nil {
			return err
		}
		if n != want {
			return fmt.Errorf("PUBLISH %s: %d receivers, not %d", payload, n, want)
		}
	}
	m, err := ps.ReceiveMessage(limited)
	if err != nil {
		return err
	}
	if m.Pattern != named || m.Channel != topic || m.Payload != `{"price":100.5}` {
		return fmt.Errorf("not what matches: %v", m)
	}
	if err := ps.PUnsubscribe(ctx, named); err != nil {
		return err
	}
	if got, err = ps.Receive(limited); err != nil {
		return err
	}
	if s, ok := got.(*redis.Subscription); !ok || s.Kind != "punsubscribe" || s.Channel != named || s.Count != 0 {
		return fmt.Errorf("PUNSUBSCRIBE %s: confirmed by %v", named, got)
	}
	return nil
}

func (p *publisher) Append(stream, id string, fields ...string) (string, error) {
	return p.c.XAdd(ctx, &redis.XAddArgs{Stream: stream, ID: id, Values: fields}).Result()
}

func (p *publisher) Range(stream, from, to string) ([]check.Entry, error) {
	got, err := p.c.XRange(ctx, stream, from, to).Result()
	return entries(got), err
}

func (p *publisher) Read(stream, after string) ([]check.Entry, error) {
	got, err := p.c.XRead(ctx, &redis.XReadArgs{Streams: []string{stream, after}, Block: check.Patience}).Result()
	if err != nil || len(got) != 1 {
		return nil, fmt.Errorf("%d streams: %w", len(got), err)
	}
	return entries(got[0].Messages), nil
}

func (p *publisher) Len(stream string) (int64, error) { return p.c.XLen(ctx, stream).Result() }

func (p *publisher) Delete(stream string) (int64, error) { return p.c.Del(ctx, stream).Result() }

func entries(all []redis.XMessage) (converted []check.Entry) {
	for _, m := range all {
		for name, value := range m.Values {
			converted = append(converted, check.Entry{ID: m.ID, Field: fmt.Sprint(name, " ", value)})
		}
	}
	return converted
}

// agreed asks which protocol the connection ended up with: the library falls back in silence.
func agreed(c *redis.Client, want int) error {
	answer, err := c.Do(ctx, "HELLO").Result()
	if err != nil {
		return err
	}
	var got any
	switch answer := answer.(type) {
	case map[any]any:
		got = answer["proto"]
	case []any:
		for i := 0; i+1 < len(answer); i += 2 {
			if answer[i] == "proto" {
				got = answer[i+1]
			}
		}
	}
	if got != int64(want) {
		return fmt.Errorf("HELLO: protocol %v, not %d", got, want)
	}
	return nil
}

// subscriber reads with Receive, which reconnects by itself.
type subscriber struct {
	*redis.PubSub
	events chan check.Event
}

func newSubscriber(ps *redis.PubSub) *subscriber {
	s := &subscriber{PubSub: ps, events: make(chan check.Event, 10000)}
	go s.read()
	return s
}

func (s *subscriber) read() {
	for {
		got, err := s.Receive(ctx)
		if errors.Is(err, redis.ErrClosed) {
			return
		}
		if err != nil {
			s.events <- check.Event{Kind: "lost", Payload: err.Error()}
			continue
		}
		s.events <- event(got)
	}
}

func event(got any) check.Event {
	switch got := got.(type) {
	case *redis.Subscription:
		return check.Event{Kind: got.Kind, Topic: got.Channel, Count: int64(got.Count)}
	case *redis.Message:
		kind := check.Kind(got.Pattern, got.Channel)
		return check.Event{Kind: kind, Pattern: got.Pattern, Topic: got.Channel, Payload: got.Payload}
	case *redis.Pong:
		return check.Event{Kind: "pong", Payload: got.Payload}
	}
	return check.Event{Kind: fmt.Sprintf("%T", got)}
}

func (s *subscriber) Subscribe(topics ...string) error   { return s.PubSub.Subscribe(ctx, topics...) }
func (s *subscriber) Unsubscribe(topics ...string) error { return s.PubSub.Unsubscribe(ctx, topics...) }
func (s *subscriber) PSubscribe(patterns ...string) error {
	return s.PubSub.PSubscribe(ctx, patterns...)
}
func (s *subscriber) PUnsubscribe(patterns ...string) error {
	return s.PubSub.PUnsubscribe(ctx, patterns...)
}
func (s *subscriber) SSubscribe(topics ...string) error { return s.PubSub.SSubscribe(ctx, topics...) }
func (s *subscriber) SUnsubscribe(topics ...string) error {
	return s.PubSub.SUnsubscribe(ctx, topics...)
}
func (s *subscriber) Ping(payload string) error  { return s.PubSub.Ping(ctx, payload) }
func (s *subscriber) Events() <-chan check.Event { return s.events }

type publisher struct{ c *redis.Client }

func (p *publisher) Publish(topic, payload string) (int64, error) {
	return p.c.Publish(ctx, topic, payload).Result()
}

func (p *publisher) SPublish(topic, payload string) (int64, error) {
	return p.c.SPublish(ctx, topic, payload).Result()
}

func (p *publisher) ClientList() (string, error) { return p.c.ClientList(ctx).Result() }

func (p *publisher) ClientKill(id int64) (int64, error) {
	return p.c.ClientKillByFilter(ctx, "ID", fmt.Sprint(id)).Result()
}

// channel reads the other way, as most programs do.
func channel(c *redis.Client, pub *publisher) error {
	ps := c.Subscribe(ctx, check.Topic("channel"))
	defer func() { _ = ps.Close() }()
	messages := ps.Channel()
	arrive := func(payload string) error {
		return check.Eventually(payload, func() (bool, error) {
			if _, err := pub.Publish(check.Topic("channel"), payload); err != nil {
				return false, err
			}
			for {
				select {
				case m := <-messages:
					if m.Payload == payload {
						return true, nil
					}
				default:
					return false, nil
				}
			}
		})
	}
	if err := arrive("before the kill"); err != nil {
		return err
	}
	if err := check.Kill(pub); err != nil {
		return err
	}
	return arrive("after the kill")
}
