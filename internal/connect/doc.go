// Package connect carries messages between conch and other systems: a source takes them in, a sink sends them out.
//
// A system is one folder below this one, with one file for each direction and one row in internal/connect/systems. Its code has the
// three methods of Source or of Sink and nothing else: retry with jitter, the bound on what is in flight, batching, acknowledgement,
// back-pressure and metrics are wrappers of this package, written once for all systems.
//
// # A source
//
// Connect opens the connection, Read returns the next batch, Close ends both. One goroutine calls all three; the context ends a call
// that waits. An error of Read or Connect ends the connection: the wrapper closes it, waits with back-off and jitter, and connects
// the same Source again, which may have kept what it needs for that. A panic ends it likewise, and a new Source takes its place.
//
// Batch.Ack is called once the messages have taken effect: for a plain topic at the publish, for a durable topic when they are synced.
// A second goroutine calls it, beside a Read that waits, in the order of the batches and one at a time; several batches may be
// outstanding, as many as the bound on what is in flight allows. Behind an error of Read the acks that are outstanding still come, then
// Close. What was not acknowledged when the connection ended comes again from the other system. Queue is for drivers
// with a library that reads in a goroutine of its own.
//
// Where the other system has positions (Kafka, JetStream, Redis streams) a message carries its Position, and the wrapper keeps the
// last one of each Partition in the log record of the entry itself. Connect gets them back in Start, and goes on behind them: so a crash
// of either side neither loses nor repeats. Elsewhere a message carries an ID, if the other system has one: it is the
// idempotent id of the entry.
//
// # A sink
//
// Connect and Close are as a source's. Write sends a batch and returns when the other system has taken all of it, nil, or an error:
// a *Refused names the messages that will never be taken (a poison message, which goes to dead letters after its tries), any other
// error ends the connection, and the whole batch comes again. A system with an id for duplicates gets Message.ID, which is the same at
// each try.
package connect
