package web

import (
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Routes are the routes: method, path and right.
func Routes() (all [][]string) {
	for _, r := range new(Server).table() {
		all = append(all, []string{r.method, r.path, r.right})
	}
	return all
}

// Answer answers a request without a socket.
func (s *Server) Answer(w http.ResponseWriter, r *http.Request) { s.serve(w, r) }

// MaxTickets is the bound of tickets.
const MaxTickets = maxTickets

// Tickets are tickets without credentials.
type Tickets struct{ tickets }

// Create makes one.
func (k *Tickets) Create(now time.Time) (secret string, ok bool) {
	return k.create(credentials{}, now)
}

// Use uses one.
func (k *Tickets) Use(secret string, now time.Time) bool {
	_, ok := k.use(secret, now)
	return ok
}

// EscapeTopic is a topic as one segment of a path. Clients clean away a segment of dots.
func EscapeTopic(topic string) string {
	return strings.ReplaceAll(url.PathEscape(topic), ".", "%2E")
}

// Topic matches a request for POST, and returns the topic in its path; empty if there is none.
func Topic(path string) string {
	u, err := url.ParseRequestURI(path)
	if err != nil {
		return ""
	}
	s := new(Server)
	s.routes = s.table()
	x := &exchange{request: &http.Request{Method: http.MethodPost, URL: u}, writer: header{}}
	if r, err := s.match(x); err != nil || r == nil {
		return ""
	}
	return x.params["topic"]
}

// header is an answer that goes nowhere.
type header http.Header

func (h header) Header() http.Header         { return http.Header(h) }
func (h header) Write(b []byte) (int, error) { return len(b), nil }
func (h header) WriteHeader(int)             {}

// SetHeartbeat sets the silence after which an event stream sends its position, and a WebSocket a ping.
func (s *Server) SetHeartbeat(d time.Duration) { s.heartbeat = d }

// FieldsOf makes fields of a JSON object.
var FieldsOf = fieldsOf

// Sessions is how many sessions there are.
func (s *Server) Sessions() int {
	s.sessions.mu.Lock()
	defer s.sessions.mu.Unlock()
	return len(s.sessions.all)
}
