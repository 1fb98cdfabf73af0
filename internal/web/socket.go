package web

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/conchmq/conch/internal/command"
	"github.com/conchmq/conch/internal/sockio"
)

// lingerTime is how long a stream that conch ends stays half open, so that its last bytes arrive.
const lingerTime = time.Second

// isDeadline reports whether a read has failed by its deadline.
func isDeadline(err error) bool {
	timeout := net.Error(nil)
	return errors.As(err, &timeout) && timeout.Timeout()
}

// boundSilence has the next read end after a silence. It returns false if the stream is about to end: the deadline may have replaced
// that of Interrupt.
func (s *stream) boundSilence(sock net.Conn) bool {
	_ = sock.SetReadDeadline(time.Now().Add(s.server.heartbeat)) // on failure the read fails too
	return s.Reason() == command.CloseReasonNone
}

// isSilence reports whether a read has ended by that.
func (s *stream) isSilence(err error) bool {
	return isDeadline(err) && s.Reason() == command.CloseReasonNone
}

// hijack takes over the socket of a request, and returns what the client has sent behind it.
func (x *exchange) hijack() (net.Conn, []byte, error) {
	sock, buffered, err := x.control.Hijack()
	if err != nil {
		return nil, nil, err //nolint:wrapcheck // the caller drops it
	}
	x.begun = true
	_ = sock.SetDeadline(time.Time{}) // those of the header; fails only on a closed socket
	keepAlive(sock, x.server.service.Options().KeepAlive)
	return sock, leftOver(buffered.Reader), nil
}

// keepAlive has the kernel find clients that are gone.
func keepAlive(sock net.Conn, after time.Duration) {
	if t, ok := sock.(*tls.Conn); ok {
		sock = t.NetConn()
	}
	if y, ok := sock.(yieldConn); ok {
		sock = y.TCPConn
	}
	sockio.KeepAlive(sock, after)
}

// leftOver copies what is buffered, so that the buffer can be collected.
func leftOver(r *bufio.Reader) []byte {
	rest, _ := r.Peek(r.Buffered()) // so many bytes are there
	return bytes.Clone(rest)
}

// writeHead writes the head of an answer without a length to a socket: the answer ends with the
// connection.
func (x *exchange) writeHead(sock net.Conn) error {
	var head bytes.Buffer
	head.WriteString("HTTP/1.1 200 OK\r\nDate: " + time.Now().UTC().Format(http.TimeFormat) + "\r\nConnection: close\r\n")
	_ = x.writer.Header().Write(&head) // a Buffer takes everything
	head.WriteString("\r\n")
	_ = sock.SetWriteDeadline(time.Now().Add(x.server.service.Options().SlowTime)) // on failure the write fails too
	_, err := sock.Write(head.Bytes())
	return err //nolint:wrapcheck // the caller drops it
}

// linger closes the sending side, and waits at most lingerTime for the client to close its own.
// Closing with bytes unread would destroy what was written.
func linger(sock net.Conn, stopping <-chan struct{}) {
	half, ok := sock.(interface{ CloseWrite() error })
	if !ok || sock.SetWriteDeadline(time.Now().Add(lingerTime)) != nil || half.CloseWrite() != nil {
		return
	}
	wait := lingerTime
	select {
	case <-stopping: // Shutdown waits for all streams
		wait /= 4
	default:
	}
	if sock.SetReadDeadline(time.Now().Add(wait)) == nil {
		_, _ = io.Copy(io.Discard, sock) // ends when the client closes, or at the deadline
	}
}
