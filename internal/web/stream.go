package web

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/rs/zerolog"

	"github.com/conchmq/conch/internal/command"
	"github.com/conchmq/conch/internal/outbox"
	"github.com/conchmq/conch/internal/sockwriter"
	"github.com/conchmq/conch/protocol"
)

// heartbeat is the silence after which an event stream sends its position, and a WebSocket a ping: proxies cut silent
// connections, most of them after 60 s.
const heartbeat = 15 * time.Second

// stream is a connection that stays: an event stream or a WebSocket. It has an outbox and a
// writer, as a connection over a socket has.
//
// It begins without a sink. Its reader goroutine, which is run, sends the first requests. When
// all are replied to, the handler of the HTTP request attaches the sink, and the stream goes on.
type stream struct {
	command.Conn
	server        *Server
	remote, local command.Address
	// count is the number of open streams of this kind.
	count *atomic.Int64
	// session is the one that the stream belongs to, with which it ends; nil if there is none.
	session *session
	// requests are what the client does first. opening counts the replies that are missing, and the
	// core counts it down. opened gets the first refusal, or nil.
	requests []byte
	opening  int
	opened   chan *protocol.Error
	// input reads from the client; the reader goroutine calls it once there is a sink.
	input func() (*command.Batch, error)
	// finish ends the sink, behind the last byte of the outbox.
	finish func()
	// attached is closed when there is a sink, interrupted when the connection is about to end,
	// and done when all its goroutines but the caller of done have ended.
	attached, interrupted, done chan struct{}
	writing                     sockwriter.Writing

	mu          sync.Mutex // guards what follows
	sink        sink       // nil until the handler attaches it
	writes      bool       // the core has started a writer, which waits for the sink
	isInterrupt bool       // interrupted is closed
}

// sink is what carries a stream. The methods are those of a socket.
type sink interface {
	sockwriter.Sink
	SetReadDeadline(t time.Time) error
	Close() error
}

// first is one request that a stream begins with.
type first struct {
	Op            string   `json:"op"`
	Topic         []string `json:"topic,omitempty"`
	TopicBase64   [][]byte `json:"topic_base64,omitempty"`
	Pattern       []string `json:"pattern,omitempty"`
	PatternBase64 [][]byte `json:"pattern_base64,omitempty"`
	Where         string   `json:"where,omitempty"`
	From          string   `json:"from,omitempty"`
	After         string   `json:"after,omitempty"`
	Last          int      `json:"last,omitempty"`
	Each          bool     `json:"each,omitempty"`
	User          string   `json:"user,omitempty"`
	Password      string   `json:"password,omitempty"`
}

// name adds names to a subscribe.
func (f *first) name(names []string, pattern bool) {
	texts, encoded := &f.Topic, &f.TopicBase64
	if pattern {
		texts, encoded = &f.Pattern, &f.PatternBase64
	}
	for _, name := range names {
		if utf8.ValidString(name) {
			*texts = append(*texts, name)
		} else {
			*encoded = append(*encoded, []byte(name))
		}
	}
}

// newStream makes a stream that the service does not know yet.
func (x *exchange) newStream(f outbox.Format) *stream {
	s := &stream{
		server: x.server, remote: x.remote, local: x.local, opened: make(chan *protocol.Error, 1),
		attached: make(chan struct{}), interrupted: make(chan struct{}), done: make(chan struct{}),
		count: &x.server.service.Counts.WebSockets,
	}
	if f == outbox.FormatEvents || f == outbox.FormatObjectEvents {
		s.count = &x.server.service.Counts.EventStreams
	}
	s.Init(x.server.service, s)
	s.writing.Init(&s.Conn, &x.server.writers)
	s.Present(f, s.replied)
	return s
}

// authenticate adds what the request authenticates with to the first requests.
func (s *stream) authenticate(given credentials, lines bool) {
	s.SetCertificateUser(given.certificate)
	s.session = given.session
	for _, args := range given.commands() {
		s.opening++
		if lines {
			s.requests = protocol.AppendArray(s.requests, len(args))
			for _, arg := range args {
				s.requests = protocol.AppendBulkString(s.requests, arg)
			}
			continue
		}
		s.add(first{Op: "auth", User: args[1], Password: args[2]})
	}
}

// subscribe adds one request for all names, so that what is replayed for them comes in the one order.
func (s *stream) subscribe(names []string, query eventQuery) {
	s.opening += len(names)
	query.name(names, query.pattern)
	s.add(query.first)
}

// add adds a first request in JSON.
func (s *stream) add(f first) {
	line, err := json.Marshal(f)
	if err != nil {
		panic(err) // all fields are plain data
	}
	s.requests = append(append(s.requests, line...), '\n')
}

// open starts the stream, and waits until its first requests are replied to. A refusal is the
// error; then the stream ends by itself.
func (s *stream) open(x *exchange) error {
	end, err := x.startOpening()
	if err != nil {
		return err
	}
	defer end()
	if !s.server.begin() {
		return errStopping
	}
	if !s.server.service.Add(&s.Conn) {
		s.server.tasks.Done()
		return errStopping
	}
	s.count.Add(1)
	s.Log(zerolog.DebugLevel).Stringer("peer", s.Peer()).Str("method", x.request.Method).Msg("connected")
	if s.opening == 0 {
		s.opened <- nil
	}
	go s.run()
	select {
	case refused := <-s.opened:
		if refused == nil {
			return nil
		}
		err = &errorReply{string(refused.Code), refused.Text}
	case <-s.interrupted:
		err = &problem{Status: http.StatusServiceUnavailable, Detail: "conch ended the connection of this request: " + s.Reason().String()}
	case <-x.request.Context().Done():
		err = errEnded
	}
	s.End(command.CloseReasonEOF)
	<-s.done // so many requests as may open are all that is at work for clients that break them off
	return err
}

// replied takes the replies to the first requests. The core calls it.
func (s *stream) replied(refused *protocol.Error) (taken bool) {
	if s.opening == 0 {
		return false
	}
	if s.opening--; refused != nil {
		s.opening = 0
	}
	if s.opening == 0 {
		s.opened <- refused // there is room: opening is 0 from now on
	}
	return true
}

// attach gives the stream its sink, with the descriptor if writers may use it. It returns false if
// the stream has ended before; then the caller closes the sink.
func (s *stream) attach(to sink, raw syscall.RawConn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isInterrupt {
		return false
	}
	s.sink = to
	s.writing.Attach(to, raw)
	close(s.attached)
	if s.writes {
		s.writing.Resume()
	}
	return true
}

// run is the reader goroutine, and the life of the stream.
func (s *stream) run() {
	defer s.server.tasks.Done()
	defer close(s.done)
	defer s.count.Add(-1)
	if s.session != nil {
		defer context.AfterFunc(s.session.ended, s.EndSession)()
	}
	s.End(s.read())
	s.Reader.Leave()
	s.discardUnattached()
	s.writing.Wait()
	select {
	case <-s.attached:
		s.finish()
	default:
	}
	s.Finish()
}

// identified are the credentials of a request that needs some.
func (x *exchange) identified() (credentials, error) {
	given, err := x.credentials()
	if err == nil && !given.given && given.certificate == "" && !x.server.service.IsOpen() {
		err = &problem{Status: http.StatusUnauthorized, Code: string(protocol.CodeNoAuth), Detail: "authentication required"}
	}
	return given, err
}

// discardUnattached ends a writer that still waits for a sink: what it was to write is lost.
func (s *stream) discardUnattached() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sink == nil && s.writes {
		s.Outbox().Fail(new(outbox.WriteQueue))
		s.writing.Release()
	}
}

// read reads and submits to the end. A panic ends this connection alone.
func (s *stream) read() (reason command.CloseReason) {
	defer func() {
		if p := recover(); p != nil {
			s.LogPanic(p)
			reason = command.CloseReasonPanic
		}
	}()
	return s.Reader.Serve(s.next)
}

// next returns the first requests, waits for the sink, and then reads from the client.
func (s *stream) next() (*command.Batch, error) {
	if len(s.requests) > 0 {
		n := copy(s.Reader.Space(false), s.requests)
		if s.requests = s.requests[n:]; len(s.requests) == 0 {
			s.requests = nil
		}
		return s.Reader.Received(n), nil
	}
	select {
	case <-s.attached:
		return s.input()
	case <-s.interrupted:
		return nil, io.EOF
	}
}

// Addresses are those of the request's socket.
func (s *stream) Addresses() (remote, local command.Address) { return s.remote, s.local }

// Descriptor is -1: net/http has accepted the socket.
func (s *stream) Descriptor() int { return -1 }

// StartWriter has a writer write what the outbox holds, once there is a sink. The core calls it,
// and only while there is none.
func (s *stream) StartWriter() {
	s.writing.Hold()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writes = s.sink == nil; !s.writes {
		s.writing.Resume()
	}
}

// Interrupt ends a read in progress. Any goroutine may call it.
func (s *stream) Interrupt() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.isInterrupt {
		s.isInterrupt = true
		close(s.interrupted)
	}
	if s.sink != nil {
		_ = s.sink.SetReadDeadline(time.Unix(1, 0)) // fails only on a closed socket, where no read blocks
	}
}

// SetWriteDeadline is that of the sink.
func (s *stream) SetWriteDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sink == nil {
		return errNoSink
	}
	return s.sink.SetWriteDeadline(t) //nolint:wrapcheck // as that of any socket
}

// errNoSink is ignored by all callers: without a sink nothing is written.
var errNoSink = errors.New("the stream has no sink yet")

// Close closes the sink at once.
func (s *stream) Close() error {
	s.Interrupt()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sink == nil {
		return nil
	}
	return s.sink.Close() //nolint:wrapcheck // as that of any socket
}
