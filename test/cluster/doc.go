// Package cluster tests a cluster of real processes under faults. Each node has a network namespace of its own, a disk of its own, and links that
// lose, delay and reorder packets. It needs root, iproute2 and nftables, and fails without them.
package cluster
