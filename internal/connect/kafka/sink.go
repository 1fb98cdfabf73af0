package kafka

import (
	"context"
	"errors"
	"fmt"
	"regexp"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/conchmq/conch/internal/connect"
)

// sink produces to topics. Its producer is idempotent, so that a try of the client's own repeats nothing; a batch that the engine sends
// again after an error may come twice.
type sink struct {
	options []kgo.Opt
	topic   *connect.Template
	key     *connect.Template // nil: records have no key, unless the message came with one
	create  bool

	client *kgo.Client
}

func (s *sink) Connect(ctx context.Context) error {
	options := s.options
	if s.create {
		options = append([]kgo.Opt{kgo.AllowAutoTopicCreation()}, options...)
	}
	topic, fixed := s.topic.Fixed()
	if !fixed || s.create {
		topic = ""
	}
	var err error
	s.client, err = open(ctx, topic, options...)
	return err
}

// Write produces a batch, and returns when all replicas have it.
func (s *sink) Write(ctx context.Context, batch []connect.Message) error {
	refused := &connect.Refused{}
	records := make([]*kgo.Record, 0, len(batch))
	indices := make(map[*kgo.Record]int, len(batch))
	for i := range batch {
		r, err := s.record(&batch[i])
		if err != nil {
			refused.Add(i, err)
			continue
		}
		records = append(records, r)
		indices[r] = i
	}
	for _, result := range s.client.ProduceSync(ctx, records...) {
		switch err := result.Err; {
		case err == nil:
		case s.refuses(err):
			refused.Add(indices[result.Record], fmt.Errorf("kafka: %w", err))
		default:
			return diagnose(err)
		}
	}
	if len(refused.Indices) > 0 {
		return refused
	}
	return nil
}

// refuses is true if an error is that of one message. A topic that does not exist is, if the message has named it.
func (s *sink) refuses(err error) bool {
	_, fixed := s.topic.Fixed()
	return errors.Is(err, kerr.MessageTooLarge) || errors.Is(err, kerr.InvalidRecord) || errors.Is(err, kerr.RecordListTooLarge) ||
		!fixed && (errors.Is(err, kerr.UnknownTopicOrPartition) || errors.Is(err, kerr.InvalidTopicException))
}

// topicName is what Kafka allows.
var topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

func (s *sink) record(m *connect.Message) (*kgo.Record, error) {
	topic, err := s.topic.Expand(m, nil)
	if err != nil {
		return nil, err
	}
	if !topicName.MatchString(topic) || topic == "." || topic == ".." {
		return nil, fmt.Errorf("no topic of Kafka: %.60q; it has letters, digits, dots, _ and -, at most 249", topic)
	}
	r := &kgo.Record{Topic: topic, Value: m.Payload, Timestamp: m.Time}
	for _, h := range m.Headers {
		if h.Name == keyHeader {
			r.Key = []byte(h.Value)
			continue
		}
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Name, Value: []byte(h.Value)})
	}
	if s.key != nil {
		key, err := s.key.Expand(m, nil)
		if err != nil {
			return nil, err
		}
		r.Key = []byte(key)
	}
	return r, nil
}

func (s *sink) Close(context.Context) error {
	if s.client != nil {
		s.client.Close()
		s.client = nil
	}
	return nil
}
