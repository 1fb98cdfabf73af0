// Package bench loads a publish and subscribe server and says what it did with the load.
//
// # What is measured
//
// Each subscriber and each publisher has a connection and a goroutine of its own. Every message carries a stamp: who
// sent it, its number among that publisher's messages, and when it was meant to be sent. A subscriber checks each
// frame against the one that must come, so that a message lost, repeated or out of order is noticed, whatever the
// server says about it.
//
// Nobody is measured while dropping: a publisher waits while too many of its messages are not yet with every
// subscriber. The clock runs from the first measured message until the last subscriber has the last one; what was sent
// to warm up has arrived before, so that the measured part begins and ends with nothing on its way. (With a rate there
// is no such pause: the schedule goes on.)
//
// With a rate, the load is open: each message has its time on a schedule that nothing moves, and its latency counts
// from that time. A server that stalls makes all the messages late that were due meanwhile, not only one.
//
// # What bounds it
//
// The generator costs CPU time itself. [Relay] forwards bytes and does nothing else; what it reaches under the same
// load is about what the generator and the machine's sockets can do, and a server that comes near it was not what
// limited the result.
package bench
