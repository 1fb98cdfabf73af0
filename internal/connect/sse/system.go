// Package sse reads server-sent events: those of conch, and of others.
package sse

import "github.com/conchmq/conch/internal/connect"

// System is the row of server-sent events. Its positions are ids of events: a server that knows Last-Event-ID goes on behind one.
var System = connect.System{
	Name: "sse", Schemes: []string{"sse+http", "sse+https"},
	Source:    newSource,
	Meta:      []string{"event"},
	Positions: true, IDs: true,
}
