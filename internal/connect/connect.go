package connect

import (
	"context"
	"errors"
	"strings"
	"time"
)

// Header is a name and a value. Names are as the other system spells them.
type Header struct{ Name, Value string }

// Message is what a source reads and a sink writes. Its bytes are not changed after it was handed over.
type Message struct {
	// Topic is conch's topic. A source leaves it empty: the wrapper fills it from the template.
	Topic   string
	Payload []byte
	Headers []Header

	// Meta has what a template can name besides headers and fields: {routing_key}, {subject}, {topic}, {partition}, {path}.
	// Of a sink's message it is empty.
	Meta map[string]string

	// ID is the other system's id of a source's message, empty if it has none. Of a sink's message it is its position in conch
	// (EPOCH-NUMBER), the same at each try.
	ID string

	// Partition and Position are of systems with positions: a source's alone. A partition's positions only grow.
	Partition, Position string

	Time time.Time // when conch or the other system took it; zero if that is not known
}

// Batch is what one Read returns: one message or more.
type Batch struct {
	Messages []Message

	// Ack is called once, when all messages of the batch have taken effect (err is nil). A *Refused names those that never will and of
	// which conch keeps nothing, because no topic for dead letters is configured: the source rejects them if its system can, and
	// acknowledges the others. Ack may be nil. Its error ends the connection.
	Ack func(ctx context.Context, err error) error
}

// Header is the value of a header, whose name is compared without regard to case.
func (m *Message) Header(name string) (value string, ok bool) {
	for i := range m.Headers {
		if strings.EqualFold(m.Headers[i].Name, name) {
			return m.Headers[i].Value, true
		}
	}
	return "", false
}

// ErrEnd is the error of Read for a source that has ended for good, such as standard input: it is not connected again.
var ErrEnd = errors.New("the source has ended")

// Start is what is known of a source when it connects.
type Start struct {
	// Durable is true if the topic of the source is durable. A source with positions then keeps none at the other side: conch has them.
	Durable bool

	// Positions are by partition the last position that conch has kept, nil if the topic is not durable or none is.
	Positions map[string]string
}

// Source is a connection to a system that messages are read from. It is connected again after Close.
type Source interface {
	Connect(ctx context.Context, start Start) error
	Read(ctx context.Context) (Batch, error)
	Close(ctx context.Context) error
}

// Sink is a connection to a system that messages are written to. It is connected again after Close.
type Sink interface {
	Connect(ctx context.Context) error
	Write(ctx context.Context, batch []Message) error
	Close(ctx context.Context) error
}

// Refused is an error of Write: the other system took all of the batch but the messages at these indices, and never will take them. To
// Ack it names what conch never will take.
type Refused struct {
	Indices []int
	Err     error
}

// Add names one more message. The error of the first one is that of all.
func (r *Refused) Add(index int, err error) {
	r.Indices = append(r.Indices, index)
	if r.Err == nil {
		r.Err = err
	}
}

func (r *Refused) Error() string { return r.Err.Error() }
func (r *Refused) Unwrap() error { return r.Err }

// Permanent wraps an error that trying again will not change, such as wrong credentials or a queue that does not exist: the connector
// tries again all the same, at its longest interval, and reports it.
type Permanent struct{ Err error }

func (p *Permanent) Error() string { return p.Err.Error() }
func (p *Permanent) Unwrap() error { return p.Err }
