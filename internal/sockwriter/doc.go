// Package sockwriter writes the outboxes of connections to their sockets. Connections over plain sockets share a few
// writers, which wait for none; all others have a writer goroutine while bytes wait (docs/decisions/024-writers.md).
//
// The owner of a connection has a [Writing] for it. It waits for that writer before it closes the socket.
package sockwriter
