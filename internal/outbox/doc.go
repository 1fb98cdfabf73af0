// Package outbox is the bounded queue of frames that wait for one receiver: what the core queues and one writer takes.
// It holds the policy for slow consumers, the gaps that a policy leaves, the account of every message, and the memory that
// all of it is counted for. It knows no socket, but for the deadline of the next write.
//
// The core adds under the outbox's mutex, once a round. The writer dequeues and marks what is written, under the same
// mutex, once a call to the kernel. Whoever holds a [Buffer] releases it.
package outbox
