package client

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// sent is a message that a test has published.
type sent struct {
	id           MessageID
	payload, key string
}

// tally checks the account of a closed publisher: each message is either acknowledged or returned by Unacked. Unacked
// returns topic and payload, once, in the order in which each goroutine published. tally returns the payloads.
func tally(t *testing.T, p *Publisher, topic string, goroutines ...[]sent) (acked, unacked map[string]bool) {
	t.Helper()
	acked, unacked = make(map[string]bool), make(map[string]bool)
	results := make(map[MessageID]error)
	for _, messages := range goroutines {
		for _, m := range messages {
			_, err := p.Wait(context.Background(), m.id) // all outcomes are final
			_, twice := results[m.id]
			require.False(t, twice, "%d is the name of two messages", m.id)
			results[m.id] = err
			if err == nil {
				acked[m.payload] = true
			}
		}
	}
	left := p.Unacked()
	place := make(map[MessageID]int)
	for i, u := range left {
		payload := string(u.Payload)
		require.False(t, unacked[payload] || acked[payload], "%s is accounted for twice", payload)
		unacked[payload] = true
		place[u.ID] = i
		require.Error(t, results[u.ID], payload)
		assert.Equal(t, topic, u.Topic)
		var refusal *Error
		assert.NotEqual(t, errors.Is(u.Cause, ErrOutcomeUnknown), errors.As(u.Cause, &refusal), "%v", u.Cause)
	}
	for _, messages := range goroutines {
		before := -1
		for _, m := range messages {
			at, ok := place[m.id]
			require.Equal(t, !acked[m.payload], ok, "%s is not accounted for", m.payload)
			if ok {
				require.True(t, unacked[m.payload], "%s came back under another name", m.payload)
				require.Less(t, before, at, "%s came back out of order", m.payload)
				before = at
			}
		}
	}
	require.Len(t, results, len(acked)+len(unacked))
	require.Empty(t, p.Unacked(), "a second time")
	return acked, unacked
}

// publishAll publishes n messages singly, or as many as are accepted. Their payloads begin with name.
func publishAll(ctx context.Context, p *Publisher, topic, name string, n int, key string) ([]sent, error) {
	var messages []sent
	for i := range n {
		payload := fmt.Sprintf("%s-%d", name, i)
		id, err := p.Publish(ctx, topic, []byte(payload), keyed(key)...)
		if err != nil {
			return messages, err
		}
		messages = append(messages, sent{id, payload, key})
	}
	return messages, nil
}

// batchAll is publishAll with one batch.
func batchAll(ctx context.Context, p *Publisher, topic, name string, n int, key string) ([]sent, error) {
	batch := make([]Record, n)
	for i := range batch {
		batch[i] = Record{topic, fmt.Appendf(nil, "%s-%d", name, i)}
	}
	ids, err := p.PublishBatch(ctx, batch, keyed(key)...)
	messages := make([]sent, len(ids))
	for i, id := range ids {
		messages[i] = sent{id, string(batch[i].Payload), key}
	}
	return messages, err
}

// keyed returns OrderedBy a key, or nothing without a key.
func keyed(key string) []PublishOption {
	if key == "" {
		return nil
	}
	return []PublishOption{OrderedBy(key)}
}
