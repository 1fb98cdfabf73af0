package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/conchmq/conch/internal/connect"
)

// patience bounds the first answer of a broker, and the goodbye.
const patience, goodbye = 30 * time.Second, 2 * time.Second

// open makes a client, and finds out whether a broker answers, and knows the topic. The client itself would try for ever, in silence.
func open(ctx context.Context, topic string, options ...kgo.Opt) (*kgo.Client, error) {
	client, err := kgo.NewClient(options...)
	if err != nil {
		return nil, &connect.Permanent{Err: err}
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err = client.Ping(ctx)
	if err == nil && topic != "" {
		err = findTopic(ctx, client, topic)
	}
	if err != nil {
		client.Close()
		return nil, diagnose(err)
	}
	return client, nil
}

func findTopic(ctx context.Context, client *kgo.Client, topic string) error {
	request, asked := kmsg.NewPtrMetadataRequest(), kmsg.NewMetadataRequestTopic()
	asked.Topic = &topic
	request.Topics = append(request.Topics, asked)
	response, err := request.RequestWith(ctx, client)
	if err != nil {
		return err
	}
	for i := range response.Topics {
		if err := kerr.ErrorForCode(response.Topics[i].ErrorCode); err != nil {
			return fmt.Errorf("topic %q: %w", topic, err)
		}
	}
	return nil
}

// lasting are errors that trying again does not change.
var lasting = []error{
	kerr.UnknownTopicOrPartition, kerr.InvalidTopicException, kerr.TopicAuthorizationFailed, kerr.GroupAuthorizationFailed,
	kerr.ClusterAuthorizationFailed, kerr.SaslAuthenticationFailed, kerr.UnsupportedSaslMechanism, kerr.InvalidGroupID,
}

func diagnose(err error) error {
	for _, known := range lasting {
		if errors.Is(err, known) {
			return &connect.Permanent{Err: fmt.Errorf("kafka: %w", err)}
		}
	}
	return fmt.Errorf("kafka: %w", err)
}
