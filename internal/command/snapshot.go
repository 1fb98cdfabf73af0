package command

import (
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/recent"
	"github.com/conchmq/conch/protocol"
)

// Snapshot is what a service counts, at one instant of the order: INFO for programs that watch.
//
// It has numbers of the server, of commands, of reasons and of error codes. It has none of a topic, a user or a
// connection: its size, and the work for it, do not depend on what clients make up.
type Snapshot struct {
	broker.Stats

	Version  string
	Clients  int64 // connections now, except evicted ones
	Accepted int64
	Closes   [closeReasons]int64

	Delivered, Dropped, Undelivered int64
	Replayed                        int64
	BytesIn, BytesOut, BytesLost    int64

	EventStreams, WebSockets int64 // now

	Recent      recent.Stats // of the latest messages; zero if none are kept
	RecentLimit int          // bytes

	Log          LogStatus
	Keys         int    // streams
	StreamMemory int64  // bytes, as stream-memory counts them
	Missed       uint64 // entries that went before a group had read them
	Cursors      int    // positions of FROM GROUP
	CursorBehind uint64 // by how many numbers the hindmost of them is behind the newest entry

	MemoryUsed, MemoryLimit int64 // bytes, as max-memory counts them
	ConnectionLimit         int

	DeniedAuth, DeniedCommand, DeniedKey, DeniedTopic int64

	AcceptPauses int64
	Connectors   []Connector
	Cluster      NodeStatus // empty for a broker alone
	LogDropped   uint64

	rows   []rowStats
	errors map[protocol.Code]int64
}

// CallCounts are the counters of one command. CONFIG RESETSTAT resets them.
type CallCounts struct {
	Calls, Rejected, Failed int64
	CoreTime                time.Duration
}

// Snapshot visits the core for the length of two copies, and returns false if the core has stopped. Any goroutine but
// the core's may call it.
func (s *Service) Snapshot() (*Snapshot, bool) {
	n := &Snapshot{
		Version: s.options.Version, MemoryLimit: s.options.MaxMemory, ConnectionLimit: s.options.MaxConnections,
		RecentLimit: s.options.Recent, Log: s.logStatus(), Cluster: s.NodeStatus(),
	}
	if !s.runOnCore(func(v broker.View) { n.takeOnCore(s, v) }) {
		return nil, false
	}
	return n, true
}

// takeOnCore fills in the counters. Matched is read first: the core, which adds to it, is here, and writers count a
// message only after that. So Queued is never negative.
func (n *Snapshot) takeOnCore(s *Service, v broker.View) {
	c, denied := &s.Counts, s.access.denied
	n.Stats = v.Stats()
	n.Clients, n.Accepted = c.clients.Load(), c.Accepted.Load()
	for r := range c.Closes {
		n.Closes[r] = c.Closes[r].Load()
	}
	n.Delivered, n.Dropped, n.Undelivered = c.messages.Delivered.Load(), c.messages.Dropped.Load(), c.messages.Undelivered.Load()
	n.Replayed, n.EventStreams, n.WebSockets = c.messages.Replayed.Load(), c.EventStreams.Load(), c.WebSockets.Load()
	if s.recent != nil {
		n.Recent = s.recent.Stats()
	}
	n.BytesIn, n.BytesOut, n.BytesLost = c.bytesIn.Load(), c.bytesOut.Load(), c.bytesLost.Load()
	n.Connectors = s.Connectors()
	n.MemoryUsed, n.AcceptPauses, n.LogDropped = s.memory.Used(), c.AcceptPauses.Load(), s.options.LogDropped()
	n.DeniedAuth, n.DeniedCommand, n.DeniedKey, n.DeniedTopic = denied.auth, denied.command, denied.key, denied.channel
	if s.options.Store != nil {
		n.Keys, n.StreamMemory = s.options.Store.Streams().Len(), s.streamMemory(&n.Log)
		n.Missed = s.streams.missed
		n.Cursors, n.CursorBehind = s.streams.state.Cursors(), s.streams.cursorBehind()
	}
	n.rows, n.errors = slices.Clone(s.stats.rows), maps.Clone(s.stats.errors)
}

// Queued is how many messages wait for their subscribers.
func (n *Snapshot) Queued() int64 {
	return int64(n.Matched) - n.Delivered - n.Dropped - n.Undelivered //nolint:gosec // a count
}

// Commands yields each command that was sent, under its name in INFO.
func (n *Snapshot) Commands() iter.Seq2[string, CallCounts] {
	return func(yield func(string, CallCounts) bool) {
		for place, r := range n.rows {
			if r.calls+r.rejected+r.failed > 0 &&
				!yield(protocol.Commands[place].FullName(), CallCounts{r.calls, r.rejected, r.failed, r.time}) {
				return
			}
		}
	}
}

// Errors yields each code that an error reply had, in their order.
func (n *Snapshot) Errors() iter.Seq2[string, int64] {
	return func(yield func(string, int64) bool) {
		for _, code := range slices.Sorted(maps.Keys(n.errors)) {
			if !yield(string(code), n.errors[code]) {
				return
			}
		}
	}
}

// Endings yields every reason, at 0 too, so that a dashboard finds each name.
func (n *Snapshot) Endings() iter.Seq2[string, int64] {
	return func(yield func(string, int64) bool) {
		for r := CloseReasonEOF; r < closeReasons; r++ {
			if !yield(r.String(), n.Closes[r]) {
				return
			}
		}
	}
}
