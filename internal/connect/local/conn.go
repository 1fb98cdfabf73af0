package local

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"strconv"
	"sync"
	"time"

	"github.com/conchmq/conch/internal/command"
	"github.com/conchmq/conch/internal/outbox"
	"github.com/conchmq/conch/protocol"
)

// errEnded is the error of a connection that conch has ended.
var errEnded = errors.New("conch ended the connection of a sink")

// conn is a connection to the core within the process, without a socket. It speaks RESP3 with sequence numbers, and acts as the broker.
//
// Its owner sends commands, and reads from the outbox at its own pace: it is the writer that a connection has otherwise. The reader
// goroutine is run.
type conn struct {
	command.Conn
	name     string
	requests chan []byte
	started  chan struct{} // holds one note at most: the owner is the writer from then on
	ended    chan struct{} // closed when the connection is about to end
	served   chan struct{} // closed when run has ended
	endOnce  sync.Once

	// direct has new entries of groups: see command.Conn.ReadDirectly.
	direct <-chan []command.DirectEntry

	// The owner's.

	rest      []byte // of a request, which run has not taken yet; run's
	in        *bufio.Reader
	queue     outbox.WriteQueue
	isWriting bool
	ctx       context.Context // of the call that reads
}

// open makes a connection with that address in CLIENT LIST. It reads as the connector, which another node of a cluster may take over.
func (b *Broker) open(name string) (*conn, error) {
	c := b.newConn(name)
	if err := c.ActAsConnector(); err != nil {
		return nil, err //nolint:wrapcheck // it says all
	}
	return c, b.add(c)
}

// openForAcks makes a connection that acknowledges. What the other side has is acknowledged by a node that no longer runs the connector, too.
func (b *Broker) openForAcks(name string) (*conn, error) {
	c := b.newConn(name)
	c.ActAsBroker()
	return c, b.add(c)
}

func (b *Broker) newConn(name string) *conn {
	c := &conn{
		name: name, requests: make(chan []byte), started: make(chan struct{}, 1), ended: make(chan struct{}), served: make(chan struct{}),
		ctx: context.Background(),
	}
	c.in = bufio.NewReaderSize(c, 64<<10)
	c.Init(b.service, c)
	c.SpeakRESP3()
	c.direct = c.ReadDirectly()
	c.Outbox().SetPolicy(outbox.DropOldest)
	return c
}

func (b *Broker) add(c *conn) error {
	if !b.service.Add(&c.Conn) {
		return errStopping
	}
	go c.run()
	return nil
}

// errStopping is the error of what starts while conch stops.
var errStopping = errors.New("conch stops")

// run is the reader goroutine, and the life of the connection.
func (c *conn) run() {
	defer close(c.served)
	c.End(c.serve())
	c.Reader.Leave()
	c.Finish()
}

// serve submits what the owner sends. A panic ends this connection alone.
func (c *conn) serve() (reason command.CloseReason) {
	defer func() {
		if p := recover(); p != nil {
			c.LogPanic(p)
			reason = command.CloseReasonPanic
		}
	}()
	return c.Reader.Serve(func() (*command.Batch, error) {
		if len(c.rest) == 0 {
			select {
			case c.rest = <-c.requests:
			case <-c.ended:
				return nil, io.EOF
			}
		}
		n := copy(c.Reader.Space(true), c.rest)
		c.rest = c.rest[n:]
		if b := c.Reader.Received(n); b != nil {
			return b, nil
		}
		return nil, io.EOF
	})
}

// close ends the connection, and waits for that. The owner calls it.
func (c *conn) close() {
	c.End(command.CloseReasonEOF)
	c.Outbox().Fail(&c.queue)
	c.End(command.CloseReasonEOF) // what fills replies notices that nothing is read any more
	<-c.served
}

// Read reads what the core has queued, and waits for some. An error ends the connection.
func (c *conn) Read(p []byte) (int, error) {
	for {
		if !c.queue.IsEmpty() {
			n := copy(p, c.queue.Piece(c.queue.First, c.queue.ChunkOffset))
			c.MarkWritten(&c.queue, n)
			return n, nil
		}
		if c.isWriting {
			if c.isWriting = c.Outbox().Dequeue(&c.queue, c); c.isWriting {
				continue
			}
		}
		select {
		case <-c.started:
			c.isWriting = true
		case <-c.ended:
			return 0, errEnded
		case <-c.ctx.Done():
			return 0, context.Cause(c.ctx)
		}
	}
}

// send sends a command.
func (c *conn) send(ctx context.Context, args ...string) error {
	b := protocol.AppendArray(nil, len(args))
	for _, arg := range args {
		b = protocol.AppendBulkString(b, arg)
	}
	select {
	case c.requests <- b:
		return nil
	case <-c.ended:
		return errEnded
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// do sends a command, and returns its reply. An error reply is a refusal.
func (c *conn) do(ctx context.Context, args ...string) (any, error) {
	if err := c.send(ctx, args...); err != nil {
		return nil, err
	}
	return c.value(ctx)
}

// refusal is an error reply.
type refusal struct{ text string }

func (r *refusal) Error() string { return r.text }

// value reads one reply or push: an int64, text as []byte, a list as []any, a map as a list of keys and values, or nil.
func (c *conn) value(ctx context.Context) (any, error) {
	c.ctx = ctx
	kind, n, text, err := c.head()
	switch {
	case err != nil:
		return nil, err
	case kind == '-':
		return nil, &refusal{text}
	case kind == '_' || n < 0 && kind != ':':
		return nil, nil
	case kind == ':':
		return n, nil
	case kind == '$' || kind == '=':
		b := make([]byte, n+2)
		if _, err := io.ReadFull(c.in, b); err != nil {
			return nil, err //nolint:wrapcheck // it is Read's
		}
		return b[:n], nil
	case kind == '*' || kind == '>' || kind == '~' || kind == '%':
		if kind == '%' {
			n *= 2
		}
		list := make([]any, n)
		for i := range list {
			if list[i], err = c.value(ctx); err != nil {
				return nil, err
			}
		}
		if kind == '>' && n > 0 && string(asText(list[0])) == "closing" {
			return nil, errEnded // no reply to what was sent: none follows
		}
		return list, nil
	}
	return []byte(text), nil
}

// length reads the beginning of a list or a map, and returns how many elements it has; 0 if there is none.
func (c *conn) length(ctx context.Context) (int, error) {
	c.ctx = ctx
	kind, n, text, err := c.head()
	if err == nil && kind == '-' {
		err = &refusal{text}
	}
	if err == nil && kind == '>' {
		err = errEnded // a close notice, the one push that a conn without subscriptions gets
	}
	return int(max(0, n)), err
}

// entries reads the beginning of the entries of a stream: how many there are, and whether they follow directly.
func (c *conn) entries(ctx context.Context) (n int, isDirect bool, err error) {
	c.ctx = ctx
	kind, length, _, err := c.head()
	return int(max(0, length)), kind == ':', err
}

// next returns the next of the entries that follow directly.
func (c *conn) next(ctx context.Context) ([]command.DirectEntry, error) {
	select {
	case some := <-c.direct:
		return some, nil
	case <-c.ended:
		return nil, errEnded
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// head reads the first line of a value. The text is empty where there is a number.
func (c *conn) head() (kind byte, n int64, text string, err error) {
	line, err := c.in.ReadSlice('\n')
	if err != nil {
		return 0, 0, "", err //nolint:wrapcheck // it is Read's, or a defect of conch: a line that is larger than the buffer
	}
	kind, line = line[0], bytes.TrimSuffix(line[1:], []byte("\r\n"))
	switch kind {
	case '+', '-', '_', '#', ',', '(':
		return kind, 0, string(line), nil
	}
	if n, err = strconv.ParseInt(string(line), 10, 64); err != nil {
		return 0, 0, "", err //nolint:wrapcheck // a defect of conch
	}
	return kind, n, "", nil
}

// Addresses name the connector.
func (c *conn) Addresses() (remote, local command.Address) {
	a := command.Address{Text: c.name}
	return a, a
}

// Descriptor is -1: there is no socket.
func (c *conn) Descriptor() int { return -1 }

// StartWriter has the owner write. The core calls it, and only while there is none.
func (c *conn) StartWriter() {
	select {
	case c.started <- struct{}{}:
	default: // a note of before the outbox had failed
	}
}

// Interrupt ends the connection. Any goroutine may call it.
func (c *conn) Interrupt() { c.endOnce.Do(func() { close(c.ended) }) }

// SetWriteDeadline does nothing: a sink may take as long as it likes, and what waits for it is bounded.
func (c *conn) SetWriteDeadline(time.Time) error { return nil }

// Close ends the connection.
func (c *conn) Close() error {
	c.Interrupt()
	return nil
}
