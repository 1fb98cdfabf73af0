package sockwriter

import (
	"errors"
	"runtime"
	"sync"
	"syscall"

	"github.com/conchmq/conch/internal/command"
)

const (
	// maxSharedWrite is how much a shared writer writes to one connection in turn. With more to write, the connection
	// gets a writer of its own, so that others do not wait for it.
	maxSharedWrite = 32 << 10
	// connsPerWriter is how many connections wait for each shared writer before another one starts.
	connsPerWriter = 32
	// connsPerTake is how many connections a shared writer takes with one lock.
	connsPerTake = 16
	// shortWrite is up to how much a connection has to write to come before others, shortPerTake how many of these a shared writer takes
	// before one that has more. A reply would wait behind a message to 5,000 subscribers: for as long as 5,000 writes take.
	shortWrite   = 1 << 10
	shortPerTake = 12
)

// SharedWriters are the goroutines that write for all connections of their owner. They exist while connections wait,
// and do not wait for a socket: one that is full gets a goroutine of its own, and so does TLS.
//
// A goroutine for each burst of each connection cost nearly twice the CPU time where 100 topics have ten subscribers
// each. Frames that wait for a shared writer become fewer writes (decision 024).
type SharedWriters struct {
	service *command.Service
	tasks   *sync.WaitGroup // of the owner, which waits for them
	most    int             // how many there are at once
	start   func()          // run: a go statement with a method would allocate

	mu      sync.Mutex   // guards the fields below, and Writing.next
	short   waitingConns // those that have little to write
	long    waitingConns
	waiting int
	running int
}

// waitingConns are connections that wait for a shared writer, in their order.
type waitingConns struct{ first, last *Writing }

func (l *waitingConns) add(c *Writing) {
	if l.last == nil {
		l.first = c
	} else {
		l.last.next = c
	}
	l.last = c
}

func (l *waitingConns) take() *Writing {
	c := l.first
	if l.first, c.next = c.next, nil; l.first == nil {
		l.last = nil
	}
	return c
}

// Init comes before all other calls. The owner waits for tasks when all connections are closed.
//
// The core and the readers need processors too: with two, a second shared writer took a third of the throughput.
func (s *SharedWriters) Init(service *command.Service, tasks *sync.WaitGroup) {
	s.service = service
	s.tasks, s.most, s.start = tasks, max(1, runtime.NumCPU()/2), s.run
}

// add queues a connection with so many bytes to write, and starts a shared writer if there are too few. The connection's own task runs until it
// is written, so Shutdown waits for the writer too.
func (s *SharedWriters) add(c *Writing, bytes int64) {
	s.mu.Lock()
	if bytes <= shortWrite {
		s.short.add(c)
	} else {
		s.long.add(c)
	}
	s.waiting++
	more := s.running < s.most && s.waiting > s.running*connsPerWriter
	if more {
		s.running++
	}
	s.mu.Unlock()
	if more {
		s.tasks.Add(1)
		go s.start()
	}
}

// take moves the next connections into conns, and returns their number. A shared writer ends with 0.
func (s *SharedWriters) take(conns *[connsPerTake]*Writing) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for ; n < connsPerTake && s.waiting > 0; n++ {
		from := &s.long
		if from.first == nil || s.short.first != nil && n < shortPerTake {
			from = &s.short
		}
		conns[n] = from.take()
		s.waiting--
	}
	if n == 0 {
		s.running--
	}
	return n
}

// run is a shared writer. It lets all others run between two takes: what readers and the core do meanwhile makes the
// next writes longer, and fewer.
func (s *SharedWriters) run() {
	defer s.tasks.Done()
	w := newWriter(nil)
	var conns [connsPerTake]*Writing
	for n := s.take(&conns); n > 0; n = s.take(&conns) {
		for i, c := range conns[:n] {
			conns[i], w.Writing = nil, c
			if !w.runWithoutWaiting() {
				go w.run()
				w = newWriter(nil)
			}
		}
		runtime.Gosched()
	}
	w.recycle()
}

// runWithoutWaiting is run for a shared writer. It returns false if a goroutine of the connection must go on: for a
// full socket, for much to write, and for an evicted client.
func (w *writer) runWithoutWaiting() (done bool) {
	defer func() {
		if p := recover(); p != nil {
			w.endAfterPanic(p)
			done = true
		}
		if done {
			w.tasks.Done()
			w.Writing = nil
		}
	}()
	left := maxSharedWrite
	for w.conn.Outbox().Dequeue(&w.queue, w.sock) {
		for !w.queue.IsEmpty() {
			if left <= 0 || w.conn.Outbox().IsEvicted() && !w.queue.AtNotice() {
				return false
			}
			n, err := w.tryWrite(left)
			w.conn.MarkWritten(&w.queue, n)
			if left -= n; errors.Is(err, syscall.EAGAIN) {
				return false
			}
			if err != nil {
				w.fail(err)
				return true
			}
		}
	}
	return true
}

// tryWrite is one call to the kernel for at most size bytes, without waiting: syscall.EAGAIN if it takes none.
func (w *writer) tryWrite(size int) (int, error) {
	w.gather(size)
	err := w.rawConn.Control(w.try)
	w.clearIovecs()
	if err == nil {
		err = w.err
	}
	return w.n, err
}

// endAfterPanic ends the connection after a defect in its writer. The others go on.
func (w *writer) endAfterPanic(p any) {
	w.conn.LogPanic(p)
	w.conn.Outbox().Fail(&w.queue)
	w.conn.End(command.CloseReasonPanic)
	w.clearIovecs()
}
