package mqtt

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"

	"github.com/conchmq/conch/internal/connect"
)

// sink publishes to topics.
type sink struct {
	login
	topic  *connect.Template
	qos    byte
	retain bool

	link *link

	learned int // packets of this size or less are not known to be too large; 0: none was

	// alone is true if messages go one at a time. The connection has ended so often under the message suspect.
	alone   bool
	suspect string
	ends    int
}

// overQuota is a reason of the server that passes; all others are about the one message.
const overQuota, tooLarge = 0x97, 0x95

func (s *sink) Connect(ctx context.Context) error {
	var err error
	s.link, err = dial(ctx, s.login, 0, 1, func(*paho.Publish) {}, func(error) {})
	return err
}

// Write publishes a batch, in order. With qos 1 and 2 it returns when the server has acknowledged all of it.
//
// Servers close the connection over a message that they find too large, and not all announce their limit. So after a connection
// ended under a batch, messages go one at a time, and one that ends the connection again and again is refused.
func (s *sink) Write(ctx context.Context, batch []connect.Message) error {
	stop := context.AfterFunc(ctx, func() { _ = s.link.conn.Close() }) // writing to a socket knows no context
	defer stop()
	refused := &connect.Refused{}
	write := s.writeAll
	if s.alone {
		write = s.writeSingly
	}
	if err := write(ctx, batch, refused); err != nil {
		s.alone = s.qos > 0 // without answers, nothing shows which one it was
		return s.link.failure(err)
	}
	s.alone, s.suspect, s.ends = false, "", 0
	if len(refused.Indices) > 0 {
		return refused
	}
	return nil
}

// tolerance is how often a connection may end under one message alone: a server that restarts does that, too.
const tolerance = 3

func (s *sink) writeSingly(ctx context.Context, batch []connect.Message, refused *connect.Refused) error {
	for i := range batch {
		id := batch[i].ID
		if id == s.suspect && s.ends >= tolerance {
			refused.Add(i, fmt.Errorf("mqtt: the server closes the connection when it gets the message; it has %d bytes", len(batch[i].Payload)))
			continue
		}
		one := &connect.Refused{}
		if err := s.writeAll(ctx, batch[i:i+1], one); err != nil {
			if id != s.suspect {
				s.suspect, s.ends = id, 0
			}
			s.ends++
			return err
		}
		if one.Err != nil {
			refused.Add(i, one.Err)
		}
	}
	return nil
}

func (s *sink) writeAll(ctx context.Context, batch []connect.Message, refused *connect.Refused) error {
	answers := make([]chan packets.ControlPacket, len(batch))
	for i := range batch {
		p, err := s.packet(&batch[i])
		if err != nil {
			refused.Add(i, err)
			continue
		}
		if answers[i], err = s.send(ctx, p); err != nil {
			return err
		}
	}
	for i, answer := range answers {
		if answer == nil {
			continue
		}
		select {
		case packet := <-answer:
			if err := s.evaluate(&packet, i, &batch[i], refused); err != nil {
				return err
			}
		case <-s.link.ended: // the session does not answer what was in flight
			return errors.New("mqtt: the connection ended before the server had answered")
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// packet makes a message of MQTT, or an error if it never can be one.
func (s *sink) packet(m *connect.Message) (*packets.Publish, error) {
	topic, err := s.topic.Expand(m, nil)
	if err == nil {
		err = validTopic(topic)
	}
	if err != nil {
		return nil, err
	}
	p := &paho.Publish{QoS: s.qos, Retain: s.retain, Topic: topic, Payload: m.Payload}
	setHeaders(p, m.Headers)
	packet := p.Packet()
	if largest := s.largest(); largest > 0 && sizeOf(packet) > largest {
		return nil, fmt.Errorf("mqtt: the server takes no packets above %d bytes, and the message needs %d", largest, sizeOf(packet))
	}
	return packet, nil
}

// largest is the largest packet that the server takes, as far as it is known; 0 if it is not.
func (s *sink) largest() int {
	if announced := int(s.link.largest); announced > 0 || s.learned == 0 {
		return announced
	}
	return s.learned
}

// headBytes are the most that a packet has before its topic.
const headBytes = 5

func sizeOf(p *packets.Publish) int {
	size := headBytes
	for _, part := range p.Buffers() {
		size += len(part)
	}
	return size
}

func validTopic(topic string) error {
	switch {
	case topic == "" || len(topic) > maxText || strings.ContainsAny(topic, "+#\x00") || !utf8.ValidString(topic):
		return fmt.Errorf("no topic of MQTT: %.60q; it is UTF-8 of at most %d bytes without + and #", topic, maxText)
	default:
		return nil
	}
}

// send writes a packet. Its answer comes by the channel, which is nil with qos 0. The library's own Publish waits for the answer of one
// message before it sends the next.
func (s *sink) send(ctx context.Context, p *packets.Publish) (chan packets.ControlPacket, error) {
	var answer chan packets.ControlPacket
	if p.QoS > 0 {
		answer = make(chan packets.ControlPacket, 1)
		if err := s.link.session.AddToSession(ctx, p, answer); err != nil { // waits while the server takes no more
			return nil, err
		}
	}
	_, err := p.WriteTo(s.link.conn)
	return answer, err
}

// evaluate looks at the server's answer for a message.
func (s *sink) evaluate(packet *packets.ControlPacket, index int, m *connect.Message, refused *connect.Refused) error {
	code := byte(0)
	switch answer := packet.Content.(type) {
	case *packets.Puback:
		code = answer.ReasonCode
	case *packets.Pubrec:
		code = answer.ReasonCode
	case *packets.Pubcomp:
		code = answer.ReasonCode
	default:
		return errors.New("mqtt: the connection ended before the server had answered")
	}
	switch {
	case code < failure:
	case code == overQuota:
		return reason("the server does not take the message now", code)
	case code == tooLarge: // the connection mostly ends with this
		if p, err := s.packet(m); err == nil {
			s.learned = sizeOf(p) - 1
		}
		fallthrough
	default:
		refused.Add(index, reason("the server refuses the message", code))
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
