package main

import (
	"context"

	"github.com/redis/rueidis"
)

// rueidisClients are as many clients of rueidis as there are connections, and goroutines take them in turn. A single
// client would have several connections by PipelineMultiplex, but sends every PUBLISH over the first of them.
type rueidisClients struct {
	clients []rueidis.Client
	load    load
	make    func(c rueidis.Client) sender
}

func (r *rueidisClients) sender(goroutine int) sender {
	return r.make(r.clients[goroutine%len(r.clients)])
}
func (r *rueidisClients) flush() error { return nil } // every call has waited

func (r *rueidisClients) close() error {
	for _, c := range r.clients {
		c.Close()
	}
	return nil
}

// openRueidis switches off the cache, which needs what not every server has and does nothing for publishing. Pipelining
// is automatic by default, and switched on from the first call.
func openRueidis(address string, l load, how func(rueidis.Client) sender) (library, error) {
	r := &rueidisClients{load: l, make: how}
	for range l.connections {
		c, err := rueidis.NewClient(rueidis.ClientOption{
			InitAddress: []string{address}, ForceSingleClient: true, PipelineMultiplex: -1, // 2^0 connections
			DisableCache: true, AlwaysPipelining: true,
		})
		if err != nil {
			_ = r.close() // always nil
			return nil, err
		}
		r.clients = append(r.clients, c)
	}
	return r, nil
}

// openDoMulti batches by hand.
func openDoMulti(address string, l load) (library, error) {
	return openRueidis(address, l, func(c rueidis.Client) sender {
		payload, commands := string(l.payload()), make(rueidis.Commands, l.depth)
		return func() error {
			for i := range commands {
				commands[i] = c.B().Publish().Channel(topic).Message(payload).Build()
			}
			for _, answer := range c.DoMulti(context.Background(), commands...) {
				if err := counted(answer); err != nil {
					return err
				}
			}
			return nil
		}
	})
}

// openDo leaves it to the library to make one pipeline of many calls.
func openDo(address string, l load) (library, error) {
	return openRueidis(address, l, func(c rueidis.Client) sender {
		payload := string(l.payload())
		return func() error {
			return counted(c.Do(context.Background(), c.B().Publish().Channel(topic).Message(payload).Build()))
		}
	})
}

func counted(answer rueidis.RedisResult) error {
	n, err := answer.AsInt64()
	if err != nil {
		return err
	}
	return nobody(n)
}
