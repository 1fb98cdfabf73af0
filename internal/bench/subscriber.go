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

// Sizes of read buffers. Large ones need fewer reads; allReadBuffers bounds their sum.
const (
	maxReadBuffer  = 256 << 10
	minReadBuffer  = 16 << 10
	allReadBuffers = 64 << 20
)

// subscriber is one subscribed connection. The goroutine of read owns all fields except the atomics.
type subscriber struct {
	*parser
	number     int
	sock       net.Conn
	prefetched []byte // read during the subscribe
	row        []cell // of the window
	last       atomic.Int64
	missed     atomic.Int64 // copy of parser.lost for other goroutines
	missedHere atomic.Int64 // copy of parser.lostMeasured
	_          [64]byte
}

// read receives messages until the socket closes, which is an error except at the end of the run.
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

// report publishes the progress of the subscriber.
func (s *subscriber) report(w *window, now time.Duration) {
	s.last.Store(int64(now)) // before the window, because a woken publisher reads it
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

// pong replies to the pings of a NATS server.
func (s *subscriber) pong() error {
	for ; s.pings > 0; s.pings-- {
		if _, err := io.WriteString(s.sock, "PONG\r\n"); err != nil {
			return fmt.Errorf("subscriber %d: %w", s.number, closedBy(err))
		}
	}
	return nil
}

// closedBy rewords the errors of a connection that the server has closed.
func closedBy(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
		return fmt.Errorf("the server closed the connection (%w); if it was too slow for the server, lower --in-flight", err)
	}
	return err
}
