// Package command is what the bytes of a connection mean: it splits them into commands, runs these at their instant of
// the one order, and encodes what they send. It has no socket; see [Transport] for what carries a connection.
//
// Three goroutines share a [Conn]. The receiver of a method names its goroutine:
//
//   - [Reader]: the connection's own. It parses, checks, evaluates predicates, and submits batches.
//   - executor: the core's. It implements [broker.Conn]: it admits each command, answers it, and queues what goes to the
//     client. All waits for it, so nothing here may block, or take long.
//   - the writer of the transport, which takes what the outbox holds.
//
// [Service] is what all connections share.
package command
