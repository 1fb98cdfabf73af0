package websocket

import (
	"context"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"github.com/conchmq/conch/internal/connect"
)

const (
	queueBytes = 1 << 20
	silence    = 30 * time.Second // between two pings, and until an answer
)

// source reads the messages of a WebSocket, texts and bytes alike.
type source struct {
	*target
	limit int

	conn   *websocket.Conn
	queue  *connect.Queue
	cancel context.CancelCauseFunc
	// reading holds while the goroutine that reads waits for the other side, and not for room: an answer to a ping is read then alone.
	reading atomic.Bool
	tasks   sync.WaitGroup // the goroutines that read and that ping; Close waits for them
}

func newSource(a connect.Address) (connect.Source, error) {
	t, err := newTarget(&a)
	return &source{target: t, limit: a.Limit}, err
}

// Connect connects.
func (s *source) Connect(ctx context.Context, _ connect.Start) error {
	conn, err := s.dial(ctx)
	if err != nil {
		return err
	}
	conn.SetReadLimit(-1) // read bounds what it keeps
	running, cancel := context.WithCancelCause(context.Background())
	s.conn, s.queue, s.cancel = conn, connect.NewQueue(queueBytes), cancel
	queue := s.queue
	s.tasks.Go(func() {
		err := s.read(running, conn)
		queue.End(err)
		cancel(err)
	})
	s.tasks.Go(func() { s.ping(running, conn, cancel) })
	return nil
}

// read queues messages until the connection ends. Of one that is too large it keeps what shows that.
func (s *source) read(ctx context.Context, conn *websocket.Conn) error {
	for {
		s.reading.Store(true)
		_, from, err := conn.Reader(ctx)
		if err != nil {
			return err //nolint:wrapcheck // of the library, with its name
		}
		payload, err := io.ReadAll(io.LimitReader(from, int64(s.limit)+1))
		if err == nil {
			_, err = io.Copy(io.Discard, from)
		}
		if err != nil {
			return err //nolint:wrapcheck // of the library, with its name
		}
		s.reading.Store(false)
		if err := s.queue.Put(ctx, connect.Message{Payload: payload}); err != nil {
			return err //nolint:wrapcheck // the end of the connection
		}
	}
}

// ping ends a connection with a silent other side.
func (s *source) ping(ctx context.Context, conn *websocket.Conn, cancel context.CancelCauseFunc) {
	ticker := time.NewTicker(silence)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		if !s.reading.Load() {
			continue
		}
		bounded, end := context.WithTimeout(ctx, silence)
		err := conn.Ping(bounded)
		end()
		if err != nil && s.reading.Load() {
			cancel(err) // the read ends with it
			return
		}
	}
}

// Read takes what was read ahead.
func (s *source) Read(ctx context.Context) (connect.Batch, error) {
	taken, err := s.queue.Take(ctx)
	return connect.Batch{Messages: taken}, err //nolint:wrapcheck // of the connection, or of ctx
}

// Close ends the connection.
func (s *source) Close(context.Context) error {
	if s.conn == nil {
		return nil
	}
	s.cancel(context.Canceled)
	_ = s.conn.CloseNow() // the other side sees the end of the socket
	s.tasks.Wait()
	s.conn = nil
	return nil
}
