package server

import (
	"errors"
	"fmt"
	"io"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/invariant"
	"github.com/conchmq/conch/internal/outbox"
	"github.com/conchmq/conch/internal/uptime"
	"github.com/conchmq/conch/protocol"
)

// lingerTime is how long a connection that we end is kept half open so that the close notice reaches the peer: closing
// with bytes unread would make the kernel send a reset, which overtakes and destroys what was written.
const lingerTime = time.Second

// conn is one connection. Its reader goroutine is run; see the methods of broker.Conn in executor.go for the core's side.
type conn struct {
	srv         *Server
	sock        net.Conn
	rawConn     syscall.RawConn // nil where the socket has no descriptor to wait on without a buffer
	id          int64
	sub         *broker.Subscriber
	connectedAt time.Duration // by uptime
	reason      atomic.Int32  // a Reason; the first one stays
	certName    string        // see certificateName
	aborted     atomic.Bool   // it ends in a way that leaves what it sent undone: see CloseReason.appliesPending
	unauthSince atomic.Int64  // since when, by uptime, the connection is unauthenticated; 0 if it is not. See auth.go
	softSince   time.Duration // the sweeper's, by uptime: since when the outbox is over the soft limit; 0 if it is not
	lastReadAt  atomic.Int64  // when the peer last sent something, by the sweeper's clock

	abortSignal atomic.Pointer[chan struct{}] // closed when aborted is set; nil until the connection waits for a slot: see evaluate.go

	usage memoryUsage // of what all hold together; see memlimit.go

	// The reader's.
	parser protocol.Reader
	reader reader
	window readWindow

	known atomic.Pointer[known] // nil until it has published to a topic with predicates; see judge.go

	fileTask   *fileTask   // the core's until a fence has passed, the reader's afterwards
	unfinished *invocation // a command that must come again: the same

	// Between the core and the writer.
	outbox  outbox.Outbox
	writing sync.WaitGroup // the writer goroutine, while there is one, and one that judges. Add is the core's; Wait comes after leave

	writer writer // the writer's

	// The core's: touched by Conn methods only.
	executor executor
}

func newConn(s *Server, sock net.Conn) *conn {
	c := &conn{
		srv: s, sock: sock, id: s.counts.lastConn.Add(1), connectedAt: uptime.Now(),
		parser: *protocol.NewReader(s.options.Limits),
	}
	c.reader.ready, c.writer.ready = c.readReady, c.writeReady
	c.lastReadAt.Store(int64(c.connectedAt))
	c.outbox.Init(int64(s.options.SlowHard), s.options.SlowConsumer, &s.counts.messages)
	c.window.init(&c.outbox)
	c.sub = broker.NewSubscriber(c)
	if sc, ok := sock.(syscall.Conn); ok {
		c.rawConn, _ = sc.SyscallConn() // on failure the buffered way serves as well
	}
	return c
}

// run is the connection's life: read until something ends it, leave the core, write out what is queued, close. It
// keeps next to nothing on the stack: see parse.go.
func (c *conn) run() {
	c.end(c.readAll())
	c.finish()
}

func (c *conn) finish() {
	defer c.srv.counts.open.Add(-1)
	defer c.srv.remove(c)
	c.releaseReader()
	c.leave()
	if !c.executor.evicted { // written by the core, which will touch the connection no more
		defer c.srv.counts.clients.Add(-1)
	}
	c.writing.Wait()

	reason := CloseReason(c.reason.Load())
	if reason != CloseReasonEOF && reason != CloseReasonIOError {
		linger(c.sock, c.srv.stopping)
	}
	_ = c.sock.Close() // whatever it says, there is nothing left to do with the socket
	c.releaseMemory()
	lost := c.outbox.Waiting()
	c.srv.counts.bytesLost.Add(lost)
	level := zerolog.DebugLevel
	if reason == CloseReasonMaxMemory || reason == CloseReasonSlowHard || reason == CloseReasonSlowSoft || reason == CloseReasonWriteStalled {
		level = zerolog.WarnLevel
	}
	c.log(level).Stringer("peer", peerAddress(c.sock)).Stringer("reason", reason).Int64("bytes_lost", lost).
		Dur("lasted", uptime.Now()-c.connectedAt).EmbedObject(c.finalCounts()).Msg("disconnected")
}

// finalCounts is the counts of a connection that has ended: nothing of it waits any more.
func (c *conn) finalCounts() outbox.DeliveryCounts {
	t := c.outbox.LoadCounts()
	invariant.Check(t.Waiting() == 0, "the account of connection %d does not balance: %+v", c.id, t)
	return t
}

// log begins a line about this connection. It is nil, which is as good, when nobody wants to see that level.
func (c *conn) log(level zerolog.Level) *zerolog.Event {
	log := &c.srv.options.Log
	return log.WithLevel(level).Int64("conn", c.id) //nolint:zerologlint // the caller sends it
}

// end records why the connection ends, counts that, and wakes its reader if that is not the one who says so. Any goroutine may call
// it, the core's too: it does not block.
func (c *conn) end(reason CloseReason) {
	first := c.reason.CompareAndSwap(int32(CloseReasonNone), int32(reason))
	if !reason.appliesPending() {
		c.abort() // also if it was to be heard out until now
	}
	if !first {
		return // it is ending already, for the reason that came first
	}
	c.srv.counts.closes[reason].Add(1)
	_ = c.sock.SetReadDeadline(time.Unix(1, 0)) // fails only on a closed socket, whose reader is awake already
	c.window.stop()
}

// leave tells the core, and waits until it has heard. Afterwards nothing more is queued.
func (c *conn) leave() {
	for more := true; more; {
		done := make(leaveApplied)
		batch := &broker.Batch{From: c.sub, Requests: []broker.Request{{Op: broker.Leave}}, Tag: done}
		more = false
		if c.srv.core.Submit(batch) {
			select {
			case <-done:
				more = batch.Requests[0].Unfinished // it held very many names
			case <-c.srv.core.Stopped():
			}
		}
	}
	c.outbox.Close(c.sock, c.srv.options.DrainTimeout)
}

// leaveApplied is the note of a connection's last batch. It is closed when that is applied: by then the connection has
// ended for the core, in this way or another.
type leaveApplied chan struct{}

func (c *conn) submitEvict(reason CloseReason) {
	c.srv.core.Submit(&broker.Batch{From: c.sub, Requests: []broker.Request{{Op: broker.Evict, Tag: reason}}})
}

// readAll reads and submits until the connection ends, and says why it did. A panic here is one connection's
// misfortune; it must not become everybody's.
func (c *conn) readAll() (reason CloseReason) {
	defer func() {
		if p := recover(); p != nil {
			c.logPanic(p)
			reason = CloseReasonPanic
		}
	}()
	if reason := c.handshake(); reason != CloseReasonNone {
		return reason
	}
	c.requireAuth()
	if c.certificateName() != "" { // a user it may be; until the core has looked, it is unauthenticated
		c.srv.runOnCore(func(broker.View) { c.assignInitialUser() })
	}
	for {
		if !c.window.acquire(c.reader.sync) {
			return CloseReasonIOError // ended by another goroutine, which has said why: its reason came first and stays
		}
		if c.fileTask != nil {
			c.runFileTask()
		}
		if c.unfinished != nil {
			if !c.resubmit() {
				return CloseReasonShutdown
			}
			continue
		}
		b, err := c.readBatch()
		if err != nil {
			return readReason(err)
		}
		if reason := c.handleRead(b); reason != CloseReasonNone {
			return reason
		}
	}
}

// readReason reads an error of the socket. A passed deadline is end's way to wake the reader; its reason stays.
func readReason(err error) CloseReason {
	if errors.Is(err, io.EOF) {
		return CloseReasonEOF
	}
	return CloseReasonIOError
}

func (c *conn) logPanic(p any) {
	c.log(zerolog.ErrorLevel).Str("panic", fmt.Sprint(p)).Bytes("stack", debug.Stack()).Msg("defect in a connection; it is closed")
}

// linger closes our side and waits a moment for the peer to close its own.
func linger(sock net.Conn, stopping <-chan struct{}) {
	half, ok := sock.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	wait := lingerTime
	select {
	case <-stopping: // many at once, and somebody waits for all of them
		wait /= 4
	default:
	}
	if sock.SetReadDeadline(time.Now().Add(wait)) == nil {
		_, _ = io.Copy(io.Discard, sock) // ends with the peer's close, or the deadline
	}
}

// creditPause takes time off what counts for slow-time and auth-timeout. The sweeper's, as sweepReason is.
func (c *conn) creditPause(late, now time.Duration) {
	if c.softSince != 0 {
		c.softSince = min(c.softSince+late, now)
	}
	if since := c.unauthSince.Load(); since != 0 { // unless it logs in at this moment
		c.unauthSince.CompareAndSwap(since, min(since+int64(late), int64(now)))
	}
}

// sweepReason is why a connection must go now, if it must. Called by the sweeper only, under the server's lock.
func (c *conn) sweepReason(now time.Duration) CloseReason {
	switch {
	case CloseReason(c.reason.Load()) != CloseReasonNone: // it is on its way out
		return CloseReasonNone
	case c.overSoftLimit(now):
		return CloseReasonSlowSoft
	case c.authOverdue(now):
		return CloseReasonAuthTimeout
	}
	return CloseReasonNone
}

// authOverdue looks at the time once: when the peer logs in at this moment, there is none any more.
func (c *conn) authOverdue(now time.Duration) bool {
	since := time.Duration(c.unauthSince.Load())
	return since != 0 && !c.srv.access.defaultUserOpen.Load() && now-since > c.srv.options.AuthTimeout
}

// overSoftLimit keeps watch on the soft limit.
func (c *conn) overSoftLimit(now time.Duration) bool {
	o := &c.outbox
	if o.Policy() != outbox.Disconnect || o.Messages() <= int64(c.srv.options.SlowSoft) {
		c.softSince = 0
		return false
	}
	if c.softSince == 0 {
		c.softSince = now
	}
	if now-c.softSince < c.srv.options.SlowTime {
		return false
	}
	c.softSince = now // said once; the core is about to hear
	return true
}
