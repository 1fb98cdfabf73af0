//go:build soak

package soak

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/conchmq/conch/internal/harness"
)

// dialHTTP connects to the HTTP port, by another way if there is none such. protocols are those of TLS.
func (s *run) dialHTTP(by way, protocols ...string) (net.Conn, error) {
	p := s.target.current()
	var sock net.Conn
	var err error
	switch {
	case by == proxied:
		sock, err = net.DialTimeout("tcp", s.web.Addr(), patience)
	case by == secure && p.httpsAddr != "":
		dialer := &net.Dialer{Timeout: patience}
		sock, err = tls.DialWithDialer(dialer, "tcp", p.httpsAddr, &tls.Config{InsecureSkipVerify: true, NextProtos: protocols}) // its own
	case by == remote && s.near != nil:
		sock, err = s.near.dial(p.httpAddr)
	default:
		sock, err = net.DialTimeout("tcp", p.httpAddr, patience)
	}
	if err != nil {
		return nil, err
	}
	s.report.add(rowConns, 1)
	_ = sock.SetDeadline(time.Now().Add(patience)) // a socket that does not take it fails at the next step
	return sock, nil
}

// browser is an HTTP client with one connection of its own.
type browser struct {
	*http.Client
	mu   sync.Mutex
	sock net.Conn // the last one
}

// newBrowser makes a client, over HTTP/2 if two is set.
func (s *run) newBrowser(by way, two bool) *browser {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!two)
	protocols.SetHTTP2(two)
	b := new(browser)
	dial := func(context.Context, string, string) (net.Conn, error) {
		sock, err := s.dialHTTP(by, "h2") // what it offers matters to TLS alone
		if err == nil {
			b.keep(sock)
		}
		return sock, err
	}
	b.Client = &http.Client{Timeout: patience, Transport: &http.Transport{
		Protocols: protocols, DialContext: dial, DialTLSContext: dial, MaxConnsPerHost: 1,
	}}
	return b
}

// keep closes the connection before.
func (b *browser) keep(sock net.Conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.sock != nil {
		_ = b.sock.Close()
	}
	b.sock = sock
}

// cut closes the connection, whatever is going on over it.
func (b *browser) cut() {
	b.keep(nil)
	b.CloseIdleConnections()
}

// base is the URL that a client of that kind begins with. Its port does not matter: dialHTTP knows the address.
func base(two bool) string {
	if two {
		return "https://127.0.0.1"
	}
	return "http://127.0.0.1"
}

// eventFeed is an event stream of a browser that reconnects with its last id.
type eventFeed struct {
	two    bool // over HTTP/2
	json   bool // every other connection
	client *browser
	in     *bufio.Reader
}

func (f *eventFeed) open(l *listener) error {
	f.json = !f.json
	by := l.by
	switch {
	case f.two:
		by = secure
	case by == secure:
		by = direct
	}
	f.client = l.round.newBrowser(by, f.two)
	request, err := http.NewRequest(http.MethodGet, base(f.two)+"/events?"+f.query(l).Encode(), nil)
	if err != nil {
		return err
	}
	if l.user {
		request.SetBasicAuth("reader", password)
	}
	if l.position != "" {
		request.Header.Set("Last-Event-ID", l.position)
	}
	answer, err := f.client.Do(request)
	if err != nil {
		return err
	}
	f.in = bufio.NewReader(answer.Body)
	if answer.StatusCode != http.StatusOK {
		return refused(answer)
	}
	for l.position == "" {
		if _, _, l.position, err = f.next(); err != nil {
			return err
		}
	}
	return nil
}

// query is that of the stream.
func (f *eventFeed) query(l *listener) url.Values {
	q := url.Values{}
	if f.json {
		q.Set("format", "json")
	}
	if l.all {
		q.Set("pattern", "1")
		q.Set("topic", l.round.prefix+"*")
		if l.holds != nil {
			q.Set("where", l.condition)
		}
		return q
	}
	for topic, wanted := range l.topics {
		if wanted {
			q.Add("topic", topic)
		}
	}
	return q
}

// refused is the problem in an answer. 503 may be tried again.
func refused(answer *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(answer.Body, 1<<10)) // as much as there is
	if answer.StatusCode == http.StatusServiceUnavailable {
		return errors.New(string(text))
	}
	return refusal{answer.Status + " " + string(text)}
}

// next reads one event, up to its blank line.
func (f *eventFeed) next() (e event, k kind, position string, err error) {
	var name, data string
	for {
		line, err := f.in.ReadString('\n')
		if err != nil {
			return event{}, other, "", err // the rest of an event is none, as for a browser
		}
		if strings.HasPrefix(line, ":") {
			continue // a comment
		}
		field, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch field {
		case "":
			e, k = browserEvent(name, data, f.json)
			return e, k, position, nil
		case "id":
			position = value
		case "event":
			name = value
		case "data":
			data = value // a payload is one line
		default:
			return event{id: line}, corrupt, position, nil
		}
	}
}

func (f *eventFeed) shut() {
	if f.client != nil {
		f.client.cut()
	}
}

// object is a message of conch.json, and the data of an event stream in that format.
type object struct {
	Event, Topic, Payload, Name, Epoch, Error string
	Sequence                                  json.Number
	Count                                     *int
}

// browserEvent reads an event of a stream by its name and data. Data without a name is a message, or an object if it is in JSON.
func browserEvent(name, data string, inJSON bool) (event, kind) {
	switch {
	case name == "closing":
		return event{}, closeNotice
	case name == "" && data == "":
		return event{}, other
	case name == "" && !inJSON:
		return verified("", data)
	}
	var o object
	if err := json.Unmarshal([]byte(data), &o); err != nil {
		return event{id: data}, corrupt
	}
	return o.event()
}

func (o object) event() (event, kind) {
	switch o.Event {
	case "message":
		return verified(o.Topic, o.Payload)
	case "missed":
		if o.Count == nil {
			return event{topic: o.Name, missed: unknown}, missing
		}
		return event{topic: o.Name, missed: *o.Count}, missing
	}
	return event{}, other
}

// verified is a message with that payload.
func verified(topic, payload string) (event, kind) {
	id, ok := harness.Verify(payload)
	if !ok {
		return event{topic: topic, id: payload}, corrupt
	}
	return event{topic: topic, id: id, size: len(payload)}, message
}

// webSocket is the client's side of a WebSocket.
type webSocket struct {
	net.Conn
	in io.Reader
}

// upgrade opens a WebSocket.
func (r *round) upgrade(l *listener, subprotocol string) (*webSocket, error) {
	sock, err := r.dialHTTP(l.by)
	if err != nil {
		return nil, err
	}
	header := http.Header{}
	if l.user {
		request := &http.Request{Header: header}
		request.SetBasicAuth("reader", password)
	}
	dialer := ws.Dialer{Protocols: []string{subprotocol}, Header: ws.HandshakeHeaderHTTP(header)}
	rest, _, err := dialer.Upgrade(sock, &url.URL{Scheme: "ws", Host: "127.0.0.1", Path: "/ws"})
	if err != nil {
		_ = sock.Close() // it failed
		if status := ws.StatusError(0); errors.As(err, &status) && int(status) != http.StatusServiceUnavailable {
			return nil, refusal{fmt.Sprintf("the upgrade is answered by %d", int(status))}
		}
		return nil, err
	}
	w := &webSocket{Conn: sock, in: sock}
	if rest != nil {
		w.in = io.MultiReader(io.LimitReader(rest, int64(rest.Buffered())), sock)
	}
	w.in = bufio.NewReader(w.in)
	return w, nil
}

func (w *webSocket) send(text string) error { return wsutil.WriteClientText(w, []byte(text)) }

// frame is the next message of the server, with a line end. Its pings are answered.
func (w *webSocket) frame() (string, error) {
	text, err := wsutil.ReadServerText(struct {
		io.Reader
		io.Writer
	}{w.in, w.Conn})
	return string(text) + "\n", err
}

func (w *webSocket) shut() { _ = w.Close() } // nothing is done about its failure

// objectFeed is a WebSocket of conch.json.
type objectFeed struct{ *webSocket }

func (f *objectFeed) open(l *listener) (err error) {
	if f.webSocket, err = l.round.upgrade(l, "conch.json"); err != nil {
		return err
	}
	o, err := f.ask(map[string]any{"op": "ping"})
	if err != nil {
		return err
	}
	request := map[string]any{"op": "subscribe", "pattern": l.round.prefix + "*"}
	if l.holds != nil {
		request["where"] = l.condition
	}
	if l.position != "" {
		request["after"] = l.position
	} else {
		l.position = o.Epoch + "-" + o.Sequence.String()
	}
	_, err = f.ask(request)
	return err
}

// ask is the reply to a request.
func (f *objectFeed) ask(request map[string]any) (o object, err error) {
	text, err := json.Marshal(request)
	if err != nil {
		return o, err
	}
	if err := f.send(string(text)); err != nil {
		return o, err
	}
	if o, err = f.read(); err == nil && o.Event != "subscribed" && o.Event != "pong" {
		err = refusal{o.Event + " " + o.Error}
	}
	return o, err
}

func (f *objectFeed) read() (o object, err error) {
	text, err := f.frame()
	if err != nil {
		return o, err
	}
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return object{Event: text}, nil
	}
	return o, nil
}

func (f *objectFeed) next() (event, kind, string, error) {
	o, err := f.read()
	if err != nil {
		return event{}, other, "", err
	}
	e, k := o.event()
	position := ""
	if k == message {
		position = o.Epoch + "-" + o.Sequence.String()
	}
	return e, k, position, nil
}

func (f *objectFeed) shut() {
	if f.webSocket != nil {
		f.webSocket.shut()
	}
}
