// Package sockio is what a socket can do that package net does not offer: reading and writing without waiting, and how long
// the kernel tries to reach a peer that is gone. It knows no connection and no protocol.
package sockio
