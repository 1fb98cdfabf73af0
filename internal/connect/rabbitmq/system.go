// Package rabbitmq reads queues of RabbitMQ, and writes to its exchanges.
package rabbitmq

import (
	"errors"
	"fmt"

	"github.com/conchmq/conch/internal/connect"
)

// System is the row of internal/connect/systems.
var System = connect.System{
	Name:    "rabbitmq",
	Schemes: []string{"amqp", "amqps"},
	Source:  newSource,
	Sink:    newSink,
	Meta:    []string{"exchange", "queue", "routing_key"},
	IDs:     true,
	Headers: true,
}

func newSource(a connect.Address) (connect.Source, error) {
	queue := a.Take("queue")
	if queue == "" {
		return nil, errors.New("the address names no queue: write ?queue=NAME")
	}
	noIDs, err := a.TakeBool("ignore-ids")
	if err != nil {
		return nil, err
	}
	// A prefetch of 0 has no bound, and one beyond 65,535 cannot be written.
	return &source{address: a.URL, name: a.Name, queue: queue, limit: a.Limit, prefetch: min(max(a.InFlight, 1), 1<<16-1), ids: !noIDs}, nil
}

func newSink(a connect.Address) (connect.Sink, error) {
	s := &sink{address: a.URL, name: a.Name}
	where, err := a.Alone("exchange", "queue")
	if err != nil {
		return nil, err
	}
	key := a.Query.Get("key")
	switch where {
	case "queue": // each queue is bound to the exchange without a name
		if key != "" {
			return nil, errors.New("a queue has no key: write ?exchange=NAME&key=KEY, or ?queue=NAME")
		}
		key = a.Take("queue")
	default:
		s.exchange = a.Take("exchange")
		if a.Take("key"); key == "" {
			key = "{topic}"
		}
	}
	if s.key, err = connect.ParseTemplate(key); err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	if s.unrouted, err = a.TakeBool("unrouted"); err != nil {
		return nil, err
	}
	s.transient, err = a.TakeBool("transient")
	return s, err
}
