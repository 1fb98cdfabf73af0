package client_test

import (
	"context"
	"fmt"
	"time"

	"github.com/conchmq/conch/client"
)

func ExampleDialURL() {
	addr, stop := start()
	defer stop()
	err := func(ctx context.Context, url string) error {
		c, err := client.DialURL(ctx, url) // conch://127.0.0.1:8889?sequences=true
		if err != nil {
			return err
		}
		defer c.Close()
		sub, err := c.Subscribe(ctx, client.Topic("orders").Where("price > 100"), client.Pattern("news.*"))
		if err != nil {
			return err
		}
		published, err := c.Publish(ctx, "orders", []byte(`{"price": 120}`))
		if err != nil {
			return err
		}
		fmt.Println("published as", published.Sequence)
		for m, err := range sub.Messages(ctx) { // sub.All has losses and reconnects, too
			if err != nil {
				return err
			}
			fmt.Printf("%d %s %s\n", m.Sequence, m.Topic, m.Payload)
			break
		}
		return nil
	}(context.Background(), "conch://"+addr+"?sequences=true")
	fmt.Println(err)
	// Output:
	// published as 1
	// 1 orders {"price": 120}
	// <nil>
}

func ExampleNewPublisherURL() {
	addr, stop := start()
	defer stop()
	err := func(ctx context.Context, url string) error {
		p, err := client.NewPublisherURL(ctx, url, client.PublisherOptions{Connections: 4, Reconnect: true})
		if err != nil {
			return err
		}
		// Publish waits only while the window is full. Messages with one key keep their order.
		id, err := p.Publish(ctx, "orders", []byte(`{"price": 120}`), client.OrderedBy("customer 4711"))
		if err != nil {
			return err
		}
		published, err := p.Wait(ctx, id)
		if err != nil {
			return err
		}
		fmt.Println("published as", published.Sequence)
		for _, m := range p.Unacked() { // each message that is not acknowledged, once, in the order of publishing
			fmt.Println(m.Topic, m.Cause)
		}
		return p.Close()
	}(context.Background(), "conch://"+addr+"?sequences=true")
	fmt.Println(err)
	// Output:
	// published as 1
	// <nil>
}

func ExampleSubscription_Add() {
	addr, stop := start()
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := client.DialURL(ctx, "conch://"+addr)
	if err != nil {
		panic(err)
	}
	defer c.Close()
	sub, err := c.Subscribe(ctx, client.Topic("rooms"))
	if err != nil {
		panic(err)
	}
	for _, room := range []string{"kitchen", "cellar"} { // each message of rooms names a topic
		if _, err := c.Publish(ctx, "rooms", []byte(room)); err != nil {
			panic(err)
		}
	}
	for event, err := range sub.All(ctx) {
		if err != nil {
			panic(err)
		}
		switch e := event.(type) {
		case *client.Message:
			fmt.Printf("%s: %s\n", e.Topic, e.Payload)
			if e.Topic != "rooms" {
				return
			}
			if err := sub.Add(ctx, client.Topic(string(e.Payload))); err != nil {
				panic(err)
			}
		case *client.NamesChanged:
			fmt.Println("added:", e.Added)
			if len(e.Added) > 0 && e.Added[0] == client.Topic("cellar") {
				if _, err := c.Publish(ctx, "cellar", []byte("dark")); err != nil {
					panic(err)
				}
			}
		}
	}
	// Output:
	// rooms: kitchen
	// rooms: cellar
	// added: [kitchen]
	// added: [cellar]
	// cellar: dark
}
