package command

import (
	"cmp"
	"sync"
	"sync/atomic"
	"time"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/filter"
	"github.com/conchmq/conch/internal/outbox"
	"github.com/conchmq/conch/internal/recent"
	"github.com/conchmq/conch/internal/uptime"
	"github.com/conchmq/conch/protocol"
)

// Service is what all connections of one core share, whatever carries them: options, users,
// encoder, memory limit, and the counters of INFO.
//
// [NewService] starts its goroutines, and [Service.Wait] waits for their end. mu guards the
// connections, fileMu the ACL file. The core may take mu while a reader holds fileMu, never the
// reverse.
type Service struct {
	options Options
	core    *broker.Broker
	// encoder, streams, stats, missing, response and monitors belong to the core's goroutine.
	encoder *encoder
	access  *accessControl
	started time.Time
	// epoch names the sequence numbers of this start of the server: each start has another one. That of a new cluster comes while clients are
	// connected.
	epoch atomic.Pointer[string]
	runID string
	// loading is the error that clients get as long as a node catches up with its cluster, or if it was removed; nil otherwise.
	loading atomic.Pointer[protocol.Error]
	// isFounded is set once the cluster has an epoch.
	isFounded atomic.Bool
	Counts    counts
	memory    outbox.MemoryLimit
	// predicates holds the predicates in use, each compiled once.
	predicates filter.Cache
	// evaluators compile and evaluate predicates; longParsers parse commands with very many
	// arguments; unauthenticated parse for clients before AUTH. See slots.
	evaluators      slots
	longParsers     slots
	unauthenticated slots
	// keptSources is how many feeders keep a source open while they wait for their client.
	keptSources atomic.Int32
	// feeders replay messages; fillers fill replies with entries.
	feeders, fillers slots
	fillWorkers      fillWorkers
	// versions holds the index of predicates for those that publish.
	versions indexVersions
	// recent holds the latest messages; nil if none are kept.
	recent  *recent.Messages
	streams streams
	// cursors belong to the core's goroutine.
	cursors cursors
	// barriers are the connections that wait for the log.
	barriers barriers
	// syncs wakes the readers that wait for the log.
	syncs wakeUp
	// orderRoom wakes the readers that wait until they can propose to other nodes.
	orderRoom wakeUp
	// entering has the readers whose appends are about to go to the core.
	entering entering
	// largeAppends is the bytes of large appends that are on their way to the core.
	largeAppends atomic.Int64
	// largeGate has the readers that go on with a large command while memory is short.
	largeGate largeGate
	stats     commandStats
	missing   missingCommands
	// connectors is nil before SetConnectors.
	connectors atomic.Pointer[Connectors]
	// holder is the node that runs the connectors of the cluster, nil before there is one. The core sets it. holders counts those that this
	// process has proposed. connectorsChange wakes the goroutine that follows both that and what is paused.
	holder           atomic.Pointer[connectorHolder]
	holders          atomic.Uint64
	connectorsChange wakeUp
	// feedNames are those of connectors that have published.
	feedNames feedNames
	// times and unnamed are what WHY knows of publishes. They belong to the core's goroutine.
	times   numberTimes
	unnamed unnamedPublishes
	// response is the reply being built. It is a field so that a reply needs no allocation.
	response response
	// monitors are the connections that see all commands, in the order of their MONITOR.
	monitors []monitoring
	usage    processUsage
	// port is that of the first TCP listener; 0 before there is one.
	port atomic.Int64
	// clock is the uptime, set by the sweeper. Readers load it at each read, which must be
	// cheap.
	clock atomic.Int64

	// stopping is closed when Stop begins.
	stopping chan struct{}
	// tasks counts the sweeper, the eviction loop, and the goroutines that they start.
	tasks sync.WaitGroup

	// fileMu is held by a reader during a fileTask; the core never takes it.
	fileMu sync.Mutex

	mu      sync.Mutex // guards what follows
	conns   connList
	stopped bool
}

// counts are the counters of INFO. The goroutine that sees an event counts it; any goroutine
// may read.
type counts struct {
	Accepted     atomic.Int64
	Open         atomic.Int64 // connections being served now
	clients      atomic.Int64 // of these, those not evicted
	commands     atomic.Int64
	Closes       [closeReasons]atomic.Int64
	lastConn     atomic.Int64 // the id of the newest connection
	bytesIn      atomic.Int64
	bytesOut     atomic.Int64
	messages     outbox.Totals
	bytesLost    atomic.Int64 // queued, and not written when the connection ended
	AcceptPauses atomic.Int64 // pauses of accepting, for lack of descriptors
	// Undrained are the connections that a shutdown has ended before they had read all, UndrainedBytes what they lost.
	Undrained, UndrainedBytes atomic.Int64
	// EventStreams and WebSockets are the open ones. Package web counts them.
	EventStreams, WebSockets atomic.Int64
}

// NewService makes the service of a core. The caller runs the core, which must run for longer
// than the service.
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
		stopping: make(chan struct{}),
	}
	if o.IsLoading {
		s.loading.Store(ErrLoading)
	}
	epoch := cmp.Or(o.Epoch, newEpoch())
	s.epoch.Store(&epoch)
	for _, kind := range []*slots{&s.evaluators, &s.longParsers, &s.unauthenticated, &s.feeders, &s.fillers} {
		kind.init()
	}
	s.versions.init(core)
	s.entering = make(entering, maxEntering)
	s.largeGate.init()
	s.fillWorkers.init(s)
	s.streams.init(s, o.Store)
	s.cursors.init(s)
	if o.Nodes != nil && o.Next == nil {
		s.options.Next = s.nextAddress
	}
	if o.Order != nil {
		if err := s.resumeOrder(); err != nil {
			return nil, err
		}
	}
	s.stats, s.runID = newCommandStats(), randomHex(40)
	s.clock.Store(int64(uptime.Now()))
	s.Counts.messages.SetClock(uptime.Now())
	s.memory.Init(o.MaxMemory)
	s.Counts.messages.Memory, s.encoder.memory, s.encoder.epoch = &s.memory, &s.memory, s.Epoch()
	if o.Recent > 0 {
		s.recent = recent.New(o.Recent, o.Sequence, &s.memory)
	}
	if o.Recent > 0 || o.Store != nil {
		core.OnPublish(s.keep)
	}
	s.tasks.Go(s.sweep)
	s.tasks.Go(s.evictLargestLoop)
	return s, nil
}

// keepRecent keeps a publish, on the core's goroutine. A large payload stays where it was read.
func (s *Service) keepRecent(m *broker.Message) {
	var source *outbox.Buffer
	if inv, ok := m.Tag.(*invocation); ok {
		source = inv.buf
	}
	s.recent.Append(time.Duration(s.clock.Load()), m.Sequence, m.Topic, m.Payloads, source)
}

// Options are the options in force, with defaults. They never change.
func (s *Service) Options() *Options { return &s.options }

// Epoch names the sequence numbers of this start of the server.
func (s *Service) Epoch() string { return *s.epoch.Load() }

// Stopping returns a channel that is closed when Stop begins.
func (s *Service) Stopping() <-chan struct{} { return s.stopping }

// Add makes a connection part of the service; false if the service is stopping.
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

// remove takes out a connection that has left the core.
func (s *Service) remove(c *Conn) {
	if !c.executor.evicted {
		s.Counts.clients.Add(-1)
	}
	s.mu.Lock()
	s.conns.remove(c)
	s.mu.Unlock()
	s.Counts.Open.Add(-1)
}

// Stop ends all connections, each of which drains for DrainTimeout at most. It may be called
// more than once.
func (s *Service) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.stopped {
		s.stopped = true
		close(s.stopping)
	}
	// Connections are ended under the lock: Add cannot come between.
	for c := range s.conns.all() {
		c.End(CloseReasonShutdown)
	}
}

// endAll ends all connections; others may come.
func (s *Service) endAll(reason CloseReason) {
	for _, c := range s.all() {
		c.End(reason)
	}
}

// CloseAll closes the transports of the remaining connections. Their goroutines then end them.
func (s *Service) CloseAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns.all() {
		_ = c.transport.Close()
	}
}

// Wait returns when all goroutines of the service have ended. It comes after Stop, and after
// the connections.
func (s *Service) Wait() { s.tasks.Wait() }

// SetPort sets the port that INFO shows. The first call counts.
func (s *Service) SetPort(port int) { s.port.CompareAndSwap(0, int64(port)) }

// IsProtected reports whether clients on other machines must be rejected: without a password
// they would be the default user.
func (s *Service) IsProtected() bool {
	return !s.options.Unprotected && s.IsOpen()
}

// IsOpen reports whether every client is the default user, without a password.
func (s *Service) IsOpen() bool { return s.access.defaultUserOpen.Load() }
