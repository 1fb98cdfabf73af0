package web

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/conchmq/conch/internal/command"
	"github.com/conchmq/conch/internal/outbox"
	"github.com/conchmq/conch/protocol"
)

// conn is a connection in memory, on which a handler runs commands. A pipe carries it; its
// replies are RESP3, with sequence numbers.
//
// It has three goroutines besides the core: the handler, which owns replies and the client's end
// of the pipe, the reader, which is [conn.serve], and the writer.
type conn struct {
	command.Conn
	remote, local command.Address
	theirs        net.Conn // the handler's end
	ours          net.Conn
	replies       replyReader
	// body and answer are what the handler holds of the request and of its answer, in bytes; charged
	// is what the connection counts for. They are the handler's.
	body, answer, charged int
	slowTime              time.Duration
	isOpen                func() bool // see [command.Service.IsOpen]
	// ended is canceled when the connection is about to end: see Interrupt.
	ended   context.Context
	end     context.CancelFunc
	serving sync.WaitGroup
	writing sync.WaitGroup // the core adds; Wait comes after Leave, when it adds no more
}

// open makes a connection for the commands of a request, and authenticates it.
func (x *exchange) open() (*conn, error) {
	given, err := x.credentials()
	if err != nil {
		return nil, err
	}
	x.given = given
	end, err := x.startOpening()
	if err != nil {
		return nil, err
	}
	defer end()
	c := &conn{remote: x.remote, local: x.local, slowTime: x.server.service.Options().SlowTime, isOpen: x.server.service.IsOpen}
	c.theirs, c.ours = net.Pipe()
	c.replies.in, c.replies.grown = bufio.NewReader(c.theirs), c.charge
	c.ended, c.end = context.WithCancel(context.WithoutCancel(x.request.Context()))
	c.Init(x.server.service, c)
	c.SpeakRESP3()
	c.SetCertificateUser(given.certificate)
	if !x.server.service.Add(&c.Conn) {
		return nil, errStopping
	}
	x.server.service.Counts.Accepted.Add(1)
	c.Log(zerolog.DebugLevel).Stringer("peer", c.Peer()).Str("method", x.request.Method).Msg("connected")
	c.serving.Go(c.serve)
	for _, args := range given.commands() {
		if _, err := c.do(args...); err != nil {
			c.close()
			return nil, err
		}
	}
	if !given.given && !c.isAuthenticated(&given) {
		c.close()
		return nil, &problem{Status: http.StatusUnauthorized, Code: string(protocol.CodeNoAuth), Detail: "authentication required"}
	}
	return c, nil
}

// isAuthenticated reports whether a connection without a password has a user. A large command of
// one without would be a protocol error.
func (c *conn) isAuthenticated(given *credentials) bool {
	if given.certificate == "" {
		return c.isOpen()
	}
	_, err := c.do("PING") // which may be forbidden, to a user
	refused := (*errorReply)(nil)
	return !errors.As(err, &refused) || refused.code != string(protocol.CodeNoAuth)
}

// close ends the connection and waits for its goroutines. What it has sent as whole commands
// takes effect all the same.
func (c *conn) close() {
	_ = c.theirs.Close() // a pipe closes without fail
	c.serving.Wait()
	c.ChargeTransport(0) // the connection may have ended before the body was read
	c.end()
}

// chargeStep is how much memory a handler may hold beyond what it counts for.
const chargeStep = 16 << 10

// charge counts what the handler holds for the request as memory of its connection.
func (c *conn) charge() {
	if held := c.body + c.replies.size + c.answer; held > c.charged+chargeStep || held < c.charged {
		c.charged = held
		c.ChargeTransport(held)
	}
}

// do runs one command and returns its reply. An error reply is the error.
func (c *conn) do(args ...string) (any, error) {
	if err := c.send(args...); err != nil {
		return nil, err
	}
	return c.receive()
}

// send sends a command. At most maxPipelined may be without a received reply: the connection
// reads no more while replies wait.
func (c *conn) send(args ...string) error {
	b := protocol.AppendArray(nil, len(args))
	for _, arg := range args {
		b = protocol.AppendBulkString(b, arg)
	}
	return c.write(b)
}

func (c *conn) write(b []byte) error {
	if _, err := c.theirs.Write(b); err != nil {
		return c.whyEnded()
	}
	return nil
}

// receive returns the next reply. An error reply is the error.
func (c *conn) receive() (any, error) {
	v, err := c.replies.next()
	return v, c.explain(err)
}

// receiveLength returns the length of the next reply, a list. Its values come by receive.
func (c *conn) receiveLength() (int, error) {
	n, err := c.replies.length()
	return n, c.explain(err)
}

// explain returns an error reply as it is, and for any other error why the connection ended.
func (c *conn) explain(err error) error {
	if refused := (*errorReply)(nil); err != nil && !errors.As(err, &refused) {
		return c.whyEnded()
	}
	return err
}

// whyEnded is the problem of a connection that ended before its reply.
func (c *conn) whyEnded() error {
	if reason := c.Reason(); reason != command.CloseReasonNone {
		return &problem{Status: http.StatusServiceUnavailable, Detail: "conch ended the connection of this request: " + reason.String()}
	}
	return errEnded
}

// serve is the reader goroutine, and the life of the connection.
func (c *conn) serve() {
	c.End(c.read())
	c.Reader.Leave()
	c.writing.Wait()
	_ = c.ours.Close()
	c.Finish()
}

// read reads and submits to the end. A panic ends this connection alone.
func (c *conn) read() (reason command.CloseReason) {
	defer func() {
		if p := recover(); p != nil {
			c.LogPanic(p)
			reason = command.CloseReasonPanic
		}
	}()
	return c.Reader.Serve(func() (*command.Batch, error) {
		n, err := c.ours.Read(c.Reader.Space(true))
		if b := c.Reader.Received(n); b != nil {
			return b, nil
		}
		if err == nil {
			err = io.EOF
		}
		return nil, err
	})
}

// writeOutbox is the writer goroutine. It ends when the outbox is empty.
func (c *conn) writeOutbox() {
	defer c.writing.Done()
	q := new(outbox.WriteQueue)
	for c.Outbox().Dequeue(q, c) {
		for q.First != nil {
			c.Outbox().RenewDeadline(c, c.slowTime)
			n, err := c.ours.Write(q.Piece(q.First, q.ChunkOffset))
			c.MarkWritten(q, n)
			if err != nil {
				c.Outbox().Fail(q)
				c.End(command.CloseReasonIOError)
				return
			}
		}
	}
}

// Addresses are those of the request's socket.
func (c *conn) Addresses() (remote, local command.Address) { return c.remote, c.local }

// Descriptor is -1: there is no socket.
func (c *conn) Descriptor() int { return -1 }

// StartWriter starts the writer. The core calls it, and only while there is none.
func (c *conn) StartWriter() {
	c.writing.Add(1)
	go c.writeOutbox()
}

// Interrupt ends a read in progress. Any goroutine may call it.
func (c *conn) Interrupt() {
	_ = c.ours.SetReadDeadline(time.Unix(1, 0)) // fails only on a closed pipe, where no read blocks
	c.end()
}

// SetWriteDeadline is that of the pipe.
func (c *conn) SetWriteDeadline(t time.Time) error { return c.ours.SetWriteDeadline(t) } //nolint:wrapcheck // as that of any socket

// Close closes the pipe at once.
func (c *conn) Close() error { return c.ours.Close() } //nolint:wrapcheck // as that of any socket
