// Package outbox is the bounded queue of frames that wait for one connection. The core fills it, and one writer empties it.
// It holds the policy for slow consumers, the gaps that a policy leaves, the account of every message, and the memory
// accounting. It knows no socket, except for the deadline of the next write.
//
// The core adds under the mutex of the outbox, once a round. The writer dequeues and marks written bytes under the same
// mutex, once a call to the kernel. A function that ends in Locked needs the mutex. Fields without the mutex are atomic,
// or have one goroutine as owner, which their comment names.
//
// Memory is counted: each holder of a [Buffer] releases it, and each charge to a [MemoryLimit] is taken back by the same
// amount.
package outbox
