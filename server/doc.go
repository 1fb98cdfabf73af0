// Package server carries connections over sockets: TCP, Unix and TLS. It accepts, reads and closes. Package command
// interprets the bytes, package sockwriter writes them.
//
// Each connection has a reader goroutine for its life (see [command.Reader]), and a writer goroutine while bytes wait.
// The third goroutine is that of the core, which runs the executor of [command.Conn]. Shutdown waits for all readers and
// writers.
package server

import "github.com/conchmq/conch/internal/command"

// Options configure a Server. The zero value serves with the defaults, in protected mode, and logs nothing.
type Options = command.Options

// Setting is a setting of the program that CONFIG GET shows.
type Setting = command.Setting
