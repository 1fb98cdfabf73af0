package client_test

import (
	"context"
	"fmt"
	"time"

	"github.com/conchmq/conch/client"
)

func ExamplePublisher() {
	addr, stop := start()
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	p, err := client.NewPublisher(ctx, client.Options{Addr: addr, Sequences: true}, client.PublisherOptions{Connections: 4})
	if err != nil {
		panic(err)
	}
	var last client.MessageID
	for i := range 1000 {
		// Messages about one order keep their order: they use one connection.
		key := client.OrderedBy(fmt.Sprint("order ", i%10))
		if last, err = p.Publish(ctx, "orders", fmt.Appendf(nil, "message %d", i), key); err != nil {
			break // the publisher has stopped; see below
		}
	}
	if published, err := p.Wait(ctx, last); err == nil {
		fmt.Println("has a sequence:", published.Sequence > 0)
	}
	fmt.Println("flushed:", p.Flush(ctx))
	fmt.Println("closed:", p.Close())
	for _, u := range p.Unacked() { // the program decides whether to send it again: it may have been published
		fmt.Println(u.Topic, string(u.Payload), u.Cause)
	}
	// Output:
	// has a sequence: true
	// flushed: <nil>
	// closed: <nil>
}
