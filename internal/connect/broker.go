package connect

import (
	"context"
	"fmt"
)

// Broker is conch's side of all connectors. Its methods may be called by any goroutine.
type Broker interface {
	// ID is random, and that of this process or of its cluster: the header conch-via carries it.
	ID() string

	// OpenInput makes the way in of a source for one connection: after a failure the wrapper closes it, and opens another one. At
	// most one of a name is open.
	OpenInput(ctx context.Context, o InputOptions) (Input, error)

	// OpenOutlet makes the way out of a sink. It stays open while the sink's own connection comes and goes: an outlet collects
	// messages meanwhile.
	OpenOutlet(ctx context.Context, o OutletOptions) (Outlet, error)

	// DropPositions removes the positions of a source, which SOURCE DEL ends. It returns false if there were none.
	DropPositions(ctx context.Context, name string) (had bool, err error)
}

// InputOptions are those of a source.
type InputOptions struct {
	Name string // of the connector
}

// Input takes the messages of one source. One goroutine calls Publish.
type Input interface {
	// Positions are by partition the last position that conch has kept, for Start; nil if there is none.
	Positions() map[string]string

	// Durable reports whether all names that a glob matches are durable.
	Durable(glob string) bool

	// Publish submits messages, each with its Topic, in their order, and behind all that was submitted before. It returns at once, but for
	// a core that is busy. It takes no copy: nothing of the messages may change until the receipt is resolved.
	//
	// On a durable topic a message becomes an entry with its headers as fields. If it has a Partition, its Position is kept in the same
	// change; else, if it has an ID, that is the idempotent id. On a plain topic headers, ID and Position are dropped.
	Publish(messages []Message) *Receipt

	// Close waits for all that was submitted.
	Close()
}

// Receipt is that of one Publish. The receipts of an input are resolved in order.
type Receipt struct {
	done   chan struct{}
	result Result
}

// NewReceipt makes a receipt that is yet to be resolved.
func NewReceipt() *Receipt { return &Receipt{done: make(chan struct{})} }

// Resolve resolves it, once.
func (r *Receipt) Resolve(result Result) {
	r.result = result
	close(r.done)
}

// Done is closed when it is resolved.
func (r *Receipt) Done() <-chan struct{} { return r.done }

// Result is valid once Done is closed.
func (r *Receipt) Result() Result { return r.result }

// Result is what has become of the messages of one Publish.
type Result struct {
	// Published counts those that have taken effect: at the publish on plain topics, synced as the policy says on durable ones. Repeated
	// of them were there already, by their ID.
	Published, Repeated int

	// Rejected are those that conch never takes: too large, or with a topic that is none. They are dead; all others took effect.
	Rejected []Rejected

	// Err is why the rest did not take effect, or may not have: the log has failed, memory for streams is full, conch stops. All
	// of the batch that is neither Published nor Rejected comes again over another input; this one takes nothing more, and resolves
	// all later receipts with the same error.
	Err error
}

// Rejected is a message that conch never takes.
type Rejected struct {
	Index int // among those of the Publish
	Err   error
}

// OutletOptions are those of a sink.
type OutletOptions struct {
	Name  string // of the connector
	Topic string // a topic or a glob
	Where string // a predicate, or empty
}

// Outlet has the messages for one sink. One goroutine calls its methods; Counts is any goroutine's.
//
// Messages of plain topics wait within the bound of a slow subscriber, of which the oldest are lost, and counted. Entries of durable
// topics are those of the group connect:NAME, and wait in their stream.
type Outlet interface {
	// Next waits for messages, and returns at most max, in their order. There may be several outstanding deliveries.
	Next(ctx context.Context, max int) (*Delivery, error)

	// Done ends a delivery: the other side has each message of it, or dead letters have. Deliveries may be done in any order. What is
	// not done when the outlet closes comes again on durable topics, and is lost on plain ones.
	//
	// Entries are acknowledged behind its return, several deliveries together, and are pending until then. While that fails, Next does.
	Done(ctx context.Context, d *Delivery) error

	// Written counts messages of a delivery that is not done: the other side has them, or dead letters have. When the outlet closes they stay
	// matched, and those of plain topics are not lost. It comes once for a delivery, before Close.
	Written(d *Delivery, messages int)

	Counts() OutletCounts
	Close()
}

// Delivery is what one Next returned.
type Delivery struct {
	Messages []Message
	Tries    []int // for each message, how often it was delivered before this time; nil if none was
	Handle   any   // the outlet's own
}

// OutletCounts are the account of a sink: Matched is what was done, is pending, or lost.
type OutletCounts struct {
	Matched  uint64 // messages that passed the topic and the predicate
	Filtered uint64 // that the predicate held back
	Lost     uint64 // of plain topics, that the bound of a slow subscriber took
	Pending  uint64 // delivered by Next or waiting in the outlet, and not done
	Lag      uint64 // entries of durable topics that the group has not reached; they are not matched yet
}

// RejectedError is the error of a message that conch never takes.
type RejectedError struct{ Reason string }

func (e *RejectedError) Error() string {
	return fmt.Sprintf("conch does not take the message: %s", e.Reason)
}
