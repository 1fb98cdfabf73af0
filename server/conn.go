package server

import (
	"io"
	"net"
	"net/netip"
	"syscall"
	"time"

	"github.com/conchmq/conch/internal/command"
	"github.com/conchmq/conch/internal/sockio"
	"github.com/conchmq/conch/internal/sockwriter"
)

// lingerTime is how long a connection that the server ends stays half open, so that the close notice arrives.
// Closing with bytes unread makes the kernel send a reset, which destroys what was written.
const lingerTime = time.Second

// conn is a connection over a socket. It has three owners: reader.run is its reader goroutine, a writer writes what
// waits, and the executor of Conn runs on the core.
type conn struct {
	command.Conn
	server  *Server
	sock    net.Conn
	rawConn syscall.RawConn // nil for TLS, and where the socket has no descriptor
	writing sockwriter.Writing

	reader reader // owned by the reader goroutine
}

func newConn(s *Server, sock net.Conn) *conn {
	c := &conn{server: s, sock: sock}
	c.Init(s.service, c)
	c.reader.conn = c
	c.reader.ready = c.reader.readReady
	c.rawConn = sockio.Raw(sock)
	c.writing.Init(&c.Conn, &s.writers)
	c.writing.Attach(sock, c.rawConn)
	return c
}

// run is the reader goroutine, and the life of the connection: read to the end, leave the core, write what is
// queued, close. It keeps next to nothing on its stack: see parse.go in package command.
func (r *reader) run() {
	r.End(r.serve())
	r.finish()
}

// serve reads and submits until the connection ends, and returns the reason. A panic ends this connection alone:
// the process goes on.
func (r *reader) serve() (reason command.CloseReason) {
	defer func() {
		if p := recover(); p != nil {
			r.LogPanic(p)
			reason = command.CloseReasonPanic
		}
	}()
	if reason := r.handshake(); reason != command.CloseReasonNone {
		return reason
	}
	return r.Reader.Serve(r.read)
}

// finish ends the connection after its last read. The core lets go first, then the writer ends: the socket
// closes last.
func (r *reader) finish() {
	r.Reader.Leave()
	r.writing.Wait()
	if reason := r.Reason(); reason != command.CloseReasonEOF && reason != command.CloseReasonIOError {
		linger(r.sock, r.server.service.Stopping())
	}
	_ = r.sock.Close() // an error changes nothing: the socket is done with
	r.Finish()
}

// Addresses are those of the socket.
func (c *conn) Addresses() (remote, local command.Address) {
	return addressOf(c.sock, c.sock.RemoteAddr()), addressOf(c.sock, c.sock.LocalAddr())
}

// Descriptor is the number of the socket, or -1.
func (c *conn) Descriptor() int {
	fd := -1
	if c.rawConn != nil {
		_ = c.rawConn.Control(func(n uintptr) { fd = int(n) }) // fails on a closed socket, which has none
	}
	return fd
}

// StartWriter has a writer write what the outbox holds. The core calls it, and only while there is none.
func (c *conn) StartWriter() { c.writing.Start() }

// Interrupt ends a read in progress. Any goroutine may call it.
func (c *conn) Interrupt() {
	_ = c.sock.SetReadDeadline(time.Unix(1, 0)) // fails only on a closed socket, where no read blocks
}

// SetWriteDeadline is that of the socket.
func (c *conn) SetWriteDeadline(t time.Time) error { return c.sock.SetWriteDeadline(t) } //nolint:wrapcheck // as that of any socket

// Close closes the socket at once.
func (c *conn) Close() error { return c.sock.Close() } //nolint:wrapcheck // as that of any socket

// addressOf is the address of one end of a connection. Both ends of a Unix connection are the path of the
// socket, as in Redis.
func addressOf(sock net.Conn, end net.Addr) command.Address {
	if a, ok := sock.LocalAddr().(*net.UnixAddr); ok {
		if a.Name == "" {
			return command.Address{Text: ":0"}
		}
		return command.Address{Unix: a.Name}
	}
	if a, ok := end.(*net.TCPAddr); ok {
		if ours := a.AddrPort(); ours.Addr().IsValid() {
			return command.Address{TCP: netip.AddrPortFrom(ours.Addr().Unmap(), ours.Port())}
		}
	}
	return command.Address{Text: end.String()}
}

// linger closes the sending side, and waits at most lingerTime for the client to close its own.
func linger(sock net.Conn, stopping <-chan struct{}) {
	half, ok := sock.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	wait := lingerTime
	select {
	case <-stopping: // Shutdown waits for all connections
		wait /= 4
	default:
	}
	if sock.SetReadDeadline(time.Now().Add(wait)) == nil {
		_, _ = io.Copy(io.Discard, sock) // ends when the client closes, or at the deadline
	}
}
