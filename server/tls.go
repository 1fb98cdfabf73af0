package server

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"
	"unsafe"

	"github.com/rs/zerolog"

	"github.com/conchmq/conch/internal/command"
	"github.com/conchmq/conch/internal/sockio"
	"github.com/conchmq/conch/internal/uptime"
	"github.com/conchmq/conch/protocol"
)

// tlsConn is a connection that speaks TLS. It has no descriptor to read and write behind TLS's back, so conn.raw is nil.
type tlsConn struct {
	*tls.Conn
	transport *tlsTransport
}

// newTLS puts TLS over a socket. The handshake happens with the first use of it, on whichever goroutine that is.
func newTLS(sock net.Conn, config *tls.Config) *tlsConn {
	transport := &tlsTransport{Conn: sock}
	return &tlsConn{Conn: tls.Server(transport, config), transport: transport}
}

// CloseWrite says goodbye in TLS, if there was a handshake, and then in TCP, which every peer understands.
func (t *tlsConn) CloseWrite() error {
	t.transport.closing = true
	_ = t.Conn.CloseWrite() // before a handshake, or to a peer that takes nothing, there is no goodbye
	half, ok := t.transport.Conn.(interface{ CloseWrite() error })
	if !ok {
		return errors.ErrUnsupported
	}
	return half.CloseWrite() //nolint:wrapcheck // the caller wants to know whether, not why
}

// Close closes the socket at once. TLS's own Close would first wait until the peer takes a goodbye.
func (t *tlsConn) Close() error { return t.transport.Close() } //nolint:wrapcheck // as that of any socket

// tlsTransport is the socket below TLS. A TLS connection is lost once a write has failed in the middle of a record, be it
// for a deadline that passed. So the record is finished here wherever a TCP connection would go on: for a peer that is
// slow but takes something, and for one that is evicted and still has its last moment.
type tlsTransport struct {
	net.Conn
	conn          *conn // nil during the handshake, and for a peer that is refused
	noticeStarted bool  // the last moment has begun
	closing       bool  // we have closed our side
	writeErr      error // what ended a write in the middle of a record: nothing may follow
}

// Write writes a record. Calls come one at a time: TLS sees to that, also for those of the reader's goroutine, which
// answers a peer that changes its keys.
func (s *tlsTransport) Write(b []byte) (n int, err error) {
	if s.writeErr != nil {
		return 0, s.writeErr
	}
	for begun := uptime.Now(); ; {
		m, err := s.Conn.Write(b[n:])
		if m == 0 && errors.Is(err, os.ErrDeadlineExceeded) && s.conn != nil {
			m = s.writeAfterDeadline(b[n:])
		}
		n += m
		switch {
		case err == nil, n == len(b):
			return n, nil
		case !errors.Is(err, os.ErrDeadlineExceeded), s.conn == nil, s.closing, !s.extendDeadline(m, uptime.Now()-begun):
			s.writeErr = err
			return n, err //nolint:wrapcheck // TLS looks at what it is
		}
	}
}

// writeAfterDeadline writes what the kernel takes without waiting: see that of conn. Nothing, where the socket has no
// descriptor.
func (s *tlsTransport) writeAfterDeadline(b []byte) (n int) {
	sock, ok := s.Conn.(syscall.Conn)
	if !ok {
		return 0
	}
	raw, err := sock.SyscallConn()
	if err != nil {
		return 0
	}
	vector := syscall.Iovec{Base: unsafe.SliceData(b)}
	vector.SetLen(len(b))
	_ = raw.Control(func(fd uintptr) { // fails on a closed socket only
		n, _ = sockio.TryWritev(fd, []syscall.Iovec{vector}, len(b)) // the error comes again, with the next write
	})
	return max(0, n)
}

// extendDeadline sets a new deadline after one has passed, if there is to be one.
func (s *tlsTransport) extendDeadline(took int, waited time.Duration) bool {
	return s.conn.Outbox().ExtendDeadline(s, took, waited, s.conn.server.service.Options().SlowTime, &s.noticeStarted)
}

// SetWriteDeadline keeps the goodbye short: TLS gives it five seconds, in which it would hold up whoever waits for us.
func (s *tlsTransport) SetWriteDeadline(t time.Time) error {
	if latest := time.Now().Add(lingerTime); s.closing && t.After(latest) {
		t = latest
	}
	return s.Conn.SetWriteDeadline(t) //nolint:wrapcheck // as that of any socket
}

// handshake does the TLS handshake, if the connection is to have one. It runs on the connection's own goroutine, under
// the deadline that serve has set before the connection could be ended by others.
func (r *reader) handshake() command.CloseReason {
	sock, ok := r.sock.(*tlsConn)
	if !ok {
		return command.CloseReasonNone
	}
	if err := sock.Handshake(); err != nil {
		return r.rejectHandshake(err)
	}
	sock.transport.conn = r.conn
	_ = sock.SetDeadline(time.Time{}) // fails only on a closed socket: so does the read that follows
	if r.Reason() != command.CloseReasonNone {
		return command.CloseReasonIOError // end came before us, and we have just undone its wake-up. Its reason came first and stays
	}
	state := sock.ConnectionState()
	name := ""
	if r.server.service.Options().CertificateUser && len(state.VerifiedChains) > 0 {
		name = state.VerifiedChains[0][0].Subject.CommonName
	}
	r.SetCertificateUser(name)
	r.Log(zerolog.DebugLevel).Str("tls", tls.VersionName(state.Version)).Bool("resumed", state.DidResume).
		Str("certificate_name", name).Msg("handshake done")
	return command.CloseReasonNone
}

// rejectHandshake says what went wrong, in the log and to a peer that seems to be a person or a program without TLS.
func (r *reader) rejectHandshake(err error) command.CloseReason {
	if errors.Is(err, io.EOF) {
		return command.CloseReasonEOF // it came and went, as those do who look whether the port is open
	}
	if r.Reason() != command.CloseReasonNone {
		return command.CloseReasonIOError // ended by another goroutine, which has said why
	}
	text := "a TLS handshake failed"
	plain := tls.RecordHeaderError{}
	switch {
	case errors.As(err, &plain) && plain.Conn != nil:
		text = "a peer that does not speak TLS came to the TLS port"
		if isText(plain.RecordHeader[:]) {
			why := protocol.Errorf("this port speaks TLS: connect with TLS (redis-cli --tls, openssl s_client), or to a port without it")
			_, _ = plain.Conn.Write(protocol.AppendError(nil, why)) // best effort: the connection closes either way
		}
	case errors.Is(err, os.ErrDeadlineExceeded):
		text = "a TLS handshake was not done in time"
	}
	if suppressed, ok := r.server.handshakeLog.Allow(uptime.Now()); ok {
		r.Log(zerolog.WarnLevel).Stringer("peer", r.Peer()).Err(err).Int("not_logged_before", suppressed).Msg(text)
	}
	return command.CloseReasonHandshake
}

// isText tells whether bytes may be the start of a line or of a RESP command.
func isText(b []byte) bool {
	for _, c := range b {
		if (c < ' ' || c > '~') && c != '\r' && c != '\n' && c != '\t' {
			return false
		}
	}
	return true
}
