package broker_test

import (
	"context"
	"fmt"

	"github.com/conchmq/conch/broker"
)

// publisher takes part in the one order and holds no subscription: two methods are all that it needs.
type publisher struct {
	broker.NopConn
	done chan struct{}
}

func (*publisher) Published(r *broker.Request, messages int, m *broker.Message) {
	fmt.Printf("%s: %d message, sequence %d, %d receivers\n", r.Names[0], messages, m.Sequence, m.Receivers)
}

func (p *publisher) Applied(*broker.Batch) { p.done <- struct{}{} }

func ExampleNopConn() {
	ctx, stop := context.WithCancel(context.Background())
	core := broker.New(broker.Options{})
	go core.Run(ctx)

	p := &publisher{done: make(chan struct{})}
	from := broker.NewSubscriber(p)
	for _, payload := range []string{"rain", "sun"} {
		core.Submit(&broker.Batch{From: from, Requests: []broker.Request{{
			Op: broker.Publish, Names: [][]byte{[]byte("weather")}, Payloads: [][]byte{[]byte(payload)},
		}}})
		<-p.done
	}
	stop()
	<-core.Stopped()
	// Output:
	// weather: 1 message, sequence 1, 0 receivers
	// weather: 1 message, sequence 2, 0 receivers
}
