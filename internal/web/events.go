package web

import (
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/conchmq/conch/internal/command"
	"github.com/conchmq/conch/internal/outbox"
	"github.com/conchmq/conch/internal/position"
	"github.com/conchmq/conch/internal/sockio"
	"github.com/conchmq/conch/internal/sockwriter"
)

// getTopic is GET /topics/{topic}: its messages as server-sent events.
func (x *exchange) getTopic() error {
	topic, err := x.topic()
	if err != nil {
		return err
	}
	return x.streamEvents([]string{topic})
}

// getEvents is GET /events?topic=…&topic=…: the messages of several topics.
func (x *exchange) getEvents() error {
	topics := x.request.URL.Query()["topic"]
	if len(topics) == 0 {
		return &problem{Status: http.StatusBadRequest, Detail: "name a topic: /events?topic=news"}
	}
	return x.streamEvents(topics)
}

// streamEvents answers with the messages of topics or patterns, until one of both sides ends it.
func (x *exchange) streamEvents(names []string) error {
	s, err := x.openEvents(names)
	if err != nil {
		return err
	}
	h := x.writer.Header()
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("X-Accel-Buffering", "no") // of proxies
	if x.request.ProtoMajor > 1 {
		return x.sendEvents(s)
	}
	return x.takeOver(s)
}

// openEvents makes the stream of a request. It stands apart for the sake of the stack that an idle stream keeps.
func (x *exchange) openEvents(names []string) (*stream, error) {
	query, err := x.eventQuery()
	if err != nil {
		return nil, err
	}
	given, err := x.identified()
	if err != nil {
		return nil, err
	}
	s := x.newStream(query.format)
	if !s.SetName(query.client) {
		return nil, wrongValue("name", query.client)
	}
	s.authenticate(given, false)
	for _, name := range names {
		if name == "" {
			return nil, errNoTopic
		}
	}
	s.subscribe(names, query)
	return s, s.open(x)
}

// eventQuery is what the query and the header of a request say about a stream.
type eventQuery struct {
	first
	pattern bool
	client  string // the name of the connection
	format  outbox.Format
}

// eventQuery parses the query. A browser that reconnects sends the query of the first time, and
// the last id that it got: the id counts.
func (x *exchange) eventQuery() (q eventQuery, err error) {
	q.Op, q.format = "subscribe", outbox.FormatEvents
	values, isGroup := x.request.URL.Query(), false
	q.Where, q.From = values.Get("where"), values.Get("from")
	for name, set := range map[string]func(string) bool{
		"name":    func(v string) bool { q.client = v; return true },
		"pattern": func(v string) bool { q.pattern = v == "1"; return v == "0" || v == "1" },
		"format": func(v string) bool {
			q.format = outbox.FormatObjectEvents
			return v == "json"
		},
		"last": func(v string) bool { q.Last, err = strconv.Atoi(v); return err == nil && q.Last > 0 },
		"each": func(v string) bool { q.Each = v == "1"; return v == "0" || q.Each && values.Get("last") == "1" },
		"from": func(v string) bool {
			p, err := position.ParseFrom(v)
			isGroup = p.Kind == position.Group
			return err == nil && (isGroup || !strings.Contains(v, " "))
		},
	} {
		if v := values.Get(name); v != "" && !set(v) {
			return q, wrongValue(name, v)
		}
	}
	id := x.request.Header.Get("Last-Event-ID")
	if id == "" || isGroup { // conch has the position of a group
		return q, nil
	}
	if _, err := placeOfEvent(id); err != nil {
		return q, err
	}
	q.After, q.From, q.Last, q.Each = id, "", 0, false
	return q, nil
}

// takeOver goes on over the socket of the request, without net/http: an idle stream then costs
// half as much.
func (x *exchange) takeOver(s *stream) error {
	sock, _, err := x.hijack()
	if err != nil {
		s.End(command.CloseReasonIOError)
		return nil
	}
	s.input = (&eventSocket{stream: s, sock: sock}).read
	s.finish = func() {
		if reason := s.Reason(); reason != command.CloseReasonEOF && reason != command.CloseReasonIOError {
			linger(sock, s.server.service.Stopping())
		}
		_ = sock.Close() // an error changes nothing: the socket is done with
	}
	if x.writeHead(sock) != nil || !s.attach(sock, sockio.Raw(sock)) {
		s.End(command.CloseReasonIOError)
		_ = sock.Close()
	}
	return nil
}

// eventSocket is the reader's side of an event stream over a socket.
type eventSocket struct {
	*stream
	sock  net.Conn
	begun bool
	skip  [64]byte // what the client sends: nothing that matters
}

// read waits for the end of the connection, and sends the position after each silence.
func (e *eventSocket) read() (*command.Batch, error) {
	for {
		if !e.begun || e.Outbox().WaitingBytes() == 0 {
			e.begun = true
			e.Reader.PushPosition()
		}
		for {
			if !e.boundSilence(e.sock) {
				return nil, io.EOF
			}
			_, err := e.sock.Read(e.skip[:])
			if e.isSilence(err) {
				break
			}
			if err != nil {
				return nil, err //nolint:wrapcheck // io.EOF is compared
			}
		}
	}
}

// sendEvents goes on over HTTP/2, as long as the handler runs.
func (x *exchange) sendEvents(s *stream) error {
	x.begun = true
	ctx := x.request.Context()
	s.input = (&eventResponse{stream: s, ctx: ctx}).read
	s.finish = func() {}
	x.writer.WriteHeader(http.StatusOK)
	if x.control.Flush() != nil || !s.attach(&response{exchange: x}, nil) {
		s.End(command.CloseReasonIOError)
	}
	stop := context.AfterFunc(ctx, func() { s.End(command.CloseReasonEOF) })
	defer stop()
	<-s.done
	return nil
}

// eventResponse is the reader's side of an event stream over HTTP/2.
type eventResponse struct {
	*stream
	ctx context.Context
}

// read waits for the end of the request, and sends the position after each silence.
func (e *eventResponse) read() (*command.Batch, error) {
	tick := time.NewTicker(e.server.heartbeat)
	defer tick.Stop()
	e.Reader.PushPosition()
	for {
		select {
		case <-e.ctx.Done():
			return nil, io.EOF
		case <-e.interrupted:
			return nil, io.EOF
		case <-tick.C:
			if e.Outbox().WaitingBytes() == 0 {
				e.Reader.PushPosition()
			}
		}
	}
}

// response is the sink of a stream over HTTP/2. net/http resets the stream at a write deadline, even
// if nothing is being written; so it has one only during a write, as on a socket.
type response struct {
	*exchange

	mu       sync.Mutex // guards what follows
	deadline time.Time
	writing  bool
}

// Write sends bytes at once.
func (r *response) Write(b []byte) (int, error) {
	if err := r.beginWrite(); err != nil {
		return 0, err
	}
	defer r.endWrite()
	n, err := r.writer.Write(b)
	if err == nil {
		err = r.control.Flush()
	}
	return n, err //nolint:wrapcheck // as that of any socket
}

// beginWrite begins a write, unless its deadline has passed.
func (r *response) beginWrite() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.deadline.IsZero() && !time.Now().Before(r.deadline) {
		return sockwriter.ErrDeadline
	}
	r.writing = true
	return r.control.SetWriteDeadline(r.deadline) //nolint:wrapcheck // as that of any socket
}

func (r *response) endWrite() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.writing = false
	_ = r.control.SetWriteDeadline(time.Time{}) // on failure the next write fails too
}

func (r *response) SetWriteDeadline(t time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.deadline = t; !r.writing {
		return nil
	}
	return r.control.SetWriteDeadline(t) //nolint:wrapcheck // as that of any socket
}

func (r *response) SetReadDeadline(time.Time) error { return nil }                                         // the reader waits for a channel instead
func (r *response) Close() error                    { return r.control.SetWriteDeadline(time.Unix(1, 0)) } //nolint:wrapcheck // as that of any socket
