package websocket

import (
	"context"
	"io"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"

	"github.com/conchmq/conch/internal/connect"
)

// sink writes each message as one: UTF-8 as a text, all else as bytes.
type sink struct {
	*target
	conn  *websocket.Conn
	tasks sync.WaitGroup // the goroutine that reads; Close waits for it
}

func newSink(a connect.Address) (connect.Sink, error) {
	t, err := newTarget(&a)
	return &sink{target: t}, err
}

// Connect connects. What the other side sends is dropped.
func (s *sink) Connect(ctx context.Context) error {
	conn, err := s.dial(ctx)
	if err != nil {
		return err
	}
	s.conn = conn
	s.tasks.Go(func() { drop(conn) })
	return nil
}

// drop reads what comes until the connection ends: answers to pings are among it.
func drop(conn *websocket.Conn) {
	conn.SetReadLimit(-1) // nothing is kept
	for {
		_, from, err := conn.Reader(context.Background())
		if err == nil {
			_, err = io.Copy(io.Discard, from)
		}
		if err != nil {
			return
		}
	}
}

// Write writes a batch, and a ping: its answer shows that the other side has read all before it.
func (s *sink) Write(ctx context.Context, batch []connect.Message) error {
	for i := range batch {
		kind := websocket.MessageBinary
		if utf8.Valid(batch[i].Payload) {
			kind = websocket.MessageText
		}
		if err := s.conn.Write(ctx, kind, batch[i].Payload); err != nil {
			return err //nolint:wrapcheck // of the library, with its name
		}
	}
	ctx, end := context.WithTimeout(ctx, silence)
	defer end()
	return s.conn.Ping(ctx) //nolint:wrapcheck // of the library, with its name
}

// Close ends the connection. The other side gets a moment to answer.
func (s *sink) Close(context.Context) error {
	if s.conn == nil {
		return nil
	}
	done := time.AfterFunc(time.Second, func() { _ = s.conn.CloseNow() }) // its error is that of Close
	_ = s.conn.Close(websocket.StatusNormalClosure, "")                   // the other side may be gone
	done.Stop()
	s.tasks.Wait()
	s.conn = nil
	return nil
}
