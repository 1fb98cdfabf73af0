package command

import "sync/atomic"

// streamClient is what a connection has that uses streams. Most connections never do, so the core makes it on demand. It stays
// until the connection ends.
type streamClient struct {
	// barrier is the newest record that frames wait for, 0 if none do. released is closed when none do any more; nil if that does
	// not matter. The mutex of the barriers guards both.
	barrier  uint64
	released chan struct{}
	// filler fills replies with entries; nil before the first one. The core sets it.
	filler atomic.Pointer[filler]

	// direct gets entries for the owner within the process; nil for others. It is set before the connection is known: see ReadDirectly.
	direct chan []DirectEntry
	// connector is the token of what a connector reads by, empty for all other connections. It is set before the connection is known:
	// see ActAsConnector.
	connector string

	// cursors is how many positions the connection moves. The core changes it.
	cursors atomic.Int32

	// The core owns the rest.

	// hasLeft: a subscription has ended, which may have moved a position.
	hasLeft bool

	// watched are the keys of WATCH.
	watched watchedKeys
	// blocked is the state of a command that waits for entries; nil if none does.
	blocked *blockedClient
	// holdsFor is the record that frames of this round wait for, 0 if none do.
	holdsFor uint64
	// fills are replies with entries whose places are not flushed yet.
	fills []*fill

	usage streamUsage
}

// streamUsage is the part of memoryUsage that streams take.
type streamUsage struct {
	// watched is the keys of WATCH, blocked those of a command that waits, or what a KEYS has found so
	// far. The core changes both.
	watched, blocked atomic.Int64
	// fills is replies that wait for their entries. The core adds, the filler subtracts.
	fills atomic.Int64
}

func (u *streamUsage) sum() int64 { return u.watched.Load() + u.blocked.Load() + u.fills.Load() }

// usesStreams returns the state of a connection that uses streams, and makes it if need be. The core calls it.
func (c *Conn) usesStreams() *streamClient {
	x := c.streamClient.Load()
	if x == nil {
		x = new(streamClient)
		c.streamClient.Store(x)
	}
	return x
}

// getFiller returns the filler, nil if there is none. Any goroutine may call it.
func (c *Conn) getFiller() *filler {
	if x := c.streamClient.Load(); x != nil {
		return x.filler.Load()
	}
	return nil
}

// blockedClient is the state of a command that waits for entries; nil if none does.
func (e *executor) blockedClient() *blockedClient {
	if x := e.streamClient.Load(); x != nil {
		return x.blocked
	}
	return nil
}

// watchedKeys are the keys of WATCH.
func (e *executor) watchedKeys() []watchedKey {
	if x := e.streamClient.Load(); x != nil {
		return x.watched.list
	}
	return nil
}

// holdFrames makes a release wait for a writer of what is about to be flushed, if that waits for a record.
func (x *streamClient) holdFrames(e *executor) {
	record := x.holdsFor
	if record == 0 {
		return
	}
	if x.holdsFor = 0; !e.service.barriers.add(e.Conn, record) {
		e.End(CloseReasonLog)
	}
}
