package rabbitmq

import (
	"math"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/connect"
)

// A prefetch of messages that conch never takes waits in little memory.
func TestALargeMessageTakesLittleMemory(t *testing.T) {
	s := &source{limit: 1000, delivered: connect.NewQueue(math.MaxInt), received: make(chan struct{})}
	deliveries := make(chan amqp.Delivery, 3)
	deliveries <- amqp.Delivery{DeliveryTag: 1, Body: make([]byte, 1000)}
	deliveries <- amqp.Delivery{DeliveryTag: 2, Body: make([]byte, 100<<20)}
	deliveries <- amqp.Delivery{DeliveryTag: 7} // a wrong number ends it
	s.receive(deliveries)
	messages, err := s.delivered.Take(t.Context())
	require.NoError(t, err)
	require.Len(t, messages, 2)
	assert.Len(t, messages[0].Payload, 1000)
	assert.Len(t, messages[1].Payload, 1001, "what shows that it is too large")
	assert.Less(t, cap(messages[1].Payload), 2000)
}
