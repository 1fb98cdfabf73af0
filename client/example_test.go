package client_test

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/client"
	"github.com/conchmq/conch/server"
)

// start runs a server for the examples.
func start() (addr string, stop func()) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	core := broker.New(broker.Options{})
	s, err := server.New(core, server.Options{})
	if err != nil {
		panic(err)
	}
	ctx, end := context.WithCancel(context.Background())
	ran := make(chan struct{})
	go func() {
		defer close(ran)
		core.Run(ctx)
	}()
	s.Serve(l)
	return l.Addr().String(), func() {
		s.Shutdown(ctx)
		end()
		<-ran
	}
}

func Example() {
	addr, stop := start()
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	c, err := client.DialURL(ctx, "conch://"+addr)
	if err != nil {
		panic(err)
	}
	defer func() { _ = c.Close() }()

	sub, err := c.Subscribe(ctx, client.Topic("news"), client.Pattern("orders.*"))
	if err != nil {
		panic(err)
	}
	published, err := c.Publish(ctx, "news", []byte("I'm a message!"))
	if err != nil {
		panic(err)
	}
	fmt.Println("received by", published.Receivers)
	if _, err := c.Publish(ctx, "orders.eu", []byte(`{"price": 120}`)); err != nil {
		panic(err)
	}

	messages := 0
	for event, err := range sub.All(ctx) {
		if err != nil {
			panic(err) // permanent: sub was closed or refused
		}
		switch e := event.(type) {
		case *client.Message:
			fmt.Printf("%s %q: %s\n", e.Topic, e.Pattern, e.Payload)
			messages++
		case *client.Missed:
			fmt.Println(e.Count, "messages of", e.Name, "are missing here")
		case *client.Disconnected:
			fmt.Println("lost the connection:", e.Err)
		case *client.Reconnected:
			fmt.Println("back; messages from", e.After+1, "to", e.Before, "may be missing")
		}
		if messages == 2 {
			break
		}
	}
	// Output:
	// received by 1
	// news "": I'm a message!
	// orders.eu "orders.*": {"price": 120}
}

func ExampleParseURL() {
	o, err := client.ParseURL("conchs://desk:secret@broker.example.com?sequences=true&ping_after=5s")
	fmt.Println(o.Addr, o.Username, o.TLS != nil, o.Sequences, o.PingAfter, err)
	_, err = client.ParseURL("http://localhost")
	fmt.Println(err)
	// Output:
	// broker.example.com:8890 desk true true 5s <nil>
	// invalid option: scheme "http" is none of conch, conchs, redis, rediss and unix
}

func ExampleName_Where() {
	fmt.Println(client.Topic("orders").Where(`price > 100 && region == "eu"`))
	fmt.Println(client.Pattern("orders.*").Where("has(price)"))
	// Output:
	// orders WHERE price > 100 && region == "eu"
	// orders.* WHERE has(price)
}

// Each subscription has a connection, so their messages may overtake each other. InOrder buffers messages, nine at most
// here, until nothing before them can be outstanding. The events usually come from Merge(ctx, one, two).
func ExampleInOrder() {
	events := func(yield func(client.Event, error) bool) {
		for _, m := range []*client.Message{
			{Topic: "sports", Sequence: 1, Epoch: "a3"},
			{Topic: "news", Sequence: 3, Epoch: "a3"}, // sports may have something before it
			{Topic: "news", Sequence: 5, Previous: 3, Epoch: "a3"},
			{Topic: "sports", Sequence: 4, Previous: 1, Epoch: "a3"}, // nothing was before it
			{Topic: "sports", Sequence: 8, Previous: 4, Epoch: "a3"},
			{Topic: "weather", Sequence: 2, Epoch: "a3"}, // a name without a message so far
		} {
			if !yield(m, nil) {
				return
			}
		}
	}
	for event, err := range client.InOrder(events, 9) {
		if err != nil {
			panic(err)
		}
		switch e := event.(type) {
		case *client.Message:
			fmt.Println(e.Sequence, e.Topic)
		case *client.Late:
			fmt.Println(e.Message.Sequence, e.Message.Topic, "came after", e.After, "was yielded")
		}
	}
	// Output:
	// 1 sports
	// 3 news
	// 4 sports
	// 5 news
	// 2 weather came after 5 was yielded
	// 8 sports
}
