// Package local is conch's side of connectors: the way in for sources, and the way out for sinks, over the core of this process. It is the
// connect.Broker of the daemon.
//
// A sink has two ways out. Messages of plain topics come from a subscription, as a client would have it, that drops the oldest. Entries of
// durable topics come from consumer groups: each stream that the sink's topic matches has a group connect:NAME, of which the sink is the one
// consumer. A group begins with the oldest entry. Commands and replies are those of RESP, over a connection without a socket; new entries come
// beside it as they are. What is done is acknowledged by a goroutine of its own, so a crash repeats up to 33 deliveries.
package local
