package bench

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"time"
)

// Read buffers: large ones mean fewer reads, but those of all subscribers together are to stay small.
const (
	maxReadBuffer  = 256 << 10
	minReadBuffer  = 16 << 10
	allReadBuffers = 64 << 20
)

// subscriber is one subscribed connection and what it has got. Its goroutine, in read, owns all but the atomics.
type subscriber struct {
	*parser
	number     int
	sock       net.Conn
	prefetched []byte // read while it subscribed
	row        []cell // of the window
	last       atomic.Int64
	missed     atomic.Int64 // parser.lost, for others to see
	missedHere atomic.Int64 // parser.lostMeasured
	_          [64]byte
}

// read takes messages until the socket ends. Only the end of the run is no error.
func (s *subscriber) read(r *run) error {
	buf := make([]byte, max(minReadBuffer, min(maxReadBuffer, allReadBuffers/r.load.Subscribers)))
	have := copy(buf, s.prefetched)
	for {
		n, err := s.sock.Read(buf[have:])
		now := r.now()
		if err != nil {
			return fmt.Errorf("subscriber %d: %w", s.number, closedBy(err))
		}
		have += n
		used, err := s.parse(buf[:have])
		r.latencies.add(s.number, s.times, now)
		s.report(r.window, now)
		if err != nil {
			return fmt.Errorf("subscriber %d: %w", s.number, err)
		}
		if s.pings > 0 {
			if err := s.pong(); err != nil {
				return err
			}
		}
		have = copy(buf, buf[used:have])
	}
}

// report says how far the subscriber is.
func (s *subscriber) report(w *window, now time.Duration) {
	s.last.Store(int64(now)) // before the window: who is woken looks at it
	if s.lost != s.missed.Load() {
		s.missed.Store(s.lost)
		s.missedHere.Store(s.lostMeasured)
	}
	for i := range s.from {
		if o := &s.from[i]; o.next != o.reported {
			o.reported = o.next
			w.report(s.row, i, o.next)
		}
	}
}

// pong answers the pings of a NATS server.
func (s *subscriber) pong() error {
	for ; s.pings > 0; s.pings-- {
		if _, err := io.WriteString(s.sock, "PONG\r\n"); err != nil {
			return fmt.Errorf("subscriber %d: %w", s.number, closedBy(err))
		}
	}
	return nil
}

// closedBy says in plain words that the server has gone away.
func closedBy(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
		return fmt.Errorf("the server closed the connection (%w); if it was too slow for the server, lower --in-flight", err)
	}
	return err
}
