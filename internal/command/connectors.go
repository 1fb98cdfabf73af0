package command

import (
	"context"
	"errors"
	"time"
)

// Connectors are the sources and sinks of the process. Package connect has them, and package daemon passes them on. Any goroutine may
// call the methods, but for the core: all but List may wait.
type Connectors interface {
	// List returns all connectors, sources first, in the order in which they were added. It does not wait; the core may call it.
	List() []Connector
	// Add starts a connector. An error has one line, and shows no password.
	Add(ctx context.Context, c NewConnector) error
	// Pause, Resume and Remove return ErrNoConnector if there is none of that name in that direction.
	Pause(ctx context.Context, d Direction, name string) error
	Resume(ctx context.Context, d Direction, name string) error
	// Remove ends a connector that was added at run time, and what conch has kept of it. One of the config file is an error.
	Remove(ctx context.Context, d Direction, name string) error
}

// ErrNoConnector is the error for a name that no connector of a direction has.
var ErrNoConnector = errors.New("there is no connector of this name")

// Direction is what a connector does.
type Direction string

// The directions.
const (
	Source Direction = "source"
	Sink   Direction = "sink"
)

// NewConnector is a connector as a command gives it.
type NewConnector struct {
	Direction Direction
	Name, URL string
	Options   [][2]string // keys of the config file and values, in their order
	By        string      // the user
}

// Connector is a connector and its account at one moment.
//
// Of a source, Taken = Published + HeldBack + Dead, but for what is in flight. Of a sink, Matched = Sent + Dead + Lost + Pending.
type Connector struct {
	Name      string
	Direction Direction
	System    string // "rabbitmq"
	URL       string // without a password
	Topic     string // of a source, its template
	Where     string
	DeadTopic string // of dead letters, or empty
	FromFile  bool   // it is in the config file
	Node      string // of the cluster that runs it; empty for a broker alone

	State     string    // connecting, running, paused, standby (another node runs it), waiting (for the next try), failed (and tried again at the longest interval)
	Since     time.Time // of the state
	LastError string    // the last one, without a password; empty if there was none
	ErrorAt   time.Time
	Restarts  uint64 // connections after the first one

	Taken     uint64 // a source's: messages that it has read
	Published uint64 // a source's: that have taken effect
	Repeated  uint64 // a source's: of these, those that were there already
	HeldBack  uint64 // a source's: by where
	Looped    uint64 // a source's: of HeldBack, those that conch itself had sent out

	Matched  uint64 // a sink's: messages that passed topic and where
	Sent     uint64 // a sink's: that the other side has taken
	Lost     uint64 // a sink's: that the bound of a slow subscriber took
	Pending  uint64 // matched and not yet sent; of a source, read and not yet in effect
	Lag      uint64 // a sink's: entries of durable topics that its group has not reached
	Filtered uint64 // a sink's: messages that where held back

	Retried uint64 // messages that were written, or published, again
	Dead    uint64 // messages given up: in dead letters, if there is a topic for them
}
