package server

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/conchmq/conch/internal/command"
	"github.com/conchmq/conch/internal/sockio"
)

// lingerTime is how long a connection that we end is kept half open so that the close notice reaches the peer: closing
// with bytes unread would make the kernel send a reset, which overtakes and destroys what was written.
const lingerTime = time.Second

// conn is a connection that a socket carries. Its reader goroutine is reader.run, its writer goroutine is writer.run, and
// the core's side is the executor of Conn.
type conn struct {
	command.Conn
	server  *Server
	sock    net.Conn
	rawConn syscall.RawConn // nil where the socket has no descriptor to wait on without a buffer
	writing sync.WaitGroup  // the writer goroutine, while there is one. Add is the core's; Wait comes after Leave

	reader reader // the reader's
	writer writer // the writer's
}

func newConn(s *Server, sock net.Conn) *conn {
	c := &conn{server: s, sock: sock}
	c.Init(s.service, c)
	c.reader.conn, c.writer.conn = c, c
	c.reader.ready = c.reader.readReady
	c.writer.ready = func(fd uintptr) bool { // called when the socket may be writable; false means that it is not
		c.writer.n, c.writer.err = sockio.TryWritev(fd, *c.writer.iovecs, c.writer.size)
		return !errors.Is(c.writer.err, syscall.EAGAIN)
	}
	if sc, ok := sock.(syscall.Conn); ok {
		c.rawConn, _ = sc.SyscallConn() // on failure the buffered way serves as well
	}
	return c
}

// run is the connection's life: read until something ends it, leave the core, write out what is queued, close. It
// keeps next to nothing on the stack: see parse.go.
func (r *reader) run() {
	r.End(r.serve())
	r.finish()
}

// serve reads and submits until the connection ends, and returns why it did. A panic here is one connection's
// misfortune; it must not become everybody's.
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

func (r *reader) finish() {
	r.Reader.Leave()
	r.writing.Wait()
	if reason := r.Reason(); reason != command.CloseReasonEOF && reason != command.CloseReasonIOError {
		linger(r.sock, r.server.service.Stopping())
	}
	_ = r.sock.Close() // whatever it says, there is nothing left to do with the socket
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

// StartWriter starts the writer goroutine.
func (c *conn) StartWriter() {
	c.writing.Add(1)
	go c.writer.run()
}

// Interrupt wakes the reader.
func (c *conn) Interrupt() {
	_ = c.sock.SetReadDeadline(time.Unix(1, 0)) // fails only on a closed socket, whose reader is awake already
}

// SetWriteDeadline is that of the socket.
func (c *conn) SetWriteDeadline(t time.Time) error { return c.sock.SetWriteDeadline(t) } //nolint:wrapcheck // as that of any socket

// Close closes the socket at once.
func (c *conn) Close() error { return c.sock.Close() } //nolint:wrapcheck // as that of any socket

// addressOf is one end of a connection. Either end of a Unix connection is shown as the socket's path, as in Redis.
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
