// Package command is the core's side of a connection, and its reader. It parses a client's bytes
// into commands, runs these at their instant of the one order, and encodes the frames for the
// client. It has no socket; a [Transport] carries the connection.
//
// Three goroutines share a [Conn]. The receiver of a method names its goroutine:
//
//   - [Reader]: the connection's own. It parses, checks, evaluates predicates, and submits
//     batches.
//   - executor: the core's. It implements [broker.Conn]: it admits each command, replies to it,
//     and queues frames for the client. Every other connection waits meanwhile, so it must
//     neither block nor take long.
//   - the writer of the transport, which writes what the outbox holds.
//
// Bytes take one way. [Reader.Serve] parses a read into a [Batch] and submits it. The core calls
// the executor for each of its requests. Flush then moves the resulting frames into the outbox.
//
// [Service] is what all connections share.
package command
