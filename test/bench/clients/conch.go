package main

import (
	"context"
	"fmt"

	"github.com/conchmq/conch/client"
)

// publisher is client.Publisher.
type publisher struct {
	*client.Publisher
	load load
	make func(p *publisher) sender
}

func (p *publisher) sender(int) sender { return p.make(p) }
func (p *publisher) flush() error      { return p.Flush(context.Background()) }
func (p *publisher) close() error      { return p.Close() }

// openPublisher shares what may be in flight among the connections where the window is all that bounds it.
func openPublisher(address string, l load, po client.PublisherOptions, how func(*publisher) sender) (library, error) {
	po.Connections = l.connections
	p, err := client.NewPublisher(context.Background(), client.Options{Addr: address}, po)
	if err != nil {
		return nil, err
	}
	return &publisher{p, l, how}, nil
}

// openStream lets go of each message once it is in a window.
func openStream(address string, l load) (library, error) {
	window := goroutines * l.depth / l.connections
	return openPublisher(address, l, client.PublisherOptions{Window: window}, func(p *publisher) sender {
		payload := l.payload()
		return func() error {
			for range l.depth {
				if _, err := p.Publish(context.Background(), topic, payload); err != nil {
					return err
				}
			}
			return nil
		}
	})
}

// openBatch waits for the last message of a batch first: the others, which went before it over the same connection, are
// acknowledged by then, and asking for each takes no waiting.
func openBatch(address string, l load) (library, error) {
	return openPublisher(address, l, client.PublisherOptions{}, func(p *publisher) sender {
		records, payload := make([]client.Record, l.depth), l.payload()
		for i := range records {
			records[i] = client.Record{Topic: topic, Payload: payload}
		}
		return func() error {
			ids, err := p.PublishBatch(context.Background(), records)
			if err != nil {
				return err
			}
			for i := range ids {
				if err := p.settled(ids[len(ids)-1-i]); err != nil {
					return err
				}
			}
			return nil
		}
	})
}

func openWait(address string, l load) (library, error) {
	return openPublisher(address, l, client.PublisherOptions{}, func(p *publisher) sender {
		payload := l.payload()
		return func() error {
			id, err := p.Publish(context.Background(), topic, payload)
			if err != nil {
				return err
			}
			return p.settled(id)
		}
	})
}

// settled waits for one acknowledgement. How many received a message is forgotten after two windows, which others can
// have filled since.
func (p *publisher) settled(id client.MessageID) error {
	got, err := p.Wait(context.Background(), id)
	if err != nil || got.Receivers < 0 {
		return err
	}
	return nobody(int64(got.Receivers))
}

// nobody checks a reply to PUBLISH: nobody has subscribed.
func nobody(receivers int64) error {
	if receivers != 0 {
		return fmt.Errorf("%d received a message that nobody asked for", receivers)
	}
	return nil
}

// plain is client.Client.
type plain struct {
	*client.Client
	load load
}

func openClient(address string, l load) (library, error) {
	c, err := client.Dial(context.Background(), client.Options{Addr: address})
	if err != nil {
		return nil, err
	}
	return &plain{c, l}, nil
}

func (p *plain) sender(int) sender {
	payload := p.load.payload()
	return func() error {
		got, err := p.Publish(context.Background(), topic, payload)
		if err != nil {
			return err
		}
		return nobody(int64(got.Receivers))
	}
}

func (p *plain) flush() error { return nil } // every call has waited
func (p *plain) close() error { return p.Close() }
