package mqtt

import (
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"

	"github.com/conchmq/conch/internal/connect"
)

// waitingBytes bounds what waits for Read. With qos 1 and 2, ReceiveMaximum bounds it before.
const waitingBytes = 16 << 20

// source subscribes to a topic filter. With qos 1 and 2 the server keeps its session while it is away, and sends again what it has not
// acknowledged.
type source struct {
	login
	filter   string
	qos      byte
	inFlight uint16
	expiry   uint32

	link    *link
	waiting *connect.Queue
	unacked unacked
	stop    context.CancelFunc // ends a Put that waits
}

// unacked are the packets whose messages Read has not returned, or whose batch is not acknowledged: in the order of both. The library's
// goroutine adds, and that of Ack takes.
type unacked struct {
	mu      sync.Mutex
	packets []*packets.Publish // nil for one that needs no acknowledgement
}

func (s *source) Connect(ctx context.Context, _ connect.Start) error {
	var living context.Context
	living, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	s.waiting, s.unacked.packets = connect.NewQueue(waitingBytes), nil
	waiting := s.waiting
	meta := metaCache{}
	link, err := dial(ctx, s.login, s.expiry, s.inFlight, func(p *paho.Publish) {
		s.unacked.add(p)
		_ = waiting.Put(living, connect.Message{Payload: p.Payload, Headers: readHeaders(p), Meta: meta.of(p.Topic)}) // its error ends the connection
	}, waiting.End)
	if err != nil {
		s.stop()
		return err
	}
	// Retained messages come with a subscription that is new, and not with each connection.
	subscription := paho.SubscribeOptions{Topic: s.filter, QoS: s.qos, RetainHandling: 1, RetainAsPublished: true}
	ack, err := link.client.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{subscription}})
	if err != nil {
		s.stop()
		link.close()
		if ack != nil && len(ack.Reasons) == 1 && ack.Reasons[0] >= failure {
			err = reason("the server refuses the subscription", ack.Reasons[0])
		}
		return err
	}
	s.link = link
	return nil
}

func (u *unacked) add(p *paho.Publish) {
	u.mu.Lock()
	defer u.mu.Unlock()
	var packet *packets.Publish
	if p.QoS > 0 {
		packet = &packets.Publish{PacketID: p.PacketID, QoS: p.QoS}
	}
	u.packets = append(u.packets, packet)
}

func (u *unacked) take(n int) []*packets.Publish {
	u.mu.Lock()
	defer u.mu.Unlock()
	taken := u.packets[:n:n]
	u.packets = u.packets[n:]
	return taken
}

func (s *source) Read(ctx context.Context) (connect.Batch, error) {
	messages, err := s.waiting.Take(ctx)
	if err != nil {
		return connect.Batch{}, err
	}
	link := s.link
	return connect.Batch{Messages: messages, Ack: func(context.Context, error) error { return s.acknowledge(link, len(messages)) }}, nil
}

// acknowledge acknowledges the next n messages. MQTT has no way to reject one that would not come again, so those that conch never takes
// are acknowledged, too.
func (s *source) acknowledge(l *link, n int) error {
	for _, p := range s.unacked.take(n) {
		if p == nil {
			continue
		}
		if err := l.session.Ack(p); err != nil {
			return l.failure(err)
		}
	}
	return nil
}

func (s *source) Close(context.Context) error {
	if s.link != nil {
		s.stop()
		s.link.close()
		s.waiting.End(errors.New("closed"))
		s.link = nil
	}
	return nil
}

// metaCache reuses the metadata of the message before, which often has the same topic.
type metaCache struct {
	topic string
	meta  map[string]string
}

func (c *metaCache) of(topic string) map[string]string {
	if c.meta == nil || c.topic != topic {
		c.topic, c.meta = topic, map[string]string{"topic": topic}
		for i, level := range strings.SplitN(topic, "/", len(levels)+1) {
			if i < len(levels) {
				c.meta[levels[i]] = level
			}
		}
	}
	return c.meta
}
