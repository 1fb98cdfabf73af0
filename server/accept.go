package server

import (
	"crypto/tls"
	"errors"
	"net"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"github.com/conchmq/conch/internal/command"
	"github.com/conchmq/conch/internal/sockio"
	"github.com/conchmq/conch/protocol"
)

const (
	minPause = 5 * time.Millisecond // after a failed accept; doubled up to maxPause while it goes on failing
	maxPause = time.Second
	// maxRejecting is how many refused connections may linger at once, so that the reason reaches them. The server closes
	// any more at once: a flood must not take more than a few hundred descriptors.
	maxRejecting = 256
)

// accept takes connections from one listener until the server stops. With a config they are TLS connections.
// Each listener has one such goroutine, which Shutdown waits for.
func (s *Server) accept(l net.Listener, config *tls.Config) {
	log := s.service.Options().Log
	var pause time.Duration
	for {
		sock, err := l.Accept()
		if err == nil {
			pause = 0
			if config != nil {
				sock = newTLS(sock, config)
			}
			s.admit(sock)
			continue
		}
		select {
		case <-s.service.Stopping():
			return
		default:
		}
		if errors.Is(err, net.ErrClosed) {
			log.Error().Err(err).Stringer("address", l.Addr()).Msg("the listener was closed")
			return
		}
		if pause == 0 { // one line for each episode, not for each try
			s.service.Counts.AcceptPauses.Add(1)
			log.Warn().Err(err).Bool("descriptors", errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)).
				Msg("cannot accept connections; trying again until it works")
		}
		pause = min(max(2*pause, minPause), maxPause)
		select {
		case <-s.service.Stopping():
			return
		case <-time.After(pause):
		}
	}
}

// admit serves a connection or refuses it. It decides before the first byte is read.
func (s *Server) admit(sock net.Conn) {
	s.service.Counts.Accepted.Add(1)
	switch {
	case !isLoopback(sock.RemoteAddr()) && s.service.IsProtected():
		s.reject(sock, command.CloseReasonProtected, &protocol.Error{Code: protocol.CodeDenied, Text: "conch is running in protected " +
			"mode and serves this machine only. To serve others, set a password with --requirepass or --aclfile, or " +
			"start it with --protected-mode=false behind a firewall"})
	case s.service.Counts.Open.Load() >= int64(s.service.Options().MaxConnections):
		// The text is that of Redis: go-redis retries on exactly this one. The log names the flag instead.
		s.reject(sock, command.CloseReasonMaxConnections, protocol.Errorf("max number of clients reached"))
	default:
		s.serve(sock)
	}
}

// isLoopback reports whether an address is on this machine.
func isLoopback(a net.Addr) bool {
	switch a := a.(type) {
	case *net.TCPAddr:
		return a.IP.IsLoopback()
	case *net.UnixAddr:
		return true
	}
	return false
}

// reject sends the reason for a refusal, and closes the connection. The text starts with a dash, because the
// dialect of the client is unknown yet. Over TLS the handshake comes first, within the same time, so that
// protected mode is explained there too.
func (s *Server) reject(sock net.Conn, reason command.CloseReason, why *protocol.Error) {
	s.service.Counts.Closes[reason].Add(1)
	s.service.Options().Log.Debug().Stringer("peer", addressOf(sock, sock.RemoteAddr())).Stringer("reason", reason).
		Int("max-connections", s.service.Options().MaxConnections).Msg("connection refused")
	if s.rejecting.Add(1) > maxRejecting {
		s.rejecting.Add(-1)
		_ = sock.Close() // a flood gets no text
		return
	}
	s.tasks.Go(func() {
		defer s.rejecting.Add(-1)
		_ = sock.SetDeadline(time.Now().Add(lingerTime)) // if it fails, Write fails too
		if _, err := sock.Write(protocol.AppendError(nil, why)); err == nil {
			linger(sock, s.service.Stopping())
		}
		_ = sock.Close()
	})
}

// serve starts the reader goroutine of a connection, which Shutdown waits for.
func (s *Server) serve(sock net.Conn) {
	plain := sock
	if t, ok := sock.(*tlsConn); ok {
		plain = t.transport.Conn
	}
	sockio.KeepAlive(plain, s.service.Options().KeepAlive)
	c := newConn(s, sock)
	if _, ok := sock.(*tlsConn); ok { // see reader.handshake
		_ = sock.SetDeadline(time.Now().Add(s.service.Options().HandshakeTimeout)) // fails only on a closed socket, as the handshake does then
	}
	if !s.service.Add(&c.Conn) {
		_ = sock.Close() // the server is stopping: its port looks closed
		return
	}
	c.Log(zerolog.DebugLevel).Stringer("peer", addressOf(sock, sock.RemoteAddr())).Msg("connected")
	s.tasks.Go(c.reader.run)
}
