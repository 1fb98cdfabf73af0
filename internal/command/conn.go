package command

import (
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/invariant"
	"github.com/conchmq/conch/internal/outbox"
	"github.com/conchmq/conch/internal/uptime"
	"github.com/conchmq/conch/protocol"
)

// Transport carries a connection's bytes: a socket, for a start. Any goroutine may call its
// methods, the core's too: none blocks.
type Transport interface {
	// Addresses are the two ends, the client's first.
	Addresses() (remote, local Address)
	// Descriptor is the file descriptor of the socket, or -1.
	Descriptor() int
	// StartWriter has a goroutine write the outbox until it is empty. The core and the feeder call
	// it when no writer is at work.
	StartWriter()
	// Interrupt fails the current read and all later ones. Bytes already queued for the client
	// are not lost.
	Interrupt()
	// SetWriteDeadline is that of [net.Conn].
	SetWriteDeadline(t time.Time) error
	// Close ends the connection at once; the outbox is lost.
	Close() error
}

// Conn is one connection, whatever carries it. Its goroutines share it: the reader, the core
// with the executor, the writer, and the sweeper.
//
// Each field names its owner. Any goroutine may read a field without one, because it never
// changes after Init, and any atomic field.
type Conn struct {
	service     *Service
	transport   Transport
	id          int64
	sub         broker.Subscriber // here, not behind a pointer: 160 bytes of an idle connection
	connectedAt time.Duration     // by uptime
	// certName is the user that the client's certificate names; set before the first submit.
	certName string
	// reason is a CloseReason; the first one stays.
	reason atomic.Int32
	// presentation is how messages and replies look, if not as on a socket; set before the first
	// submit, as presented: see Present.
	presentation outbox.Format
	// durableOnly means that XADD fails for other keys than durable topics: see AddToDurableOnly.
	durableOnly bool
	// isBroker means that the connection acts as the broker itself: see ActAsBroker.
	isBroker bool
	// isReplica means that the connection is that of an [Applier]: nothing waits in it, and nothing is sent.
	isReplica bool
	presented *presentState
	// abort is raised if the end leaves pending commands undone: see CloseReason.appliesPending.
	abort abortSignal
	// unauthSince is the uptime since which the connection is unauthenticated; 0 if it is not.
	// See auth.go.
	unauthSince atomic.Int64
	// softSince is the uptime since which the outbox exceeds the soft limit; 0 if it does not.
	// The sweeper's.
	softSince time.Duration
	// lastReadAt is the time of the last read, by the sweeper's clock.
	lastReadAt atomic.Int64

	// usage is the connection's part of the memory cap: see memusage.go.
	usage memoryUsage

	// fileTask and unfinished are the core's until a fence has passed, the reader's afterwards.
	// No lock is needed: the reader waits for that batch.
	fileTask   *fileTask
	unfinished *broker.Request // a command to submit again

	// feeder replays messages of the past; nil before the first replay. The core sets it.
	feeder atomic.Pointer[feeder]
	// streamClient is nil in a connection that has not used streams. The core sets it.
	streamClient atomic.Pointer[streamClient]

	// window makes the reader wait for the core and the writer.
	window readWindow
	outbox outbox.Outbox

	// Reader belongs to the reader's goroutine, executor to the core's.
	Reader   Reader
	executor executor
}

// Init makes c a connection of a service. The service does not know it until [Service.Add].
func (c *Conn) Init(s *Service, t Transport) {
	c.service, c.transport, c.id, c.connectedAt = s, t, s.Counts.lastConn.Add(1), uptime.Now()
	c.executor.Conn, c.Reader.Conn = c, c
	c.Reader.parser.Init(&s.options.Limits)
	c.lastReadAt.Store(int64(c.connectedAt))
	c.outbox.Init(int64(s.options.SlowHard), s.options.SlowConsumer, &s.Counts.messages)
	c.sub.Init(&c.executor)
	c.sub.ID = c.id
}

// Reason is why the connection ends, CloseReasonNone if it does not.
func (c *Conn) Reason() CloseReason { return CloseReason(c.reason.Load()) }

// Outbox holds the frames for the client. Its methods name the goroutine that may call them.
func (c *Conn) Outbox() *outbox.Outbox { return &c.outbox }

// SetCertificateUser sets the user of the client's certificate. The reader calls it before its
// first submit.
func (c *Conn) SetCertificateUser(name string) { c.certName = name }

// SetName gives the connection the name of CLIENT SETNAME, and returns false if it cannot be one. It comes before [Service.Add].
func (c *Conn) SetName(name string) bool {
	c.executor.name = name
	return printable([]byte(name))
}

// SpeakRESP3 makes RESP3, with sequence numbers, what the connection starts with. It comes before
// [Service.Add].
func (c *Conn) SpeakRESP3() { c.executor.version, c.executor.wantsSeq = protocol.RESP3, true }

// Log starts a log line about the connection. It returns nil, on which all methods are safe, if
// the level is disabled.
func (c *Conn) Log(level zerolog.Level) *zerolog.Event {
	log := &c.service.options.Log
	return log.WithLevel(level).Int64("conn", c.id) //nolint:zerologlint // the caller sends it
}

// End records the reason, counts it, and wakes the reader. Later reasons do not replace the
// first. Any goroutine may call it, the core's too: it does not block.
func (c *Conn) End(reason CloseReason) {
	// Only one caller wins, so each connection is counted once.
	first := c.reason.CompareAndSwap(int32(CloseReasonNone), int32(reason))
	if !reason.appliesPending() {
		c.abort.raise() // even if its pending commands were to be applied until now
	}
	if f := c.getFiller(); f != nil {
		f.writerProgressed() // it may wait for a writer that has failed
	}
	if !first {
		return // it is ending already: the first reason stays
	}
	c.service.Counts.Closes[reason].Add(1)
	c.transport.Interrupt()
	c.window.stop()
}

// LogPanic logs a panic that a goroutine of the connection has recovered from.
func (c *Conn) LogPanic(p any) {
	c.Log(zerolog.ErrorLevel).Str("panic", fmt.Sprint(p)).Bytes("stack", debug.Stack()).Msg("defect in a connection; it is closed")
}

// Peer is the client's address.
func (c *Conn) Peer() fmt.Stringer {
	remote, _ := c.transport.Addresses()
	return remote
}

// finalCounts are the counts of a connection that has ended. Invariant: no message of it waits
// any more.
func (c *Conn) finalCounts() outbox.DeliveryCounts {
	t := c.outbox.Counts()
	invariant.Check(t.Waiting() == 0, "the account of connection %d does not balance: %+v", c.id, t)
	return t
}

// HeldBack is how many messages the predicates of its subscriptions have held back so far. The core must not call it.
func (c *Conn) HeldBack() (n uint64) {
	c.executor.service.RunOnCore(func(broker.View) {
		for s := range c.executor.sub.Subscriptions() {
			n += s.Stats().Filtered
		}
	})
	return n
}

// Leave removes the connection from the core and waits until that is applied: nothing is queued
// afterwards. The outbox then has DrainTimeout to drain.
//
// A connection that holds very many names leaves in several batches.
func (r *Reader) Leave() {
	r.releaseReader()
	r.awaitOrder()
	for more := true; more; {
		done := make(leaveApplied)
		batch := &broker.Batch{From: &r.sub, Requests: []broker.Request{{Op: broker.Leave}}, Tag: done}
		more = false
		// After a stop of the core nothing is queued any more: there is nothing to leave.
		if r.service.core.Submit(batch) {
			select {
			case <-done:
				more = batch.Requests[0].Unfinished
			case <-r.service.core.Stopped():
			}
		}
	}
	if f := r.feeder.Load(); f != nil {
		f.stop()
	}
	deadline := time.Now().Add(r.service.options.DrainTimeout) // one for both: a client that reads nothing waits in each
	r.awaitReplies(deadline)
	r.outbox.Close(r.transport, time.Until(deadline))
}

// Finish releases what the connection has held and logs its end. It comes last, after reader
// and writer have ended.
func (c *Conn) Finish() {
	defer c.service.remove(c)
	c.endCursors()
	c.releaseMemory()
	lost := c.outbox.WaitingBytes()
	c.service.Counts.bytesLost.Add(lost)
	level, reason := zerolog.DebugLevel, c.Reason()
	if reason == CloseReasonShutdown && (lost > 0 || c.isCut()) {
		c.service.Counts.Undrained.Add(1)
		c.service.Counts.UndrainedBytes.Add(lost)
	}
	// A slow or large connection is worth a warning: an operator can act on it.
	switch reason {
	case CloseReasonMaxMemory, CloseReasonSlowHard, CloseReasonSlowSoft, CloseReasonWriteStalled:
		level = zerolog.WarnLevel
	}
	c.Log(level).Stringer("peer", c.Peer()).Stringer("reason", reason).Int64("bytes_lost", lost).
		Dur("lasted_ms", uptime.Now()-c.connectedAt).EmbedObject(c.finalCounts()).Msg("disconnected")
}

// isCut reports whether a reply with entries was cut off: of what was not yet made of it no byte waits.
func (c *Conn) isCut() bool {
	x := c.streamClient.Load()
	if x == nil {
		return false
	}
	f := x.filler.Load()
	return f != nil && f.isCut
}

// leaveApplied is the tag of a connection's last batch. Applied closes it; by then the
// connection has left the core.
type leaveApplied chan struct{}

// EndSession ends the connection because the session that it belongs to has ended. It may wait; the core never calls it.
func (c *Conn) EndSession() { c.submitEvict(CloseReasonSession) }

// submitEvict submits an eviction of the connection. It may wait for room in the inbox, so the
// core never calls it.
func (c *Conn) submitEvict(reason CloseReason) {
	c.service.core.Submit(&broker.Batch{From: &c.sub, Requests: []broker.Request{{Op: broker.Evict, Tag: reason}}})
}

// creditPause takes a pause of the process off slow-time and auth-timeout. The sweeper calls
// it, under the service's lock.
func (c *Conn) creditPause(late, now time.Duration) {
	if c.softSince != 0 {
		c.softSince = min(c.softSince+late, now)
	}
	if since := c.unauthSince.Load(); since != 0 {
		c.unauthSince.CompareAndSwap(since, min(since+int64(late), int64(now))) // it fails if AUTH has just succeeded
	}
}

// sweepReason is why a connection must end now, CloseReasonNone if it need not. The sweeper
// calls it, under the service's lock.
func (c *Conn) sweepReason(now time.Duration) CloseReason {
	switch {
	case c.Reason() != CloseReasonNone: // it is ending already
		return CloseReasonNone
	case c.overSoftLimit(now):
		return CloseReasonSlowSoft
	case c.authOverdue(now):
		return CloseReasonAuthTimeout
	}
	return CloseReasonNone
}

// authOverdue loads the time once: a successful AUTH may clear it at any moment.
func (c *Conn) authOverdue(now time.Duration) bool {
	since := time.Duration(c.unauthSince.Load())
	return since != 0 && !c.service.access.defaultUserOpen.Load() && now-since > c.service.options.AuthTimeout
}

// overSoftLimit tracks how long the outbox exceeds the soft limit, and reports whether that is
// SlowTime.
func (c *Conn) overSoftLimit(now time.Duration) bool {
	o := &c.outbox
	if o.Policy() != outbox.Disconnect || o.MessageBytes() <= int64(c.service.options.SlowSoft) {
		c.softSince = 0
		return false
	}
	if c.softSince == 0 {
		c.softSince = now
	}
	if now-c.softSince < c.service.options.SlowTime {
		return false
	}
	c.softSince = now // one eviction is enough: the next one comes after SlowTime
	return true
}
