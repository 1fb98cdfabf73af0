package sockwriter

import (
	"sync"
	"syscall"
	"time"

	"github.com/conchmq/conch/internal/command"
)

// Sink is where a connection writes.
type Sink interface {
	Write(b []byte) (int, error)
	SetWriteDeadline(t time.Time) error
}

// Writing is the writer's side of one connection. At most one writer is at work.
type Writing struct {
	conn    *command.Conn
	writers *SharedWriters
	sock    Sink
	rawConn syscall.RawConn // nil for TLS, and where the sink has no descriptor
	tasks   sync.WaitGroup  // a writer at work. The core adds; Wait comes after Leave, when it adds no more

	next *Writing // of those that wait for a shared writer; writers.mu guards it
}

// Init comes before all other calls.
func (w *Writing) Init(conn *command.Conn, writers *SharedWriters) {
	w.conn, w.writers = conn, writers
}

// Attach sets where the connection writes, and what writes to it without waiting: nil where nothing may. It comes before
// Start and Resume.
func (w *Writing) Attach(to Sink, raw syscall.RawConn) { w.sock, w.rawConn = to, raw }

// Start has a writer write what the outbox holds. The core calls it, and only while there is none.
func (w *Writing) Start() {
	w.Hold()
	w.Resume()
}

// Hold counts a writer that cannot start yet: Resume starts it, or Release takes it back.
func (w *Writing) Hold() { w.tasks.Add(1) }

// Resume starts the writer of a Hold.
func (w *Writing) Resume() {
	bytes := w.conn.Outbox().WaitingBytes()
	if w.rawConn == nil || bytes > maxSharedWrite {
		go newWriter(w).run()
		return
	}
	w.writers.add(w, bytes)
}

// Release takes back a Hold.
func (w *Writing) Release() { w.tasks.Done() }

// Wait waits until no writer is at work. No Start or Hold may follow.
func (w *Writing) Wait() { w.tasks.Wait() }
