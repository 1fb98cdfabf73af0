// Package conchtest runs conch in the process of a test, on a free port of the loopback interface:
//
//	func TestOrders(t *testing.T) {
//		s := conchtest.Start(t)
//		c, err := client.DialURL(t.Context(), s.URL())
//		…
//	}
//
// Any client library works: Addr is host:port, and redis://Addr a URL for one of Redis. A server takes about a
// millisecond to start, so each test can have its own, and topics of other tests do not interfere.
package conchtest

import (
	"context"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/server"
)

// shutdownTimeout bounds the shutdown. It ends a hanging test, and measures nothing.
const shutdownTimeout = 10 * time.Minute

// Server is a running server.
type Server struct {
	*server.Server
	Addr string // of its listener: host:port, or the path of a Unix socket

	options  server.Options
	network  string
	shutdown func() error // once
}

// Start runs a server until the test ends. The options are changed as a program would do it:
//
//	conchtest.Start(t, func(o *server.Options) { o.RequirePassword = "secret" })
func Start(t testing.TB, options ...func(*server.Options)) *Server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("conchtest: %s", err)
	}
	return StartOn(t, l, options...)
}

// StartOn is Start with a listener of the test: a Unix socket, or the address of a server that was stopped. The server
// closes it.
func StartOn(t testing.TB, l net.Listener, options ...func(*server.Options)) *Server {
	t.Helper()
	var o server.Options
	for _, option := range options {
		option(&o)
	}
	core := broker.New(broker.Options{Sequence: o.Sequence})
	s, err := server.New(core, o)
	if err != nil {
		_ = l.Close() // err matters more than the error of Close
		t.Fatalf("conchtest: %s", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var tasks sync.WaitGroup
	tasks.Go(func() { core.Run(ctx) })
	s.Serve(l)
	shutdown := sync.OnceValue(func() error {
		bounded, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
		defer cancel()
		s.Shutdown(bounded)
		stop()
		tasks.Wait()
		return bounded.Err()
	})
	started := &Server{Server: s, Addr: l.Addr().String(), options: o, network: l.Addr().Network(), shutdown: shutdown}
	t.Cleanup(func() {
		if err := shutdown(); err != nil {
			t.Errorf("conchtest: the server did not shut down by itself: %s", err)
		}
	})
	return started
}

// Stop shuts the server down before the test ends, for a test of what its clients then do. It returns when all
// connections are closed. StartOn with a listener on Addr starts another one, with a new epoch.
func (s *Server) Stop() { _ = s.shutdown() } // the cleanup of the test reports the error

// URL returns the URL for client.DialURL, client.NewPublisherURL and CONCH_URL, with the password if there is one.
func (s *Server) URL() string {
	u := url.URL{Scheme: "conch", Host: s.Addr}
	if s.network == "unix" {
		u = url.URL{Scheme: "unix", Path: s.Addr}
	}
	if s.options.RequirePassword != "" {
		u.User = url.UserPassword("default", s.options.RequirePassword)
	}
	return u.String()
}
