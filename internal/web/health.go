package web

import (
	"net/http"
	"sync"
	"time"
)

// coreTimeout bounds how long a healthy core takes for one visit.
const coreTimeout = 5 * time.Second

// health is the answer of /healthz and /readyz. A user that may run INFO gets the details.
type health struct {
	Status  string `json:"status"`
	Version string `json:"version,omitempty"`
	Epoch   string `json:"epoch,omitempty"`
	Clients int64  `json:"clients,omitempty"`
}

// getHealth is GET /healthz: the core takes requests, and the log has not failed. It needs no password.
func (x *exchange) getHealth() error {
	if !x.server.probe.check(x.server, coreTimeout) {
		return &problem{Status: http.StatusServiceUnavailable, Detail: "the core does not answer"}
	}
	if x.server.service.HasLogFailed() {
		return &problem{Status: http.StatusServiceUnavailable, Detail: "a write or a sync of the log has failed: nothing is appended until a restart"}
	}
	if x.request.Header.Get("Authorization") == "" && !x.server.service.IsOpen() {
		return x.json(health{Status: "ok"})
	}
	if err := x.checkRight("INFO", "server"); err != nil {
		return err
	}
	n, ok := x.server.service.Snapshot()
	if !ok {
		return errStopping
	}
	return x.json(health{Status: "ok", Version: n.Version, Epoch: x.server.service.Epoch(), Clients: n.Clients})
}

// getReady is GET /readyz: new clients are served. A server that stops, or is full, answers 503 before it comes here.
func (x *exchange) getReady() error {
	select {
	case <-x.server.service.Stopping():
		return errStopping
	default:
		return x.getHealth()
	}
}

// probe visits the core for all requests together: however many come without a password, there is one visit at a time.
type probe struct {
	mu      sync.Mutex
	pending *visit // nil without one
}

// visit is one visit of the core.
type visit struct {
	done chan struct{}
	ok   bool // to be read when done is closed
}

// check reports whether the core answers in time.
func (p *probe) check(s *Server, patience time.Duration) bool {
	v := p.join(s)
	if v == nil {
		return false
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-v.done:
		return v.ok
	case <-timer.C:
		return false
	}
}

// join returns the visit under way, or begins one; nil if the server is stopping. Its goroutine ends when the core answers
// or stops; Shutdown waits for it.
func (p *probe) join(s *Server) *visit {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pending != nil {
		return p.pending
	}
	if !s.begin() {
		return nil
	}
	v := &visit{done: make(chan struct{})}
	p.pending = v
	go func() {
		defer s.tasks.Done()
		_, v.ok = s.service.Snapshot()
		p.mu.Lock()
		p.pending = nil
		p.mu.Unlock()
		close(v.done)
	}()
	return v
}
