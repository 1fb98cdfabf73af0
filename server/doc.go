// Package server carries connections over sockets, TCP, Unix and TLS: it accepts them, reads, writes, and closes. What the
// bytes mean is the affair of package command.
//
// Each connection has a reader goroutine for its life (see [command.Reader]), and a writer goroutine while there is
// something to write. The third goroutine that touches it is the core's, by the executor of [command.Conn].
package server

import "github.com/conchmq/conch/internal/command"

// Options are what a Server can be told. The zero value serves with the defaults, in protected mode, and logs nothing.
type Options = command.Options
