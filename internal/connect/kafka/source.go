package kafka

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/conchmq/conch/internal/connect"
)

// fetchBytes bounds what the client reads ahead of Read. One larger message comes all the same.
const fetchBytes, partitionBytes = 16 << 20, 1 << 20

// sessionTimeout is how long the partitions of a member that was killed wait for another one, or for itself.
const sessionTimeout = 10 * time.Second

// keyHeader is the header for the key of a record, which Kafka keeps beside the headers.
const keyHeader = "kafka-key"

// source consumes a topic as a member of a group.
//
// Where a partition begins is decided when it is assigned: behind what this connection has read; else behind the position that conch
// has kept, if the topic is durable; else at what the group has committed. The group's offsets are committed for durable topics, too: for
// tools that show the lag, and for members that take a partition over.
type source struct {
	options      []kgo.Opt
	topic, group string
	most         int // messages of a batch
	start        kgo.Offset

	client    *kgo.Client
	positions map[string]string // those of Start; not changed

	mu   sync.Mutex      // guards read: Read writes it, a rebalance reads it in a goroutine of the library
	read map[int32]int64 // by partition the offset behind the last record that Read has returned
}

func (s *source) Connect(ctx context.Context, start connect.Start) error {
	s.positions, s.read = start.Positions, make(map[int32]int64)
	options := append([]kgo.Opt{
		kgo.ConsumerGroup(s.group), kgo.ConsumeTopics(s.topic), kgo.ConsumeStartOffset(s.start), kgo.AdjustFetchOffsetsFn(s.begin),
		kgo.SessionTimeout(sessionTimeout),
		kgo.AutoCommitMarks(), kgo.FetchMaxBytes(fetchBytes), kgo.FetchMaxPartitionBytes(partitionBytes),
	}, s.options...)
	var err error
	s.client, err = open(ctx, s.topic, options...)
	return err
}

// begin sets where partitions begin that were assigned.
func (s *source) begin(_ context.Context, assigned map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for partition := range assigned[s.topic] {
		next, ok := s.read[partition]
		if text, kept := s.positions[name(s.topic, partition)]; !ok && kept {
			last, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				return nil, fmt.Errorf("conch has kept %q for partition %d, which is no offset", text, partition)
			}
			next, ok = last+1, true
		}
		if ok {
			assigned[s.topic][partition] = kgo.NewOffset().At(next)
		}
	}
	return assigned, nil
}

// name is the name of a partition for conch.
func name(topic string, partition int32) string { return topic + "/" + strconv.Itoa(int(partition)) }

func (s *source) Read(ctx context.Context) (connect.Batch, error) {
	for {
		fetches := s.client.PollRecords(ctx, s.most)
		records := fetches.Records()
		if len(records) == 0 {
			if err := failure(ctx, fetches); err != nil {
				return connect.Batch{}, err
			}
			continue
		}
		client := s.client
		return connect.Batch{Messages: s.messages(records), Ack: func(context.Context, error) error {
			client.MarkCommitRecords(records...) // the client commits them within seconds, at a rebalance, and when it closes
			return nil
		}}, nil
	}
}

// failure is why nothing was read, nil for what the client tries again by itself.
func failure(ctx context.Context, fetches kgo.Fetches) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	for _, e := range fetches.Errors() {
		if !errors.Is(e.Err, context.Canceled) {
			return diagnose(e.Err)
		}
	}
	return nil
}

func (s *source) messages(records []*kgo.Record) []connect.Message {
	messages := make([]connect.Message, len(records))
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, r := range records {
		partition := strconv.Itoa(int(r.Partition))
		messages[i] = connect.Message{
			Payload: r.Value, Headers: readHeaders(r), Time: r.Timestamp,
			Meta:      map[string]string{"topic": r.Topic, "partition": partition, "key": string(r.Key)},
			Partition: name(r.Topic, r.Partition), Position: strconv.FormatInt(r.Offset, 10),
		}
		s.read[r.Partition] = r.Offset + 1
	}
	return messages
}

func readHeaders(r *kgo.Record) (headers []connect.Header) {
	if r.Key != nil {
		headers = append(headers, connect.Header{Name: keyHeader, Value: string(r.Key)})
	}
	for _, h := range r.Headers {
		headers = append(headers, connect.Header{Name: h.Key, Value: string(h.Value)})
	}
	return headers
}

// Close commits what was acknowledged, and leaves the group.
func (s *source) Close(ctx context.Context) error {
	if s.client == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, goodbye)
	defer cancel()
	err := s.client.CommitMarkedOffsets(ctx)
	_ = s.client.LeaveGroupContext(ctx) // without it, the group waits for the end of the session
	s.client.Close()
	s.client = nil
	return err
}
