package client_test

import (
	"context"
	"fmt"

	"github.com/conchmq/conch/client"
)

func ExampleClient_Append() {
	err := func(ctx context.Context, url string) error {
		c, err := client.DialURL(ctx, url)
		if err != nil {
			return err
		}
		defer c.Close()
		fields := []client.Field{{Name: "price", Value: "120"}, {Name: "region", Value: "eu"}}
		id, err := c.Append(ctx, "orders", fields, client.Idempotent("shop 1", "order 17"))
		if err != nil {
			return err // errors.Is(err, client.ErrOutcomeUnknown): it may have been appended
		}
		for entry, err := range c.Range(ctx, "orders", client.Span{From: id}) {
			if err != nil {
				return err
			}
			fmt.Println(entry.Get("price"), entry.Get("region"))
		}
		return nil
	}(context.Background(), "conch://127.0.0.1:8889")
	fmt.Println(err)
}

func ExampleClient_Read() {
	err := func(ctx context.Context, url string, last client.EntryID) error {
		c, err := client.DialURL(ctx, url)
		if err != nil {
			return err
		}
		defer c.Close()
		for entry, err := range c.Read(ctx, client.After("orders", last), client.FromNow("returns")) {
			if err != nil {
				return err // of ctx, or the refusal of the server
			}
			fmt.Println(entry.Stream, entry.ID.Time(), entry.Get("price"))
		}
		return nil
	}(context.Background(), "conch://127.0.0.1:8889", client.EntryID{})
	fmt.Println(err)
}
