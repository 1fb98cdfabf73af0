package check

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

const (
	thousand = 1000
	many     = 2000
)

// Event is what a subscriber is told: a message, a confirmation or the answer to a ping.
type Event struct {
	Kind    string // message, pmessage, smessage, subscribe, unsubscribe and so on, pong, or lost
	Pattern string
	Topic   string // for a confirmation, the topic or the pattern
	Payload string
	Count   int64 // of a confirmation
}

// Subscriber is one connection that listens, by whatever means its library has. What it is told comes from Events.
type Subscriber interface {
	Subscribe(topics ...string) error
	Unsubscribe(topics ...string) error
	PSubscribe(patterns ...string) error
	PUnsubscribe(patterns ...string) error
	Ping(payload string) error
	Events() <-chan Event
}

// Sharded is a subscriber whose library knows sharded topics. Not every library tells their messages from others, so
// their name does: see Kind.
type Sharded interface {
	SSubscribe(topics ...string) error
	SUnsubscribe(topics ...string) error
}

// Kind is the kind of a message.
func Kind(pattern, topic string) string {
	switch {
	case pattern != "":
		return "pmessage"
	case topic == Topic("sharded"):
		return "smessage"
	}
	return "message"
}

// Publisher is another connection, of the same library.
type Publisher interface {
	Publish(topic, payload string) (int64, error)
	SPublish(topic, payload string) (int64, error)
	ClientList() (string, error)
	ClientKill(id int64) (int64, error)
}

// Name is what the subscriber calls itself with CLIENT SETNAME, so that it can be found and killed.
var Name = fmt.Sprintf("compat-%d", os.Getpid())

// Topic makes a topic that no other program uses.
func Topic(name string) string { return Name + ":" + name }

// scenario is one subscriber and one publisher.
type scenario struct {
	address string
	sub     Subscriber
	pub     Publisher
}

// Play runs all checks but the kill.
func (r *Report) Play(address string, sub Subscriber, pub Publisher) {
	s := &scenario{address: address, sub: sub, pub: pub}
	r.Try("subscribe", s.subscribe)
	r.Try("PUBLISH counts", s.counts)
	r.Try("a thousand messages", s.thousand)
	if Conch() {
		r.Try("a thousand lines", s.lines)
	} else {
		r.Skip("a thousand lines", "this server does not speak lines")
	}
	r.Try("ping while subscribed", s.ping)
	r.Try("unsubscribe", s.unsubscribe)
	if _, ok := sub.(Sharded); ok {
		r.Try("sharded topics", s.sharded)
	}
	r.Try("2,000 topics at once", s.many)
}

// Killed runs the last check, for a subscriber that comes back by itself.
func (r *Report) Killed(address string, sub Subscriber, pub Publisher) {
	s := &scenario{address: address, sub: sub, pub: pub}
	r.Try("killed and back", s.killed)
}

func (s *scenario) subscribe() error {
	if err := s.sub.Subscribe(Topic("one"), Topic("two")); err != nil {
		return err
	}
	if err := s.sub.PSubscribe(Topic("news.*")); err != nil {
		return err
	}
	return s.expect(
		Event{Kind: "subscribe", Topic: Topic("one"), Count: 1},
		Event{Kind: "subscribe", Topic: Topic("two"), Count: 2},
		Event{Kind: "psubscribe", Topic: Topic("news.*"), Count: 3},
	)
}

func (s *scenario) counts() error {
	if err := s.sub.Subscribe(Topic("news.both")); err != nil {
		return err
	}
	if err := s.expect(Event{Kind: "subscribe", Topic: Topic("news.both"), Count: 4}); err != nil {
		return err
	}
	err := errors.Join(
		s.publish("nobody", "x", 0), s.publish("one", "", 1), s.publish("news.x", "\r\n\x00\xff", 1),
		s.publish("news.both", "z", 2), s.publish("two", "last", 1),
	)
	if err != nil {
		return err
	}
	return s.expect(
		Event{Kind: "message", Topic: Topic("one")},
		Event{Kind: "pmessage", Pattern: Topic("news.*"), Topic: Topic("news.x"), Payload: "\r\n\x00\xff"},
		Event{Kind: "message", Topic: Topic("news.both"), Payload: "z"},
		Event{Kind: "pmessage", Pattern: Topic("news.*"), Topic: Topic("news.both"), Payload: "z"},
		Event{Kind: "message", Topic: Topic("two"), Payload: "last"},
	)
}

// Numbered are a thousand messages, in turn for a topic and for the pattern.
func Numbered(prefix string) (all []Event) {
	for i := range thousand {
		e := Event{Kind: "message", Topic: Topic("one"), Payload: prefix + strconv.Itoa(i)}
		if i%2 == 1 {
			e.Kind, e.Pattern, e.Topic = "pmessage", Topic("news.*"), Topic("news."+strconv.Itoa(i))
		}
		all = append(all, e)
	}
	return all
}

func (s *scenario) thousand() error {
	all := Numbered("redis ")
	for _, m := range all {
		n, err := s.pub.Publish(m.Topic, m.Payload)
		if err != nil || n != 1 {
			return fmt.Errorf("PUBLISH %s %q: %d, %v; not 1", m.Topic, m.Payload, n, err)
		}
	}
	return s.expect(all...)
}

func (s *scenario) lines() error {
	all := Numbered("line, \"quoted\" ")
	if err := PublishLines(s.address, all); err != nil {
		return err
	}
	return s.expect(all...)
}

func (s *scenario) ping() error {
	if err := s.sub.Ping("are you there"); err != nil {
		return err
	}
	return s.expect(Event{Kind: "pong", Payload: "are you there"})
}

func (s *scenario) unsubscribe() error {
	if err := s.sub.Unsubscribe(Topic("two"), Topic("news.both")); err != nil {
		return err
	}
	err := s.expect(
		Event{Kind: "unsubscribe", Topic: Topic("two"), Count: 3},
		Event{Kind: "unsubscribe", Topic: Topic("news.both"), Count: 2},
	)
	if err != nil {
		return err
	}
	if err := s.sub.PUnsubscribe(Topic("news.*")); err != nil {
		return err
	}
	if err := s.expect(Event{Kind: "punsubscribe", Topic: Topic("news.*"), Count: 1}); err != nil {
		return err
	}
	err = errors.Join(s.publish("two", "x", 0), s.publish("news.both", "x", 0), s.publish("one", "still", 1))
	if err != nil {
		return err
	}
	return s.expect(Event{Kind: "message", Topic: Topic("one"), Payload: "still"})
}

func (s *scenario) sharded() error {
	sub := s.sub.(Sharded)
	if err := sub.SSubscribe(Topic("sharded")); err != nil {
		return err
	}
	if err := s.expect(Event{Kind: "ssubscribe", Topic: Topic("sharded"), Count: 1}); err != nil {
		return err
	}
	n, err := s.pub.SPublish(Topic("sharded"), "sharded")
	if err != nil || n != 1 {
		return fmt.Errorf("SPUBLISH: %d, %v; not 1", n, err)
	}
	if err := s.publish("one", "plain", 1); err != nil {
		return err
	}
	err = s.expect(
		Event{Kind: "smessage", Topic: Topic("sharded"), Payload: "sharded"},
		Event{Kind: "message", Topic: Topic("one"), Payload: "plain"},
	)
	if err != nil {
		return err
	}
	if err := sub.SUnsubscribe(Topic("sharded")); err != nil {
		return err
	}
	return s.expect(Event{Kind: "sunsubscribe", Topic: Topic("sharded")})
}

// Many are enough topics for one long command.
func Many() (topics []string) {
	for i := range many {
		topics = append(topics, Topic("many-"+strconv.Itoa(i)))
	}
	return topics
}

func (s *scenario) many() error {
	topics := Many()
	var confirmed []Event
	for i, topic := range topics {
		confirmed = append(confirmed, Event{Kind: "subscribe", Topic: topic, Count: int64(i + 2)})
	}
	if err := s.sub.Subscribe(topics...); err != nil {
		return err
	}
	if err := s.expect(confirmed...); err != nil {
		return err
	}
	return s.publishMany("first")
}

// publishMany publishes to each of the many topics and waits for all of it.
func (s *scenario) publishMany(payload string) error {
	var all []Event
	for i := range many {
		all = append(all, Event{Kind: "message", Topic: Topic("many-" + strconv.Itoa(i)), Payload: payload})
		if err := s.publish("many-"+strconv.Itoa(i), payload, 1); err != nil {
			return err
		}
	}
	return s.expect(all...)
}

// killed has the subscriber disconnected by its id. It must come back by itself, with all its topics.
func (s *scenario) killed() error {
	if err := Kill(s.pub); err != nil {
		return err
	}
	for _, topic := range []string{"one", "many-0", "many-" + strconv.Itoa(many-1)} {
		err := Eventually("a subscriber of "+topic+" after the kill", func() (bool, error) {
			n, err := s.pub.Publish(Topic(topic), "probe")
			return n > 0, err
		})
		if err != nil {
			return err
		}
	}
	if err := s.publish("one", "here again", 1); err != nil {
		return err
	}
	end := time.After(Patience)
	for {
		select {
		case e := <-s.sub.Events(): // confirmations, probes, and word of the loss
			if e.Payload == "here again" {
				return s.publishMany("second")
			}
		case <-end:
			return errors.New("not told anything after the kill")
		}
	}
}

// Kill disconnects the subscriber by its id, which it finds by its name, and sees it leave the list.
func Kill(pub Publisher) error {
	list, err := pub.ClientList()
	if err != nil {
		return fmt.Errorf("CLIENT LIST: %w", err)
	}
	id := listed(list)
	if id == 0 {
		return fmt.Errorf("CLIENT LIST: no subscriber has the name %s in %q", Name, list)
	}
	if n, err := pub.ClientKill(id); err != nil || n != 1 {
		return fmt.Errorf("CLIENT KILL ID %d: %d, %v; not 1", id, n, err)
	}
	return Eventually("the killed one out of CLIENT LIST", func() (bool, error) {
		list, err := pub.ClientList()
		return listed(list) != id, err
	})
}

// listed is the id of the subscriber in the text of CLIENT LIST, or 0. rueidis leaves the mark of a RESP3
// verbatim string in it.
func listed(list string) int64 {
	for line := range strings.Lines(strings.TrimPrefix(list, "txt:")) {
		fields := map[string]string{}
		for _, f := range strings.Fields(line) {
			key, value, _ := strings.Cut(f, "=")
			fields[key] = value
		}
		id, err := strconv.ParseInt(fields["id"], 10, 64)
		if fields["name"] == Name && fields["sub"] != "0" && err == nil {
			return id
		}
	}
	return 0
}

func (s *scenario) publish(topic, payload string, want int64) error {
	n, err := s.pub.Publish(Topic(topic), payload)
	if err != nil {
		return fmt.Errorf("PUBLISH %s: %w", topic, err)
	}
	if n != want {
		return fmt.Errorf("PUBLISH %s: %d, not %d", topic, n, want)
	}
	return nil
}

// expect waits for exactly these events, in this order.
func (s *scenario) expect(all ...Event) error {
	end := time.After(Patience)
	for i, want := range all {
		select {
		case e := <-s.sub.Events():
			if e != want {
				return fmt.Errorf("event %d of %d: got %+v, not %+v", i+1, len(all), e, want)
			}
		case <-end:
			return fmt.Errorf("event %d of %d: got nothing, not %+v", i+1, len(all), want)
		}
	}
	return nil
}
