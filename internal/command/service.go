package command

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/filter"
	"github.com/conchmq/conch/internal/outbox"
	"github.com/conchmq/conch/internal/uptime"
)

// Service is what all connections of one core share, whatever carries them: the options, the users, the encoder, the
// memory limit, and what INFO counts. [NewService] starts its goroutines, and [Service.Wait] waits for their end.
type Service struct {
	options    Options
	core       *broker.Broker
	encoder    *encoder // the core's goroutine's
	access     *accessControl
	started    time.Time
	epoch      string // which sequence of numbers this is: another one for each start
	runID      string
	Counts     counts
	memory     outbox.MemoryLimit
	predicates filter.Cache // those that are subscribed to, each compiled once
	evaluators evaluators
	stats      commandStats    // the core's goroutine's
	missing    missingCommands // the core's goroutine's
	response   response        // the core's: of the command being answered; here so that answering does not allocate
	monitors   []*executor     // the core's: those that see all commands, in the order of their MONITOR
	usage      processUsage
	port       atomic.Int64 // of the first TCP listener; 0 before there is one
	clock      atomic.Int64 // the uptime, set by the sweeper: readers look at it for each read, which must be cheap

	stopping chan struct{}  // closed when Stop begins
	tasks    sync.WaitGroup // the sweeper, the loop of evictions, and what they start

	fileMu sync.Mutex // held by a reader while it runs a fileTask; never by the core

	mu      sync.Mutex // guards what follows
	conns   connList
	stopped bool
}

// counts are kept by whichever goroutine sees the event.
type counts struct {
	Accepted     atomic.Int64
	Open         atomic.Int64 // connections being served now
	clients      atomic.Int64 // those of them that have not been evicted
	commands     atomic.Int64
	Closes       [closeReasons]atomic.Int64
	lastConn     atomic.Int64 // the newest connection's id
	bytesIn      atomic.Int64
	bytesOut     atomic.Int64
	messages     outbox.Totals
	bytesLost    atomic.Int64 // queued, and not written when the connection had ended
	AcceptPauses atomic.Int64 // times that accepting paused because descriptors ran out
}

// NewService makes the service of a core, which the caller runs, and which must run for longer than the service.
func NewService(core *broker.Broker, o Options) (*Service, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	access, err := newAccessControl(&o)
	if err != nil {
		return nil, err
	}
	s := &Service{
		options:  o,
		access:   access,
		core:     core,
		encoder:  new(encoder),
		started:  time.Now(),
		epoch:    randomHex(16),
		stopping: make(chan struct{}),
	}
	s.evaluators.slots = evaluatorSlots()
	s.stats, s.runID = newCommandStats(), randomHex(40)
	s.clock.Store(int64(uptime.Now()))
	s.memory.Init(o.MaxMemory)
	s.Counts.messages.Memory, s.encoder.memory = &s.memory, &s.memory
	s.tasks.Go(s.sweep)
	s.tasks.Go(s.evictLargestLoop)
	return s, nil
}

// Options are those in force, defaults filled in. Nothing changes them.
func (s *Service) Options() *Options { return &s.options }

// Stopping is closed when Stop begins.
func (s *Service) Stopping() <-chan struct{} { return s.stopping }

// Add has a connection take part; false when the service is stopping.
func (s *Service) Add(c *Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return false
	}
	s.Counts.Open.Add(1)
	s.Counts.clients.Add(1)
	s.conns.add(c)
	return true
}

// remove takes a connection out that has left the core, which will touch it no more.
func (s *Service) remove(c *Conn) {
	if !c.executor.evicted {
		s.Counts.clients.Add(-1)
	}
	s.mu.Lock()
	s.conns.remove(c)
	s.mu.Unlock()
	s.Counts.Open.Add(-1)
}

// Stop ends all connections: each drains for DrainTimeout at most. It may be called more than once.
func (s *Service) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.stopped {
		s.stopped = true
		close(s.stopping)
	}
	for c := range s.conns.all() {
		c.End(CloseReasonShutdown)
	}
}

// CloseAll closes what carries the connections that are left. Their goroutines notice, and end them.
func (s *Service) CloseAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns.all() {
		_ = c.transport.Close()
	}
}

// Wait returns when every goroutine of the service itself has ended. It comes after Stop, and after the connections.
func (s *Service) Wait() { s.tasks.Wait() }

// SetPort notes the port of a TCP listener, which INFO shows if it is the first.
func (s *Service) SetPort(port int) { s.port.CompareAndSwap(0, int64(port)) }

// IsProtected reports whether clients of other machines must be refused: they would be the default user, without a
// password.
func (s *Service) IsProtected() bool {
	return !s.options.Unprotected && s.IsOpen()
}

// IsOpen reports whether every client is the default user, without a password.
func (s *Service) IsOpen() bool { return s.access.defaultUserOpen.Load() }
