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
	// maxRejecting is how many refused connections may linger at once so that the reason reaches them. More are closed
	// at once: whoever floods the port must not make us hold more than a few hundred descriptors for it.
	maxRejecting = 256
)

// accept takes connections from one listener until the server stops. With a config they speak TLS.
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
		if pause == 0 { // once an episode, not once a try
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

// admit decides whether a connection is served.
func (s *Server) admit(sock net.Conn) {
	s.service.Counts.Accepted.Add(1)
	switch {
	case !isLoopback(sock.RemoteAddr()) && s.service.IsProtected():
		s.reject(sock, command.CloseReasonProtected, &protocol.Error{Code: protocol.CodeDenied, Text: "conch is running in protected " +
			"mode and serves this machine only. To serve others, ask them for a password with --requirepass or --aclfile, or " +
			"start it with --protected-mode=false behind a firewall"})
	case s.service.Counts.Open.Load() >= int64(s.service.Options().MaxConnections):
		// Redis' words to the letter: go-redis retries on exactly these. The log names the flag instead.
		s.reject(sock, command.CloseReasonMaxConnections, protocol.Errorf("max number of clients reached"))
	default:
		s.serve(sock)
	}
}

// isLoopback tells whether a peer is on this machine.
func isLoopback(a net.Addr) bool {
	switch a := a.(type) {
	case *net.TCPAddr:
		return a.IP.IsLoopback()
	case *net.UnixAddr:
		return true
	}
	return false
}

// reject tells a peer why it is not served. The text starts with a dash: nobody knows yet what the peer speaks. Over TLS
// the handshake comes with it, within the same time: who has just switched TLS on is to learn of protected mode.
func (s *Server) reject(sock net.Conn, reason command.CloseReason, why *protocol.Error) {
	s.service.Counts.Closes[reason].Add(1)
	s.service.Options().Log.Debug().Stringer("peer", addressOf(sock, sock.RemoteAddr())).Stringer("reason", reason).
		Int("max-connections", s.service.Options().MaxConnections).Msg("connection refused")
	if s.rejecting.Add(1) > maxRejecting {
		s.rejecting.Add(-1)
		_ = sock.Close() // a flood: nobody is owed a text any more
		return
	}
	s.tasks.Go(func() {
		defer s.rejecting.Add(-1)
		_ = sock.SetDeadline(time.Now().Add(lingerTime)) // should it fail, Write fails too
		if _, err := sock.Write(protocol.AppendError(nil, why)); err == nil {
			linger(sock, s.service.Stopping())
		}
		_ = sock.Close()
	})
}

// serve starts a connection's reader.
func (s *Server) serve(sock net.Conn) {
	plain := sock
	if t, ok := sock.(*tlsConn); ok {
		plain = t.transport.Conn
	}
	sockio.KeepAlive(plain, s.service.Options().KeepAlive)
	c := newConn(s, sock)
	if _, ok := sock.(*tlsConn); ok { // see shakeHands
		_ = sock.SetDeadline(time.Now().Add(s.service.Options().HandshakeTimeout)) // fails only on a closed socket: so does the handshake
	}
	if !s.service.Add(&c.Conn) {
		_ = sock.Close() // it came just as the server stopped: like a connection to a port that is closed
		return
	}
	c.Log(zerolog.DebugLevel).Stringer("peer", addressOf(sock, sock.RemoteAddr())).Msg("connected")
	s.tasks.Go(c.reader.run)
}
