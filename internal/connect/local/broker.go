package local

import (
	"context"
	"crypto/rand"

	"github.com/conchmq/conch/internal/command"
	"github.com/conchmq/conch/internal/connect"
)

// Broker is the connect.Broker over a service.
type Broker struct {
	service *command.Service
	id      string
}

var _ connect.Broker = (*Broker)(nil)

// New makes a Broker. The service runs for longer than what it opens.
func New(s *command.Service) *Broker { return &Broker{s, rand.Text()} }

// ID implements connect.Broker. Nodes of a cluster have one together.
func (b *Broker) ID() string {
	if b.service.ConnectorNode() != "" {
		return b.service.Epoch()
	}
	return b.id
}

// DropPositions implements connect.Broker.
func (b *Broker) DropPositions(_ context.Context, name string) (had bool, err error) {
	return b.service.DropPositions(name) //nolint:wrapcheck // it says all
}

// OpenInput implements connect.Broker.
func (b *Broker) OpenInput(_ context.Context, o connect.InputOptions) (connect.Input, error) {
	feed, err := b.service.OpenFeed(o.Name)
	if err != nil {
		return nil, err //nolint:wrapcheck // it says all
	}
	return &input{service: b.service, feed: feed, positions: b.service.Positions(o.Name)}, nil
}

// input is the connect.Input over a feed.
type input struct {
	service   *command.Service
	feed      *command.Feed
	positions map[string]string
}

func (i *input) Positions() map[string]string { return i.positions }

func (i *input) Durable(glob string) bool { return i.service.DurableTopics().Covers(glob) }

func (i *input) Close() { i.feed.Close() }

// Publish implements connect.Input.
func (i *input) Publish(messages []connect.Message) *connect.Receipt {
	receipt := connect.NewReceipt()
	batch := make([]command.FeedMessage, len(messages))
	for n := range messages {
		m := &messages[n]
		f := &batch[n]
		f.Topic, f.Payload = []byte(m.Topic), m.Payload
		for _, h := range m.Headers {
			f.Headers = append(f.Headers, []byte(h.Name), []byte(h.Value))
		}
		switch {
		case m.Position != "":
			f.Partition, f.Position = m.Partition, m.Position
		case m.ID != "":
			f.ID = []byte(m.ID)
		}
	}
	i.feed.Publish(batch, func(r command.FeedResult) {
		result := connect.Result{Published: r.Published, Repeated: r.Repeated, Err: r.Err}
		for _, no := range r.Rejected {
			result.Rejected = append(result.Rejected, connect.Rejected{Index: no.Index, Err: &connect.RejectedError{Reason: no.Err.Error()}})
		}
		receipt.Resolve(result)
	})
	return receipt
}
