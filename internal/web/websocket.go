package web

import (
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/gobwas/ws"

	"github.com/conchmq/conch/internal/command"
	"github.com/conchmq/conch/internal/outbox"
	"github.com/conchmq/conch/internal/sockio"
	"github.com/conchmq/conch/protocol"
)

// The subprotocols.
const (
	subprotocolLines   = "conch.lines"
	subprotocolObjects = "conch.json"
)

// getWebSocket is GET /ws: a WebSocket. A client without credentials may send AUTH first, as over
// a socket.
func (x *exchange) getWebSocket() error {
	if err := x.checkUpgrade(); err != nil {
		return err
	}
	given, err := x.credentials()
	if err != nil {
		return err
	}
	subprotocol, err := x.subprotocol()
	if err != nil {
		return err
	}
	format := outbox.FormatTexts
	if subprotocol == subprotocolObjects {
		format = outbox.FormatObjects
	}
	s := x.newStream(format)
	s.authenticate(given, format == outbox.FormatTexts)
	if err := s.open(x); err != nil {
		return err
	}
	return x.upgrade(s, subprotocol, format)
}

// checkUpgrade checks the request of an upgrade, before net/http lets go of it.
func (x *exchange) checkUpgrade() error {
	h := x.request.Header
	switch {
	case x.request.ProtoMajor != 1 || x.request.ProtoMinor < 1:
		return &problem{Status: http.StatusBadRequest, Detail: "a WebSocket needs HTTP/1.1"}
	case !hasToken(h, "Connection", "upgrade") || !hasToken(h, "Upgrade", "websocket"):
		x.writer.Header().Set("Upgrade", "websocket")
		return &problem{Status: http.StatusUpgradeRequired, Detail: "this path takes a WebSocket"}
	case h.Get("Sec-WebSocket-Version") != "13":
		x.writer.Header().Set("Sec-WebSocket-Version", "13")
		return &problem{Status: http.StatusUpgradeRequired, Detail: "the version of the WebSocket protocol is 13"}
	case len(h.Get("Sec-WebSocket-Key")) != 24:
		return &problem{Status: http.StatusBadRequest, Detail: "Sec-WebSocket-Key must be 16 bytes in base64"}
	}
	return nil
}

// hasToken reports whether a header lists a word.
func hasToken(h http.Header, name, token string) bool {
	for _, line := range h.Values(name) {
		for word := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(word), token) {
				return true
			}
		}
	}
	return false
}

// subprotocol is the first that the client offers and conch has. A client that offers none gets
// lines.
func (x *exchange) subprotocol() (string, error) {
	offered := x.request.Header.Values("Sec-WebSocket-Protocol")
	if len(offered) == 0 {
		return "", nil
	}
	for word := range strings.SplitSeq(strings.Join(offered, ","), ",") {
		if word = strings.TrimSpace(word); slices.Contains([]string{subprotocolLines, subprotocolObjects}, word) {
			return word, nil
		}
	}
	return "", &problem{Status: http.StatusBadRequest, Detail: "the subprotocols are " + subprotocolLines + " and " + subprotocolObjects}
}

// upgrade makes the socket of the request a WebSocket.
func (x *exchange) upgrade(s *stream, subprotocol string, format outbox.Format) error {
	x.begun = true
	o := x.server.service.Options()
	upgrader := ws.HTTPUpgrader{Timeout: o.SlowTime, Protocol: func(offered string) bool { return offered == subprotocol }}
	sock, buffered, _, err := upgrader.Upgrade(x.request, x.writer)
	if err != nil {
		s.End(command.CloseReasonIOError)
		if sock != nil {
			_ = sock.Close()
		}
		return nil
	}
	keepAlive(sock, o.KeepAlive)
	w := &webSocket{stream: s, sock: sock, rawConn: sockio.Raw(sock), rest: leftOver(buffered.Reader)}
	w.decoder.objects, w.decoder.most = format == outbox.FormatObjects, int64(o.Limits.Line)
	if w.decoder.objects {
		w.decoder.most = int64(o.Limits.Command)
	}
	w.ready = w.readReady
	s.input, s.finish = w.read, w.close
	if !s.attach(sock, w.rawConn) {
		_ = sock.Close()
	}
	return nil
}

// webSocket is the reader's side of a WebSocket.
type webSocket struct {
	*stream
	sock    net.Conn
	rawConn syscall.RawConn // nil for TLS
	decoder frameDecoder
	rest    []byte // what came behind the request of the upgrade
	ready   func(fd uintptr) bool
	n       int   // result of readReady
	err     error // the same, and what ends the connection at the next read
}

// read waits for a piece of a message, and replies to control frames meanwhile. It sends a ping after each silence: proxies
// cut silent connections, nginx after 60 s.
func (w *webSocket) read() (*command.Batch, error) {
	for w.err == nil {
		if !w.boundSilence(w.sock) {
			w.err = io.EOF
			break
		}
		n, err := w.receive()
		if w.isSilence(err) {
			w.err = w.ping()
			continue
		}
		w.err = err
		if w.decoder.closedBy != nil && w.err == nil {
			w.err = io.EOF
		}
		if pong := w.decoder.pong; pong != nil {
			w.decoder.pong = nil
			frame := protocol.AppendWebSocketHeader(nil, protocol.WebSocketPong, len(pong))
			if !w.Reader.PushFrame(append(frame, pong...)) {
				w.err = io.EOF
				break
			}
		}
		if n > 0 {
			return w.Reader.Received(n), nil
		}
		if w.err == nil {
			w.Reader.Unused()
		}
	}
	w.Reader.Received(0) // it lets go of its buffer
	if closed := (*closure)(nil); errors.As(w.err, &closed) {
		w.decoder.closedBy = closed
		w.End(command.CloseReasonProtocol)
	}
	return nil, w.err
}

// ping sends a ping, unless the client has yet to take earlier bytes. Its pong is passed over.
func (w *webSocket) ping() error {
	if w.Outbox().WaitingBytes() == 0 && !w.Reader.PushFrame(protocol.AppendWebSocketHeader(nil, protocol.WebSocketPing, 0)) {
		return io.EOF
	}
	return nil
}

// receive reads once, and decodes what has come into the space of the reader.
func (w *webSocket) receive() (n int, err error) {
	w.n, w.err = 0, nil
	switch {
	case len(w.rest) > 0:
		space := w.Reader.Space(true)
		w.n = copy(space[1:], w.rest)
		w.rest = w.rest[w.n:]
		return w.decoder.decode(space[:1+w.n], 1)
	case w.rawConn == nil:
		space := w.Reader.Space(true)
		n, err := w.sock.Read(space[1:])
		return w.decoded(space, n, err)
	}
	if err := w.rawConn.Read(w.ready); err != nil {
		return 0, err //nolint:wrapcheck // io.EOF is compared
	}
	return w.n, w.err
}

// readReady reads when the socket may be readable. The runtime calls it, and again later if it
// returns false. Until then the connection holds no read buffer.
func (w *webSocket) readReady(fd uintptr) bool {
	space := w.Reader.Space(false)
	n, err := sockio.TryRead(fd, space[1:])
	if errors.Is(err, syscall.EAGAIN) {
		w.Reader.Unused()
		return false
	}
	w.n, w.err = w.decoded(space, n, err)
	return true
}

// decoded decodes what a read has put behind the first byte of the space.
func (w *webSocket) decoded(space []byte, n int, err error) (int, error) {
	if n > 0 {
		return w.decoder.decode(space[:1+n], 1)
	}
	if err == nil {
		err = io.EOF
	}
	return 0, err
}

// close ends the WebSocket behind the last byte of the outbox: with a close frame, unless the
// close notice was one.
func (w *webSocket) close() {
	reason := w.Reason()
	code, text := reason.WebSocketCode(), reason.String()
	closed := w.decoder.closedBy
	if closed != nil {
		code, text = uint16(closed.code), closed.reason
	}
	if !reason.HasNotice() && reason != command.CloseReasonIOError && reason != command.CloseReasonWriteStalled {
		_ = w.sock.SetWriteDeadline(time.Now().Add(lingerTime))             // on failure the write fails too
		_, _ = w.sock.Write(protocol.AppendWebSocketClose(nil, code, text)) // best effort: the client may be gone
	}
	if closed == nil || reason != command.CloseReasonEOF { // the client has not closed yet
		linger(w.sock, w.server.service.Stopping())
	}
	_ = w.sock.Close() // an error changes nothing: the socket is done with
}
