package client

import "time"

// PublisherOptions configure a Publisher. The zero value has one connection.
type PublisherOptions struct {
	// Connections is the number of connections, 1 to 64. Default 1. Each keeps the order of its messages; between
	// connections there is no order except with OrderedBy.
	Connections int

	// Window bounds the unacknowledged messages of one connection, and WindowBytes their bytes as commands; a larger
	// message goes alone. Publish waits while the window is full. Defaults 4096 and 1 MiB. Each connection allocates up
	// to WindowBytes, and 64 bytes for each message of the window.
	Window, WindowBytes int

	// KeepGoing continues with the other connections after a break instead of stopping the publisher. Unacked returns
	// the messages of the broken one all the same.
	KeepGoing bool

	// Reconnect replaces a connection that breaks, with pauses between Options.MinBackoff and MaxBackoff, until the
	// server refuses. The others continue meanwhile, as with KeepGoing. Unacked returns the messages of the broken one,
	// and the caller decides whether to publish them again.
	Reconnect bool

	// Grace bounds the wait for acknowledgements in Close and after the break of one of several connections. Default 5
	// s.
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

// PublishOption is an option of one publish. The zero value has no effect.
type PublishOption struct {
	key     string
	ordered bool
}

// OrderedBy keeps the order of all messages with the same key by using one connection for them. With
// PublisherOptions.KeepGoing, the key of a broken connection moves to another one; with Reconnect, it waits. Acknowledged messages stay in order
// then; one of unknown outcome may have been published after later ones.
func OrderedBy(key string) PublishOption { return PublishOption{key, true} }

func keyOf(options []PublishOption) (key string, ordered bool) {
	for _, o := range options {
		if o.ordered {
			return o.key, true
		}
	}
	return "", false
}
