package client_test

import (
	"context"
	"fmt"
	"time"

	"github.com/conchmq/conch/client"
)

func ExampleClient_Append() {
	addr, stop := start()
	defer stop()
	err := func(ctx context.Context, url string) error {
		c, err := client.DialURL(ctx, url)
		if err != nil {
			return err
		}
		defer c.Close()
		fields := []client.Field{{Name: "price", Value: "120"}, {Name: "region", Value: "eu"}}
		for range 2 { // the second time it is there already
			_, err := c.Append(ctx, "orders", fields, client.Idempotent("shop 1", "order 17"))
			if err != nil {
				return err // errors.Is(err, client.ErrOutcomeUnknown): it may have been appended
			}
		}
		for entry, err := range c.Range(ctx, "orders", client.Span{}) {
			if err != nil {
				return err
			}
			fmt.Println(entry.Get("price"), entry.Get("region"))
		}
		return nil
	}(context.Background(), "conch://"+addr)
	fmt.Println(err)
	// Output:
	// 120 eu
	// <nil>
}

func ExampleClient_Read() {
	addr, stop := start()
	defer stop()
	err := func(ctx context.Context, url string) error {
		c, err := client.DialURL(ctx, url)
		if err != nil {
			return err
		}
		defer c.Close()
		last, err := c.Append(ctx, "orders", []client.Field{{Name: "price", Value: "80"}})
		if err != nil {
			return err
		}
		if _, err := c.Append(ctx, "orders", []client.Field{{Name: "price", Value: "120"}}); err != nil {
			return err
		}
		for entry, err := range c.Read(ctx, client.After("orders", last), client.FromNow("returns")) {
			if err != nil {
				return err // of ctx, or the refusal of the server
			}
			fmt.Println(entry.Stream, entry.Get("price"))
			break // without it, the loop waits for the next entry
		}
		return nil
	}(context.Background(), "conch://"+addr)
	fmt.Println(err)
	// Output:
	// orders 120
	// <nil>
}

func ExampleConsumer_All() {
	addr, stop := start()
	defer stop()
	err := func(ctx context.Context, url string) error {
		c, err := client.DialURL(ctx, url)
		if err != nil {
			return err
		}
		defer c.Close()
		for _, task := range []string{"resize", "mail"} {
			if _, err := c.Append(ctx, "jobs", []client.Field{{Name: "task", Value: task}}); err != nil {
				return err
			}
		}
		if err := c.CreateGroup(ctx, "workers", client.After("jobs", client.EntryID{})); err != nil {
			return err
		}
		consumer := c.Consumer("jobs", "workers", "ann", client.ConsumerOptions{ClaimAfter: time.Minute})
		for d, err := range consumer.All(ctx) {
			if err != nil {
				return err // of ctx, or the refusal of the server
			}
			fmt.Println(d.Get("task"), d.Before)
			if err := consumer.Ack(ctx, d.ID); err != nil { // without it, the entry comes again
				return err
			}
			if d.Get("task") == "mail" {
				break // without it, the loop waits for the next entry
			}
		}
		return nil
	}(context.Background(), "conch://"+addr)
	fmt.Println(err)
	// Output:
	// resize 0
	// mail 0
	// <nil>
}
