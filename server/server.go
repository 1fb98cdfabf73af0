package server

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"sync/atomic"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/command"
	"github.com/conchmq/conch/internal/sockwriter"
	"github.com/conchmq/conch/internal/store"
)

// Server connects one core to any number of listeners.
type Server struct {
	service      *command.Service
	handshakeLog command.LogLimiter // limits the log lines of failed handshakes
	rejecting    atomic.Int64       // refused connections that linger for their text
	tasks        sync.WaitGroup     // accept loops, connections, refusals
	writers      sockwriter.SharedWriters
	streams      *store.Store // nil if the caller has given one

	mu        sync.Mutex // guards what follows
	listeners map[net.Listener]struct{}
	stopped   bool
	closed    bool // the streams
}

// New makes a server for a core. The caller runs the core, which must outlive the server. Without a store of the caller's, streams
// are in memory, within a quarter of MaxMemory.
func New(core *broker.Broker, o command.Options) (*Server, error) {
	s := &Server{listeners: make(map[net.Listener]struct{})}
	if o.Store == nil {
		streams, err := store.Open(store.Options{Memory: o.MaxMemory / 4})
		if err != nil {
			return nil, err
		}
		s.streams, o.Store, o.LogStatus = streams, streams, streams.Status
	}
	service, err := command.NewService(core, o)
	if err != nil {
		if s.streams != nil {
			_ = s.streams.Close(0) // it is empty
		}
		return nil, err
	}
	if s.service = service; s.streams != nil {
		s.streams.Start(service)
	}
	s.writers.Init(service, &s.tasks)
	return s, nil
}

// Options returns the options in force, with defaults filled in.
func (s *Server) Options() command.Options { return *s.service.Options() }

// Service is what the server's connections share with those of other listeners.
func (s *Server) Service() *command.Service { return s.service }

// LoadUsers reads the ACL file again, as ACL LOAD does. With an error the rules are as they were.
func (s *Server) LoadUsers() error { return s.service.LoadUsers() }

// IsProtected reports whether clients of other machines are refused.
func (s *Server) IsProtected() bool { return s.service.IsProtected() }

// IsOpen reports whether clients need no password: they are the default user.
func (s *Server) IsOpen() bool { return s.service.IsOpen() }

// Serve accepts connections from l until Shutdown, and returns at once. The server closes l.
func (s *Server) Serve(l net.Listener) { s.serveWith(l, nil) }

// ServeTLS is Serve for TLS connections. Each handshake runs on its connection's goroutine, within
// HandshakeTimeout. To change certificates at run time, give the config a GetConfigForClient.
func (s *Server) ServeTLS(l net.Listener, config *tls.Config) { s.serveWith(l, config) }

func (s *Server) serveWith(l net.Listener, config *tls.Config) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		_ = l.Close() // no connection was accepted, so no client is lost
		return
	}
	s.listeners[l] = struct{}{}
	if tcp, ok := l.Addr().(*net.TCPAddr); ok {
		s.service.SetPort(tcp.Port)
	}
	s.tasks.Go(func() { s.accept(l, config) })
}

// Shutdown stops accepting, lets outboxes drain for at most DrainTimeout, and waits for every goroutine of the
// server. When ctx ends first, it closes all connections.
func (s *Server) Shutdown(ctx context.Context) {
	s.mu.Lock()
	s.stopped = true
	s.service.Stop()
	for l := range s.listeners {
		_ = l.Close() // the accept loop sees it and ends
	}
	s.mu.Unlock()

	hurry := context.AfterFunc(ctx, s.service.CloseAll)
	defer hurry()
	s.tasks.Wait()
	s.service.Wait()
	if s.streams != nil {
		s.closeStreams()
	}
}

// closeStreams closes what is in memory: no connection is left that could read it.
func (s *Server) closeStreams() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.closed = true
		s.streams.Stop()
		_ = s.streams.Close(0) // nothing of it is to survive
	}
}
