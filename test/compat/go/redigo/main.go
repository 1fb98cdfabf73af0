// Command redigo drives redigo. It does not reconnect by itself: its pool gives a new connection.
package main

import (
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/conchmq/conch/test/compat/go/check"
)

func main() {
	address, protocol := check.Arguments()
	r := &check.Report{Client: "redigo", Version: check.Version("github.com/gomodule/redigo"), Protocol: protocol}
	pool := &redis.Pool{
		MaxIdle: 4,
		Dial: func() (redis.Conn, error) {
			return redis.Dial("tcp", address, redis.DialReadTimeout(check.Patience), redis.DialClientName(check.Name))
		},
		TestOnBorrow: func(c redis.Conn, _ time.Time) error {
			_, err := c.Do("PING")
			return err
		},
	}
	s := &subscriber{pool: pool, events: make(chan check.Event, 10000), ready: make(chan redis.PubSubConn, 1)}
	pub := &publisher{}
	r.Try("connect", func() (err error) {
		pub.Conn, err = redis.Dial("tcp", address, redis.DialReadTimeout(check.Patience))
		if err == nil {
			_, err = pub.Do("PING")
		}
		return err
	})
	go s.read()
	r.Play(address, s, pub)
	r.Killed(address, s, pub)
	r.Exit()
}

type subscriber struct {
	pool   *redis.Pool
	ready  chan redis.PubSubConn // the first connection
	conn   redis.PubSubConn
	topics []any // what to subscribe to again
	events chan check.Event
}

func (s *subscriber) read() {
	c := redis.PubSubConn{Conn: s.pool.Get()}
	s.ready <- c
	for {
		switch got := c.ReceiveWithTimeout(0).(type) {
		case redis.Subscription:
			s.events <- check.Event{Kind: got.Kind, Topic: got.Channel, Count: int64(got.Count)}
		case redis.Message:
			kind := check.Kind(got.Pattern, got.Channel)
			s.events <- check.Event{Kind: kind, Pattern: got.Pattern, Topic: got.Channel, Payload: string(got.Data)}
		case redis.Pong:
			s.events <- check.Event{Kind: "pong", Payload: got.Data}
		case error:
			s.events <- check.Event{Kind: "lost", Payload: got.Error()}
			_ = c.Close() // it is lost anyway
			c = redis.PubSubConn{Conn: s.pool.Get()}
			if err := c.Subscribe(s.topics...); err != nil {
				s.events <- check.Event{Kind: "lost", Payload: err.Error()}
				return
			}
		}
	}
}

// connected is the first connection: all but the kill happens on it.
func (s *subscriber) connected() redis.PubSubConn {
	if s.conn.Conn == nil {
		s.conn = <-s.ready
	}
	return s.conn
}

func (s *subscriber) Subscribe(topics ...string) error {
	s.topics = append(s.topics, anys(topics)...)
	return s.connected().Subscribe(anys(topics)...)
}

func (s *subscriber) Unsubscribe(topics ...string) error {
	return s.connected().Unsubscribe(anys(topics)...)
}
func (s *subscriber) PSubscribe(patterns ...string) error {
	return s.connected().PSubscribe(anys(patterns)...)
}
func (s *subscriber) PUnsubscribe(patterns ...string) error {
	return s.connected().PUnsubscribe(anys(patterns)...)
}
func (s *subscriber) Ping(payload string) error  { return s.connected().Ping(payload) }
func (s *subscriber) Events() <-chan check.Event { return s.events }

func anys(texts []string) (all []any) {
	for _, t := range texts {
		all = append(all, t)
	}
	return all
}

type publisher struct{ redis.Conn }

func (p *publisher) Publish(topic, payload string) (int64, error) {
	return redis.Int64(p.Do("PUBLISH", topic, payload))
}

func (p *publisher) SPublish(topic, payload string) (int64, error) {
	return redis.Int64(p.Do("SPUBLISH", topic, payload))
}

func (p *publisher) ClientList() (string, error) { return redis.String(p.Do("CLIENT", "LIST")) }

func (p *publisher) ClientKill(id int64) (int64, error) {
	return redis.Int64(p.Do("CLIENT", "KILL", "ID", id))
}
