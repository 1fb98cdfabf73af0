package web

import (
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/conchmq/conch/internal/command"
	"github.com/conchmq/conch/protocol"
)

// retryAfter is when a client is to try a node again that catches up, in seconds.
const retryAfter = "1"

// exchange is one request and its answer. It belongs to the goroutine of its handler.
type exchange struct {
	server  *Server
	writer  http.ResponseWriter
	request *http.Request
	control *http.ResponseController
	// remote and local are the ends of the socket.
	remote, local command.Address
	params        map[string]string
	// given is what authenticated the connection that open has made last.
	given credentials
	// shown is the connection of the reply that the answer shows; nil if there is none. It ends behind the answer.
	shown *conn
	// bodyRead means that the body has been read to its end.
	bodyRead bool
	// begun means that the header of the answer is written.
	begun bool
}

func newExchange(s *Server, w http.ResponseWriter, r *http.Request) *exchange {
	x := &exchange{server: s, writer: w, request: r, control: http.NewResponseController(w)}
	x.remote.Text, x.local.Text = r.RemoteAddr, "http"
	if remote, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		x.remote = command.Address{TCP: netip.AddrPortFrom(remote.Addr().Unmap(), remote.Port())}
	}
	if local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr); ok {
		of := local.AddrPort()
		x.local = command.Address{TCP: netip.AddrPortFrom(of.Addr().Unmap(), of.Port())}
	}
	return x
}

// setHeaders sets the headers of every answer. Payloads come from any client: a browser must not
// take them for a page.
func (x *exchange) setHeaders() {
	h := x.writer.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
}

// topic is the topic in the path.
func (x *exchange) topic() (string, error) {
	topic := x.params["topic"]
	if topic == "" {
		return "", errNoTopic
	}
	return topic, nil
}

// extendRead gives the client slow-time to send more of the body. After the handler, net/http reads
// what is left of a small one: without a deadline, for ever.
func (x *exchange) extendRead() {
	_ = x.control.SetReadDeadline(time.Now().Add(x.server.service.Options().SlowTime)) // on failure the read fails too
}

// extendWrite gives the client slow-time to take what is written next.
func (x *exchange) extendWrite() {
	_ = x.control.SetWriteDeadline(time.Now().Add(x.server.service.Options().SlowTime)) // on failure the write fails too
	if c := x.shown; c != nil && c.ended.Err() != nil {                                 // behind the deadline, which may replace that of interruptWrites
		x.cutOff(c)
	}
}

// pauseWrite lifts the deadline until the next write: over HTTP/2 it ends the request, even if nothing is being written.
func (x *exchange) pauseWrite() {
	_ = x.control.SetWriteDeadline(time.Time{}) // on failure the next write fails too
}

// answer writes a JSON answer.
func (x *exchange) answer(status int, contentType string, body any) {
	text, err := encode(body)
	if err != nil {
		panic(err) // all bodies are plain data
	}
	x.text(status, contentType, append(text, '\n'))
}

// pieceSize is how many bytes of an answer the client has to take within slow-time.
const pieceSize = 64 << 10

// text writes an answer. Its memory is that of the connection of the reply that it shows, and the end of that one cuts it off.
func (x *exchange) text(status int, contentType string, text []byte) {
	if c := x.shown; c != nil {
		c.replies.size, c.answer = 0, cap(text)
		c.charge()
		defer x.interruptWrites(c)()
	}
	x.begin(status, contentType)
	for len(text) > 0 {
		x.extendWrite()
		n, err := x.writer.Write(text[:min(len(text), pieceSize)])
		if text = text[n:]; err != nil {
			panic(http.ErrAbortHandler) // the client is gone, or gets an answer that is incomplete
		}
	}
}

// isBrokenOff reports whether the client has reset a request over HTTP/2: it gets no answer. Over HTTP/1.1 the context ends with any
// failed read of the body as well.
func (x *exchange) isBrokenOff() bool {
	return x.request.ProtoMajor > 1 && x.request.Context().Err() != nil
}

// begin writes the header of an answer.
func (x *exchange) begin(status int, contentType string) {
	x.begun = true
	x.extendWrite()
	if contentType != "" {
		x.writer.Header().Set("Content-Type", contentType)
	}
	x.writer.WriteHeader(status)
}

// endShown ends the connection of the reply that was shown.
func (x *exchange) endShown() {
	if x.shown != nil {
		x.shown.close()
		x.shown = nil
	}
}

// noContent answers with 204.
func (x *exchange) noContent() error {
	x.begin(http.StatusNoContent, "")
	return nil
}

// json answers with 200 and a JSON body.
func (x *exchange) json(body any) error {
	x.answer(http.StatusOK, "application/json", body)
	return nil
}

// fail answers with a problem, unless the answer has begun: then the connection is cut, so that
// the client sees an incomplete answer.
func (x *exchange) fail(err error) {
	if x.begun {
		panic(http.ErrAbortHandler)
	}
	x.endShown()
	if x.request.ContentLength != 0 && !x.bodyRead && x.request.ProtoMajor < 2 {
		x.writer.Header().Set("Connection", "close") // else net/http reads the rest first, at the client's pace
	}
	p := problemOf(err).complete()
	switch {
	case p.Code == string(protocol.CodeLoading):
		x.writer.Header().Set("Retry-After", retryAfter)
	case p.Status != http.StatusUnauthorized:
	case x.fromConsole(): // a browser would open a window of its own for Basic
		x.writer.Header().Add("WWW-Authenticate", `Session realm="conch"`)
	default:
		x.writer.Header().Add("WWW-Authenticate", `Basic realm="conch", charset="UTF-8"`)
		x.writer.Header().Add("WWW-Authenticate", `Bearer realm="conch"`)
	}
	x.answer(p.Status, "application/problem+json", p)
}
