// Package bench puts load on a publish/subscribe server and measures throughput, latency and losses.
//
// # What is measured
//
// Each subscriber and each publisher has its own connection and goroutine. Every message carries a stamp: its publisher,
// its number among the messages of that publisher, and its scheduled time. A subscriber compares each frame with the
// expected one, and so detects lost, repeated and reordered messages independently of the server's counters.
//
// Flow control keeps slow servers from dropping: a publisher waits while too many of its messages have not reached every
// subscriber. The time runs from the first measured message until the last subscriber has the last one. Messages of the
// warm-up have arrived before, so that nothing is in flight at either end. (With a rate there is no such pause: the
// schedule goes on.)
//
// With a rate, the load is open: each message has a fixed time on a schedule, and its latency counts from that time. A
// server that stalls delays all messages scheduled during the stall, not only one.
//
// # The relay baseline
//
// The generator itself costs CPU time. [Relay] forwards bytes and does nothing else. Its throughput under the same load,
// the relay baseline, is about the limit of the generator and of the machine's sockets: a server near the baseline did
// not limit the result.
package bench
