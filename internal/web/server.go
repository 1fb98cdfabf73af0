package web

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	stdlog "log"
	"net"
	"net/http"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/conchmq/conch/internal/command"
	"github.com/conchmq/conch/internal/sockwriter"
)

// Options configure a Server.
type Options struct {
	// Origins are the origins of pages that may use the server, besides its own; * is any.
	Origins []string
	// Period is the time between two events of GET /stats. Default 1 s.
	Period time.Duration
	// Debug answers /debug/pprof.
	Debug bool
}

func (o *Options) period() time.Duration { return cmp.Or(o.Period, time.Second) }

const (
	// maxHeader bounds the header of a request: a topic of 4 KiB takes 12 KiB, percent-encoded.
	maxHeader = 64 << 10
	// maxStreams, maxStreamBytes and maxStreamsBytes bound an HTTP/2 connection: its requests at
	// a time, and what it may send ahead of one handler, and of all.
	maxStreams      = 100
	maxStreamBytes  = 64 << 10
	maxStreamsBytes = 256 << 10
)

// Server answers requests over HTTP for the service of one core.
type Server struct {
	service  *command.Service
	options  Options
	routes   []route
	http     http.Server
	sockets  sockets
	tickets  tickets
	sessions sessions
	// errorLog limits the log lines of failed connections.
	errorLog command.LogLimiter
	// heartbeat is the silence after which an event stream sends its position, and a WebSocket a ping.
	heartbeat time.Duration
	stopping  atomic.Bool
	probe     probe
	writers   sockwriter.SharedWriters // of all streams over TCP
	opening   chan struct{}            // has one value for each request that opens its connection: see startOpening

	mu      sync.Mutex     // guards stopped, against an Add to tasks behind its Wait
	stopped bool           // no request begins any more
	tasks   sync.WaitGroup // listeners, and requests with the streams that they become
}

// New makes a server. The caller stops the service before [Server.Shutdown] can return.
func New(service *command.Service, o Options) *Server {
	s := &Server{service: service, options: o, heartbeat: heartbeat}
	s.routes = s.table()
	s.opening = make(chan struct{}, maxOpening*runtime.GOMAXPROCS(0))
	s.writers.Init(service, &s.tasks)
	s.http = http.Server{
		Handler:           http.HandlerFunc(s.serve),
		ReadHeaderTimeout: service.Options().HandshakeTimeout, // and of the handshake, and of a new connection's silence
		IdleTimeout:       2 * service.Options().KeepAlive,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          stdlog.New(errorWriter{s}, "", 0),
		ConnState:         s.sockets.changed,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: maxStreams, MaxReceiveBufferPerStream: maxStreamBytes, MaxReceiveBufferPerConnection: maxStreamsBytes,
			WriteByteTimeout: service.Options().SlowTime, // of the socket: the deadline of one stream cannot end a write that all share
		},
	}
	s.sockets.max = service.Options().MaxConnections
	return s
}

// Serve accepts connections from l until Shutdown, and returns at once. The server closes l.
func (s *Server) Serve(l net.Listener) { s.listen(l, s.http.Serve) }

// ServeTLS is Serve for TLS connections, with HTTP/2 for clients that offer it.
func (s *Server) ServeTLS(l net.Listener, config *tls.Config) {
	s.listen(tls.NewListener(yieldListener{l}, withProtocols(config)), s.http.Serve)
}

func (s *Server) listen(l net.Listener, serve func(net.Listener) error) {
	if !s.begin() {
		_ = l.Close() // no connection was accepted, so no client is lost
		return
	}
	go func() {
		defer s.tasks.Done()
		if err := serve(l); !s.stopping.Load() {
			s.service.Options().Log.Error().Err(err).Stringer("address", l.Addr()).Msg("the listener was closed")
		}
	}()
}

// withProtocols is a configuration that offers HTTP/2 and HTTP/1.1.
func withProtocols(config *tls.Config) *tls.Config {
	config = config.Clone()
	config.NextProtos = []string{"h2", "http/1.1"}
	if inner := config.GetConfigForClient; inner != nil {
		config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			chosen, err := inner(hello)
			if err != nil || chosen == nil {
				return chosen, err
			}
			chosen = chosen.Clone()
			chosen.NextProtos = config.NextProtos
			return chosen, nil
		}
	}
	return config
}

// begin counts a task, unless the server is stopping.
func (s *Server) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return false
	}
	s.tasks.Add(1)
	return true
}

// Shutdown stops accepting, and waits for all requests and streams. The stop of the service ends
// them; it may come at the same time. When ctx ends first, all sockets are closed.
func (s *Server) Shutdown(ctx context.Context) {
	s.stopping.Store(true)
	s.mu.Lock()
	s.stopped = true
	s.mu.Unlock()
	s.sockets.closeNew()
	s.sessions.endAll()
	if s.http.Shutdown(ctx) != nil {
		_ = s.http.Close() // requests end when their sockets do
	}
	s.tasks.Wait()
}

// serve answers one request.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	x := newExchange(s, w, r)
	if x.isBrokenOff() { // before its handler has begun
		return
	}
	if !s.begin() {
		x.fail(errStopping)
		return
	}
	defer s.tasks.Done()
	defer x.recoverPanic()
	if r.ContentLength != 0 {
		x.extendRead()
	}
	x.setHeaders()
	if err := x.admit(); err != nil {
		x.fail(err)
		return
	}
	defer x.endShown()
	found, err := s.match(x)
	if loading := s.service.Loading(); err == nil && found != nil && loading != nil && !slices.Contains(whileLoading, found.path) {
		err = &problem{Status: http.StatusServiceUnavailable, Detail: loading.Text, Code: string(loading.Code)}
	} else if err == nil && found != nil {
		err = found.handle(x)
	}
	if err != nil && (x.begun || !x.isBrokenOff()) {
		x.fail(err)
	}
}

// recoverPanic ends one request after a panic: the process goes on.
func (x *exchange) recoverPanic() {
	p := recover()
	if p == nil {
		return
	}
	if p == http.ErrAbortHandler { //nolint:errorlint // a value to panic with, which is never wrapped
		panic(p)
	}
	x.server.service.Options().Log.Error().Stringer("peer", x.remote).Str("panic", fmt.Sprint(p)).Bytes("stack", debug.Stack()).
		Msg("defect in a request; it is answered by 500")
	x.fail(&problem{Status: http.StatusInternalServerError, Detail: "a defect of conch; its log has more"})
}
