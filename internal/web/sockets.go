package web

import (
	"net"
	"net/http"
	"sync"
)

// spareSockets is how many sockets may exceed the limit of connections, so that their requests
// get an answer. More are closed at once.
const spareSockets = 256

// sockets counts the connections over HTTP. One that a stream has taken over is none of them:
// it counts as a connection of the service.
type sockets struct {
	max int

	mu    sync.Mutex // guards what follows
	open  map[net.Conn]http.ConnState
	ended bool // new connections are closed at once
}

// changed is [http.Server.ConnState].
func (k *sockets) changed(sock net.Conn, state http.ConnState) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch state {
	case http.StateHijacked, http.StateClosed:
		delete(k.open, sock)
		return
	case http.StateNew:
		if k.ended || len(k.open) >= k.max+spareSockets {
			_ = sock.Close() // a flood gets no text
			return
		}
	}
	if k.open == nil {
		k.open = make(map[net.Conn]http.ConnState)
	}
	k.open[sock] = state
}

// count is the number of connections.
func (k *sockets) count() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.open)
}

// closeNew closes the connections that have sent nothing yet, and new ones from now on. A stop
// of net/http would wait for them.
func (k *sockets) closeNew() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ended = true
	for sock, state := range k.open {
		if state == http.StateNew {
			_ = sock.Close()
		}
	}
}
