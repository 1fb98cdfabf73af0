package server

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"time"

	"github.com/rs/zerolog"

	"github.com/conchmq/conch/internal/command"
	"github.com/conchmq/conch/internal/sockio"
	"github.com/conchmq/conch/internal/uptime"
	"github.com/conchmq/conch/protocol"
)

// tlsConn is a TLS connection. Its descriptor must not be used below TLS, so conn.rawConn is nil.
type tlsConn struct {
	*tls.Conn
	transport *tlsTransport
}

// newTLS puts TLS over a socket. The first read or write does the handshake, on its own goroutine.
func newTLS(sock net.Conn, config *tls.Config) *tlsConn {
	transport := &tlsTransport{Conn: sock}
	return &tlsConn{Conn: tls.Server(transport, config), transport: transport}
}

// CloseWrite sends the close alert of TLS if there was a handshake, then closes the sending side of TCP.
func (t *tlsConn) CloseWrite() error {
	t.transport.closing = true
	_ = t.Conn.CloseWrite() // best effort: no alert before a handshake, or to a client that takes nothing
	half, ok := t.transport.Conn.(interface{ CloseWrite() error })
	if !ok {
		return errors.ErrUnsupported
	}
	return half.CloseWrite() //nolint:wrapcheck // the caller needs only whether it failed
}

// Close closes the socket at once. Close of tls.Conn first waits until the client takes the close alert.
func (t *tlsConn) Close() error { return t.transport.Close() } //nolint:wrapcheck // as that of any socket

// tlsTransport is the socket below TLS. A write that fails inside a record breaks a TLS connection, even if it
// failed by a deadline.
//
// So the transport finishes the record wherever a TCP connection would go on. That is for a slow client that
// takes something, and for the close notice of an evicted one.
type tlsTransport struct {
	net.Conn
	conn          *conn // nil during the handshake, and for a refused connection
	noticeStarted bool  // the deadline for the close notice is set
	closing       bool  // the sending side is closed
	writeErr      error // ended a write inside a record: no bytes may follow
}

// Write writes a record. TLS serializes its calls: the reader's goroutine writes too, to answer a key update.
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
			return n, err //nolint:wrapcheck // TLS inspects it
		}
	}
}

// writeAfterDeadline writes what the kernel takes without waiting: see writer.writeAfterDeadline. It writes
// nothing where the socket has no descriptor.
func (s *tlsTransport) writeAfterDeadline(b []byte) (n int) {
	raw := sockio.Raw(s.Conn)
	if raw == nil {
		return 0
	}
	vector := sockio.NewVector(b)
	_ = raw.Control(func(fd uintptr) { // fails on a closed socket only
		n, _ = sockio.TryWritev(fd, []sockio.Vector{vector}, len(b)) // the next write has the error again
	})
	return max(0, n)
}

// extendDeadline sets a new deadline after one has passed, if the outbox allows one.
func (s *tlsTransport) extendDeadline(took int, waited time.Duration) bool {
	return s.conn.Outbox().ExtendDeadline(s, took, waited, s.conn.server.service.Options().SlowTime, &s.noticeStarted)
}

// SetWriteDeadline bounds the close alert by lingerTime. TLS gives it five seconds, and Shutdown would wait for
// them.
func (s *tlsTransport) SetWriteDeadline(t time.Time) error {
	if latest := time.Now().Add(lingerTime); s.closing && t.After(latest) {
		t = latest
	}
	return s.Conn.SetWriteDeadline(t) //nolint:wrapcheck // as that of any socket
}

// handshake does the TLS handshake of a TLS connection. It runs on the reader's goroutine. serve has set its
// deadline before any other goroutine could end the connection.
func (r *reader) handshake() command.CloseReason {
	sock, ok := r.sock.(*tlsConn)
	if !ok {
		return command.CloseReasonNone
	}
	if err := sock.Handshake(); err != nil {
		return r.rejectHandshake(err)
	}
	sock.transport.conn = r.conn
	_ = sock.SetDeadline(time.Time{}) // fails only on a closed socket, as the next read does then
	if r.Reason() != command.CloseReasonNone {
		return command.CloseReasonIOError // SetDeadline has undone the wake-up of End; the first reason stays
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

// rejectHandshake logs a failed handshake, and returns the reason. A client that seems to type lines or to use
// no TLS gets a text.
func (r *reader) rejectHandshake(err error) command.CloseReason {
	if errors.Is(err, io.EOF) {
		return command.CloseReasonEOF // a port check: no bytes, no log line
	}
	if r.Reason() != command.CloseReasonNone {
		return command.CloseReasonIOError // another goroutine has ended it, and its reason stays
	}
	text := "a TLS handshake failed"
	plain := tls.RecordHeaderError{}
	switch {
	case errors.As(err, &plain) && plain.Conn != nil:
		text = "a client without TLS connected to the TLS port"
		if isText(plain.RecordHeader[:]) {
			why := protocol.Errorf("this port speaks TLS: connect with TLS (redis-cli --tls, openssl s_client), or to a port without it")
			_, _ = plain.Conn.Write(protocol.AppendError(nil, why)) // best effort: the connection closes anyway
		}
	case errors.Is(err, os.ErrDeadlineExceeded):
		text = "a TLS handshake timed out"
	}
	if suppressed, ok := r.server.handshakeLog.Allow(uptime.Now()); ok {
		r.Log(zerolog.WarnLevel).Stringer("peer", r.Peer()).Err(err).Int("not_logged_before", suppressed).Msg(text)
	}
	return command.CloseReasonHandshake
}

// isText reports whether bytes may start a line or a RESP command.
func isText(b []byte) bool {
	for _, c := range b {
		if (c < ' ' || c > '~') && c != '\r' && c != '\n' && c != '\t' {
			return false
		}
	}
	return true
}
