// Package web serves requests over HTTP. They run ordinary commands, as the user that the
// request authenticates, on a connection in memory: rights, limits, counts and logs are those
// of sockets.
//
// A request takes one way. [Server] accepts it, [route] names its handler, and an exchange
// carries it. Its conn runs the commands, and a problem is the answer to what fails.
//
// A stream stays: server-sent events, or a WebSocket. It is a connection with an outbox and a
// writer, as one over a socket. Over HTTP/1.1 it takes the socket over from net/http.
package web
