package server

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/filter"
	"github.com/conchmq/conch/internal/outbox"
	"github.com/conchmq/conch/internal/uptime"
)

// Server serves one core to any number of listeners.
type Server struct {
	options      Options
	core         *broker.Broker
	encoder      *encoder // the core's goroutine's
	access       *accessControl
	started      time.Time
	epoch        string // which sequence of numbers this is: another one for each start
	counts       counts
	memory       outbox.MemoryLimit
	predicates   filter.Cache // those that are subscribed to, each compiled once
	evaluators   evaluators
	stats        commandStats    // the core's goroutine's
	missing      missingCommands // the core's goroutine's
	usage        processUsage
	runID        string
	port         atomic.Int64 // of the first TCP listener; 0 before there is one
	handshakeLog logLimiter   // for what the log says of failed ones
	clock        atomic.Int64 // the uptime, set by the sweeper: readers look at it for each read, which must be cheap

	stopping chan struct{}  // closed when Shutdown begins
	tasks    sync.WaitGroup // accept loops, the sweeper, connections, refusals

	fileMu sync.Mutex // held by a reader while it runs a fileTask; never by the core

	mu        sync.Mutex // guards what follows
	listeners map[net.Listener]struct{}
	conns     connList
	stopped   bool
}

// counts are kept by whichever goroutine sees the event.
type counts struct {
	accepted     atomic.Int64
	open         atomic.Int64 // connections being served now
	clients      atomic.Int64 // those of them that have not been evicted
	commands     atomic.Int64
	rejecting    atomic.Int64 // refused connections that are being told so
	closes       [closeReasons]atomic.Int64
	lastConn     atomic.Int64 // the newest connection's id
	bytesIn      atomic.Int64
	bytesOut     atomic.Int64
	messages     outbox.Totals
	bytesLost    atomic.Int64 // queued, and not written when the connection had ended
	acceptPauses atomic.Int64 // times that accepting paused because descriptors ran out
}

// New makes a server over a core, which somebody else runs, and which must run for longer than the server.
func New(core *broker.Broker, o Options) (*Server, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	access, err := newAccessControl(&o)
	if err != nil {
		return nil, err
	}
	s := &Server{
		options:   o,
		access:    access,
		core:      core,
		encoder:   new(encoder),
		started:   time.Now(),
		epoch:     randomHex(16),
		stopping:  make(chan struct{}),
		listeners: make(map[net.Listener]struct{}),
	}
	s.evaluators.slots = evaluatorSlots()
	s.stats, s.runID = newCommandStats(), randomHex(40)
	s.clock.Store(int64(uptime.Now()))
	s.memory.Init(o.MaxMemory)
	s.counts.messages.Memory, s.encoder.memory = &s.memory, &s.memory
	s.tasks.Go(s.sweep)
	s.tasks.Go(s.evictLargestLoop)
	return s, nil
}

// Options returns the options in force, defaults filled in.
func (s *Server) Options() Options { return s.options }

// Serve accepts connections from l until Shutdown, and returns at once. The server closes l.
func (s *Server) Serve(l net.Listener) { s.serveWith(l, nil) }

// ServeTLS is Serve for connections that speak TLS. The handshake of each has HandshakeTimeout, and is its own affair. To
// change certificates while it runs, give the config a GetConfigForClient.
func (s *Server) ServeTLS(l net.Listener, config *tls.Config) { s.serveWith(l, config) }

func (s *Server) serveWith(l net.Listener, config *tls.Config) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		_ = l.Close() // nothing was accepted from it: there is nobody to tell
		return
	}
	s.listeners[l] = struct{}{}
	if tcp, ok := l.Addr().(*net.TCPAddr); ok {
		s.port.CompareAndSwap(0, int64(tcp.Port))
	}
	s.tasks.Go(func() { s.accept(l, config) })
}

// Shutdown stops accepting, lets each connection's outbox drain for DrainTimeout at most, and returns when every
// goroutine of the server has ended. When ctx ends first, it closes what is left and waits no longer than that takes.
func (s *Server) Shutdown(ctx context.Context) {
	s.mu.Lock()
	if !s.stopped {
		s.stopped = true
		close(s.stopping)
	}
	for l := range s.listeners {
		_ = l.Close() // the accept loop sees it and ends
	}
	for c := range s.conns.all() {
		c.end(CloseReasonShutdown)
	}
	s.mu.Unlock()

	hurry := context.AfterFunc(ctx, s.closeAll)
	defer hurry()
	s.tasks.Wait()
}

func (s *Server) closeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns.all() {
		_ = c.sock.Close() // its goroutines notice and end it
	}
}

// add registers a connection; false when the server is stopping.
func (s *Server) add(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return false
	}
	s.conns.add(c)
	return true
}

func (s *Server) remove(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns.remove(c)
}

// sweepEvery is how often outboxes are looked at for the soft limit; SlowTime is kept to within that.
const sweepEvery = time.Second

// sweep evicts who has been over the soft limit for too long, or has not said who it is for too long. It is a clock outside the core: what it finds enters
// the core as a request.
func (s *Server) sweep() {
	every := min(sweepEvery, max(min(s.options.SlowTime, s.options.AuthTimeout)/4, time.Millisecond))
	tick := time.NewTicker(every)
	defer tick.Stop()
	for last := uptime.Now(); ; {
		select {
		case <-s.stopping:
			return
		case now := <-tick.C:
			s.usage.heapBytes()
			at := uptime.Now()
			s.sweepConns(at, lateness(at-last, every))
			last = at
			s.expireTokens(now)
		}
	}
}

// lateness is how much later a tick came than it should have. Up to a period is a busy machine; more is a process that
// was stopped, or a machine that was.
func lateness(since, every time.Duration) time.Duration {
	if since <= 2*every {
		return 0
	}
	return since - every
}

// sweepConns evicts those connections whose time is over at a moment. late is the time before it in which the process
// stood still: no client could do anything about it, so it does not count for slow-time and auth-timeout.
func (s *Server) sweepConns(at, late time.Duration) {
	s.clock.Store(int64(at))
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns.all() {
		if late > 0 {
			c.creditPause(late, at)
		}
		if reason := c.sweepReason(at); reason != CloseReasonNone {
			s.tasks.Go(func() { c.submitEvict(reason) }) // Submit may wait; the lock must not
		}
	}
}
