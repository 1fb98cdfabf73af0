package command

import (
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/invariant"
	"github.com/conchmq/conch/internal/outbox"
	"github.com/conchmq/conch/internal/uptime"
	"github.com/conchmq/conch/protocol"
)

// Transport is what carries a connection's bytes: a socket, for a start. Any goroutine may call its methods; none blocks.
type Transport interface {
	// Addresses are the two ends, the client's first.
	Addresses() (remote, local Address)
	// Descriptor is the number of the socket, or -1.
	Descriptor() int
	// StartWriter starts the goroutine that writes what the outbox holds, until it is empty. Called by the core, when
	// there is none.
	StartWriter()
	// Interrupt has a read that waits, and all that follow, fail. What was sent is not lost by that.
	Interrupt()
	// SetWriteDeadline is that of [net.Conn].
	SetWriteDeadline(t time.Time) error
	// Close ends the connection at once, whatever waits.
	Close() error
}

// Conn is one connection, whatever carries it, as its goroutines share it: the reader, the core with the executor, the
// writer, and the sweeper. Each field names its owner; what is atomic anybody may read.
type Conn struct {
	service     *Service
	transport   Transport
	id          int64
	sub         *broker.Subscriber
	connectedAt time.Duration // by uptime
	certName    string        // the user that the client's certificate names, if one does; set before anything is submitted
	reason      atomic.Int32  // a CloseReason; the first one stays
	aborted     atomic.Bool   // it ends in a way that leaves what it sent undone: see CloseReason.appliesPending
	unauthSince atomic.Int64  // since when, by uptime, the connection is unauthenticated; 0 if it is not. See auth.go
	softSince   time.Duration // the sweeper's, by uptime: since when the outbox is over the soft limit; 0 if it is not
	lastReadAt  atomic.Int64  // when the client last sent something, by the sweeper's clock

	abortSignal atomic.Pointer[chan struct{}] // closed when aborted is set; nil until the connection waits for a slot: see evaluate.go

	usage memoryUsage           // of what all hold together; see memusage.go
	known atomic.Pointer[known] // nil until it has published to a topic with predicates; see judge.go

	fileTask   *fileTask   // the core's until a fence has passed, the reader's afterwards
	unfinished *broker.Request // a command that must come again: the same

	window  readWindow
	outbox  outbox.Outbox
	judging sync.WaitGroup // goroutines that judge. Add is the core's; Wait comes after Leave

	Reader   Reader   // the reader's
	executor executor // the core's
}

// Init makes c a connection of a service. It takes part in nothing until [Service.Add].
func (c *Conn) Init(s *Service, t Transport) {
	c.service, c.transport, c.id, c.connectedAt = s, t, s.Counts.lastConn.Add(1), uptime.Now()
	c.executor.Conn, c.Reader.Conn = c, c
	c.Reader.parser = *protocol.NewReader(s.options.Limits)
	c.lastReadAt.Store(int64(c.connectedAt))
	c.outbox.Init(int64(s.options.SlowHard), s.options.SlowConsumer, &s.Counts.messages)
	c.window.init(&c.outbox)
	c.sub = broker.NewSubscriber(&c.executor)
}

// Reason is why the connection ends, CloseReasonNone if it does not.
func (c *Conn) Reason() CloseReason { return CloseReason(c.reason.Load()) }

// Outbox is what waits for the client. Its methods say whose they are.
func (c *Conn) Outbox() *outbox.Outbox { return &c.outbox }

// SetCertificateUser names the user that the client's certificate stands for. The reader's, before it submits anything.
func (c *Conn) SetCertificateUser(name string) { c.certName = name }

// Log begins a line about this connection. It is nil, which is as good, when nobody wants to see that level.
func (c *Conn) Log(level zerolog.Level) *zerolog.Event {
	log := &c.service.options.Log
	return log.WithLevel(level).Int64("conn", c.id) //nolint:zerologlint // the caller sends it
}

// End records why the connection ends, counts that, and wakes its reader if that is not the one who says so. Any goroutine may call
// it, the core's too: it does not block.
func (c *Conn) End(reason CloseReason) {
	first := c.reason.CompareAndSwap(int32(CloseReasonNone), int32(reason))
	if !reason.appliesPending() {
		c.abort() // also if it was to be heard out until now
	}
	if !first {
		return // it is ending already, for the reason that came first
	}
	c.service.Counts.Closes[reason].Add(1)
	c.transport.Interrupt()
	c.window.stop()
}

// LogPanic logs what a goroutine of the connection has recovered from.
func (c *Conn) LogPanic(p any) {
	c.Log(zerolog.ErrorLevel).Str("panic", fmt.Sprint(p)).Bytes("stack", debug.Stack()).Msg("defect in a connection; it is closed")
}

// Peer is where the connection comes from.
func (c *Conn) Peer() fmt.Stringer {
	remote, _ := c.transport.Addresses()
	return remote
}

// finalCounts is the counts of a connection that has ended: nothing of it waits any more.
func (c *Conn) finalCounts() outbox.DeliveryCounts {
	t := c.outbox.Counts()
	invariant.Check(t.Waiting() == 0, "the account of connection %d does not balance: %+v", c.id, t)
	return t
}

// Leave ends the connection's part in the core, and returns when nothing more will be queued: what waits has DrainTimeout
// from here on.
func (r *Reader) Leave() {
	r.releaseReader()
	for more := true; more; {
		done := make(leaveApplied)
		batch := &broker.Batch{From: r.sub, Requests: []broker.Request{{Op: broker.Leave}}, Tag: done}
		more = false
		if r.service.core.Submit(batch) {
			select {
			case <-done:
				more = batch.Requests[0].Unfinished // it held very many names
			case <-r.service.core.Stopped():
			}
		}
	}
	r.outbox.Close(r.transport, r.service.options.DrainTimeout)
	r.judging.Wait()
}

// Finish gives back what the connection has held, and logs its end. It comes last, when reader and writer have ended.
func (c *Conn) Finish() {
	defer c.service.remove(c)
	c.releaseMemory()
	lost := c.outbox.WaitingBytes()
	c.service.Counts.bytesLost.Add(lost)
	level, reason := zerolog.DebugLevel, c.Reason()
	switch reason {
	case CloseReasonMaxMemory, CloseReasonSlowHard, CloseReasonSlowSoft, CloseReasonWriteStalled:
		level = zerolog.WarnLevel
	}
	c.Log(level).Stringer("peer", c.Peer()).Stringer("reason", reason).Int64("bytes_lost", lost).
		Dur("lasted", uptime.Now()-c.connectedAt).EmbedObject(c.finalCounts()).Msg("disconnected")
}

// leaveApplied is the note of a connection's last batch. It is closed when that is applied: by then the connection has
// ended for the core, in this way or another.
type leaveApplied chan struct{}

func (c *Conn) submitEvict(reason CloseReason) {
	c.service.core.Submit(&broker.Batch{From: c.sub, Requests: []broker.Request{{Op: broker.Evict, Tag: reason}}})
}

// creditPause takes time off what counts for slow-time and auth-timeout. The sweeper's, as sweepReason is.
func (c *Conn) creditPause(late, now time.Duration) {
	if c.softSince != 0 {
		c.softSince = min(c.softSince+late, now)
	}
	if since := c.unauthSince.Load(); since != 0 { // unless it logs in at this moment
		c.unauthSince.CompareAndSwap(since, min(since+int64(late), int64(now)))
	}
}

// sweepReason is why a connection must go now, if it must. Called by the sweeper only, under the server's lock.
func (c *Conn) sweepReason(now time.Duration) CloseReason {
	switch {
	case c.Reason() != CloseReasonNone: // it is on its way out
		return CloseReasonNone
	case c.overSoftLimit(now):
		return CloseReasonSlowSoft
	case c.authOverdue(now):
		return CloseReasonAuthTimeout
	}
	return CloseReasonNone
}

// authOverdue looks at the time once: when the peer logs in at this moment, there is none any more.
func (c *Conn) authOverdue(now time.Duration) bool {
	since := time.Duration(c.unauthSince.Load())
	return since != 0 && !c.service.access.defaultUserOpen.Load() && now-since > c.service.options.AuthTimeout
}

// overSoftLimit keeps watch on the soft limit.
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
	c.softSince = now // said once; the core is about to hear
	return true
}
