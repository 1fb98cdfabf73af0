// Command rueidis drives rueidis.
package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/rueidis"

	"github.com/conchmq/conch/test/compat/go/check"
)

var ctx = context.Background()

func main() {
	address, protocol := check.Arguments()
	// The defaults, RESP3, CLIENT TRACKING and all, but for the time for an answer.
	options := rueidis.ClientOption{InitAddress: []string{address}, ConnWriteTimeout: check.Patience}
	if protocol == "RESP2" {
		options.AlwaysRESP2, options.DisableCache = true, true
	}
	named := options
	named.ClientName = check.Name
	r := &check.Report{Client: "rueidis", Version: check.Version("github.com/redis/rueidis"), Protocol: protocol}
	s := &subscriber{events: make(chan check.Event, 10000)}
	pub := &publisher{options: options}
	r.Try("connect", func() (err error) {
		if s.c, err = rueidis.NewClient(named); err != nil {
			return err
		}
		if pub.c, err = rueidis.NewClient(options); err != nil {
			return err
		}
		s.connect()
		return pub.c.Do(ctx, pub.c.B().Ping().Build()).Error()
	})
	r.Play(address, s, pub)
	r.Try("killed and back", func() error {
		s.release()
		return receive(s.c, pub)
	})
	r.Streams(pub)
	r.Share(pub)
	r.Exit()
}

// subscriber uses a dedicated connection with hooks, which tell everything in order. It does not come back by
// itself; Receive does, see below.
type subscriber struct {
	c       rueidis.Client
	d       rueidis.DedicatedClient
	events  chan check.Event
	release func()
}

func (s *subscriber) connect() {
	s.d, s.release = s.c.Dedicate()
	s.d.SetPubSubHooks(rueidis.PubSubHooks{
		OnMessage: func(m rueidis.PubSubMessage) {
			kind := check.Kind(m.Pattern, m.Channel)
			s.events <- check.Event{Kind: kind, Pattern: m.Pattern, Topic: m.Channel, Payload: m.Message}
		},
		OnSubscription: func(c rueidis.PubSubSubscription) {
			s.events <- check.Event{Kind: c.Kind, Topic: c.Channel, Count: c.Count}
		},
	})
}

func (s *subscriber) do(command rueidis.Completed) error { return s.d.Do(ctx, command).Error() }

func (s *subscriber) Subscribe(topics ...string) error {
	return s.do(s.c.B().Subscribe().Channel(topics...).Build())
}

func (s *subscriber) Unsubscribe(topics ...string) error {
	return s.do(s.c.B().Unsubscribe().Channel(topics...).Build())
}

func (s *subscriber) PSubscribe(patterns ...string) error {
	return s.do(s.c.B().Psubscribe().Pattern(patterns...).Build())
}

func (s *subscriber) PUnsubscribe(patterns ...string) error {
	return s.do(s.c.B().Punsubscribe().Pattern(patterns...).Build())
}

func (s *subscriber) SSubscribe(topics ...string) error {
	return s.do(s.c.B().Ssubscribe().Channel(topics...).Build())
}

func (s *subscriber) SUnsubscribe(topics ...string) error {
	return s.do(s.c.B().Sunsubscribe().Channel(topics...).Build())
}

// Ping goes over the subscribed connection in RESP3; in RESP2 the library keeps another one for it.
func (s *subscriber) Ping(payload string) error {
	answer, err := s.d.Do(ctx, s.c.B().Ping().Message(payload).Build()).ToString()
	if err == nil {
		s.events <- check.Event{Kind: "pong", Payload: answer}
	}
	return err
}

func (s *subscriber) Events() <-chan check.Event { return s.events }

type publisher struct {
	c       rueidis.Client
	options rueidis.ClientOption
}

func (p *publisher) Append(stream, id string, fields ...string) (string, error) {
	command := p.c.B().Xadd().Key(stream).Id(id).FieldValue()
	for i := 0; i+1 < len(fields); i += 2 {
		command = command.FieldValue(fields[i], fields[i+1])
	}
	return p.c.Do(ctx, command.Build()).ToString()
}

func (p *publisher) Range(stream, from, to string) ([]check.Entry, error) {
	got, err := p.c.Do(ctx, p.c.B().Xrange().Key(stream).Start(from).End(to).Build()).AsXRange()
	return entries(got), err
}

func (p *publisher) Read(stream, after string) ([]check.Entry, error) {
	command := p.c.B().Xread().Block(check.Patience.Milliseconds()).Streams().Key(stream).Id(after).Build()
	got, err := p.c.Do(ctx, command).AsXRead()
	return entries(got[stream]), err
}

func (p *publisher) Len(stream string) (int64, error) {
	return p.c.Do(ctx, p.c.B().Xlen().Key(stream).Build()).AsInt64()
}

func (p *publisher) Delete(stream string) (int64, error) {
	return p.c.Do(ctx, p.c.B().Del().Key(stream).Build()).AsInt64()
}

func entries(all []rueidis.XRangeEntry) (converted []check.Entry) {
	for _, e := range all {
		for name, value := range e.FieldValues {
			converted = append(converted, check.Entry{ID: e.ID, Field: name + " " + value})
		}
	}
	return converted
}

func (p *publisher) Publish(topic, payload string) (int64, error) {
	return p.c.Do(ctx, p.c.B().Publish().Channel(topic).Message(payload).Build()).AsInt64()
}

func (p *publisher) SPublish(topic, payload string) (int64, error) {
	return p.c.Do(ctx, p.c.B().Spublish().Channel(topic).Message(payload).Build()).AsInt64()
}

func (p *publisher) ClientList() (string, error) {
	return p.c.Do(ctx, p.c.B().ClientList().Build()).ToString()
}

func (p *publisher) ClientKill(id int64) (int64, error) {
	return p.c.Do(ctx, p.c.B().Arbitrary("CLIENT", "KILL", "ID", fmt.Sprint(id)).Build()).AsInt64()
}

// receive has many topics at once, is killed, and comes back with all of them by itself.
func receive(c rueidis.Client, pub *publisher) error {
	topics := check.Many()
	last := topics[len(topics)-1]
	stop, cancel := context.WithCancel(ctx)
	defer cancel()
	messages := make(chan string, 10000)
	ended := make(chan error, 1)
	go func() {
		ended <- c.Receive(stop, c.B().Subscribe().Channel(topics...).Build(), func(m rueidis.PubSubMessage) {
			messages <- m.Message
		})
	}()
	arrive := func(payload string) error {
		return check.Eventually(payload, func() (bool, error) {
			if _, err := pub.Publish(last, payload); err != nil {
				return false, err
			}
			for {
				select {
				case m := <-messages:
					if m == payload {
						return true, nil
					}
				case err := <-ended:
					return false, fmt.Errorf("the end of Receive: %w", err)
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
	if err := arrive("after the kill"); err != nil {
		return err
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		return fmt.Errorf("the end of Receive: %w", err)
	}
	return nil
}
