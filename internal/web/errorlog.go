package web

import (
	"bytes"

	"github.com/conchmq/conch/internal/command"
	"github.com/conchmq/conch/internal/uptime"
	"github.com/rs/zerolog"
)

// errorWriter takes the lines that net/http logs, which are texts alone: failed handshakes, failed
// accepts, broken connections.
type errorWriter struct{ s *Server }

func (e errorWriter) Write(line []byte) (int, error) {
	service := e.s.service
	log := &service.Options().Log
	handshake, accept := bytes.Contains(line, []byte("TLS handshake error")), bytes.Contains(line, []byte("Accept error"))
	switch {
	case handshake && bytes.HasSuffix(line, []byte("EOF\n")): // a port check: no bytes, no log line
		return len(line), nil
	case handshake:
		service.Counts.Accepted.Add(1)
		service.Counts.Closes[command.CloseReasonHandshake].Add(1)
	case accept:
		service.Counts.AcceptPauses.Add(1)
	}
	suppressed, ok := e.s.errorLog.Allow(uptime.Now())
	if !ok {
		return len(line), nil
	}
	level, text := zerolog.DebugLevel, "a connection over HTTP failed"
	switch {
	case handshake:
		level, text = zerolog.WarnLevel, "a TLS handshake failed"
	case accept:
		level, text = zerolog.WarnLevel, "cannot accept connections; trying again until it works"
	}
	log.WithLevel(level).Bytes("error", bytes.TrimSpace(line)).Int("not_logged_before", suppressed).Msg(text)
	return len(line), nil
}
