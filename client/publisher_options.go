package client

import "time"

// PublisherOptions say how a Publisher works. The zero value has one connection.
type PublisherOptions struct {
	// Connections is how many, 1 to 64. Default 1. Each keeps the order of what it carries; between several there is none,
	// but for OrderedBy.
	Connections int

	// Window is how many messages of one connection may be without acknowledgement, and WindowBytes how many bytes they
	// may have as commands together; a message that is larger than that goes alone. Publish waits when the window is full.
	// Defaults 4096 and 1 MiB. Each connection keeps up to as many bytes, and 64 for each message of the window.
	Window, WindowBytes int

	// KeepGoing goes on with the other connections when one has broken, instead of stopping the publisher. What the broken
	// one carried is in Unacked all the same.
	KeepGoing bool

	// Grace is how long acknowledgements of what is in flight are waited for, by Close and when a connection of several has
	// broken. Default 5 s.
	Grace time.Duration
}

func (o PublisherOptions) withDefaults() (PublisherOptions, error) {
	defaultTo(&o.Connections, 1)
	defaultTo(&o.Window, 4096)
	defaultTo(&o.WindowBytes, 1<<20)
	defaultTo(&o.Grace, 5*time.Second)
	switch {
	case o.Connections < 1 || o.Connections > maxConnections:
		return o, invalidOption("Connections must be 1 to %d: %d", maxConnections, o.Connections)
	case o.Window < 1 || o.Window > 1<<24:
		return o, invalidOption("Window must be 1 to %d: %d", 1<<24, o.Window)
	case o.WindowBytes < 1:
		return o, invalidOption("WindowBytes must be positive: %d", o.WindowBytes)
	case o.Grace < 0:
		return o, invalidOption("Grace must not be negative: %s", o.Grace)
	}
	return o, nil
}

// PublishOption is one choice about one publish. The zero value is none.
type PublishOption struct {
	key     string
	ordered bool
}

// OrderedBy keeps the order of all messages that are published with the same key, by giving them to the same
// connection. With PublisherOptions.KeepGoing, a key whose connection has broken moves to another one: messages that are
// acknowledged stay in order, but one of unknown fate may have been published after later ones.
func OrderedBy(key string) PublishOption { return PublishOption{key, true} }

func keyOf(options []PublishOption) (key string, ordered bool) {
	for _, o := range options {
		if o.ordered {
			return o.key, true
		}
	}
	return "", false
}
