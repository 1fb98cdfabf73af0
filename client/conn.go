package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"
)

// conn is one connection that has been greeted. Reading and writing are its owner's business: one goroutine at a time
// each. Close may be called from anywhere, and ends both.
type conn struct {
	net.Conn
	replies  *replyReader
	version  int    // of RESP: 2 or 3
	hasSeq   bool   // messages and replies to PUBLISH carry numbers
	epoch    string // that numbers belong to: they begin anew with each start of the server
	lastSeq  uint64 // the last one given before the greeting was answered
	notConch bool   // it was asked for numbers, and is no conch

	closeReason error // what the server said before it ended the connection; the reading goroutine's

	pings pingReader
}

// pingReader is what replies are read from: the socket, with a watch over how long it says nothing. It stands below the
// reader, so that what has come of a reply is not lost by looking at the time.
type pingReader struct {
	net.Conn
	idle time.Duration // of silence
	// sendPing is called then, by the goroutine that reads, and sends a PING, or does nothing where none may be sent now.
	// Set by the wire's owner before it reads; nil: silence means nothing.
	sendPing func() error
	// extendDeadline is called, where there is no ping, when a deadline has passed: true if it has set another one.
	extendDeadline func() bool
}

// Read fails with ErrPingTimeout when nothing has come for twice the time.
func (r *pingReader) Read(b []byte) (int, error) {
	if r.sendPing == nil || r.idle <= 0 {
		n, err := r.Conn.Read(b)
		for timedOut(n, err) && r.extendDeadline != nil && r.extendDeadline() {
			n, err = r.Conn.Read(b)
		}
		return n, err //nolint:wrapcheck // a reader passes on what it gets
	}
	for pinged := false; ; pinged = true {
		start := time.Now()
		n, err := r.readWithin(b, r.idle)
		if !timedOut(n, err) {
			return n, err
		}
		if pinged {
			return r.readAfterStall(b, time.Since(start)-r.idle)
		}
		if err := r.sendPing(); err != nil {
			return 0, err
		}
	}
}

// readAfterStall gives back the time by which a deadline was noticed too late, because the process stood still: the
// answer to the PING may have been there for long. Otherwise the server is silent.
func (r *pingReader) readAfterStall(b []byte, late time.Duration) (int, error) {
	if late > 0 {
		if n, err := r.readWithin(b, min(late, r.idle)); !timedOut(n, err) {
			return n, err
		}
	}
	return 0, ErrPingTimeout
}

func (r *pingReader) readWithin(b []byte, d time.Duration) (int, error) {
	_ = r.SetReadDeadline(time.Now().Add(d)) // fails on a dead socket, and so will reading
	return r.Conn.Read(b)                    //nolint:wrapcheck // a reader passes on what it gets
}

// timedOut tells whether reading ended with its deadline.
func timedOut(n int, err error) bool { return n == 0 && errors.Is(err, os.ErrDeadlineExceeded) }

// dial connects, and greets the server: HELLO 3, or AUTH where that is unknown. o has its defaults. The wire is the
// caller's to close; ctx bounds dialing alone.
func (o *Options) dial(ctx context.Context) (*conn, error) {
	timeout := fmt.Errorf("no reply within %s (Options.DialTimeout): %w", o.DialTimeout, context.DeadlineExceeded)
	ctx, cancel := context.WithTimeoutCause(ctx, o.DialTimeout, timeout)
	defer cancel()
	network, addr := o.dialTarget()
	sock, err := o.Dialer(ctx, network, addr)
	if err != nil {
		return nil, fmt.Errorf("cannot connect to %s: %w", o.Addr, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = sock.Close() }) // ends whatever it waits for
	c, err := o.handshake(ctx, sock)
	if !stop() && err == nil {
		err = context.Cause(ctx) // just now
	}
	if err != nil {
		_ = sock.Close() // why tells more than this could
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return nil, fmt.Errorf("handshake with %s: %w", o.Addr, err)
	}
	return c, nil
}

// handshake makes a wire of a socket.
func (o *Options) handshake(ctx context.Context, sock net.Conn) (*conn, error) {
	if o.TLS != nil {
		config := o.TLS.Clone()
		if config.ServerName == "" {
			config.ServerName = o.serverName()
		}
		secured := tls.Client(sock, config)
		if err := secured.HandshakeContext(ctx); err != nil {
			return nil, fmt.Errorf("TLS: %w", err)
		}
		sock = secured
	}
	c := &conn{Conn: sock}
	c.pings = pingReader{Conn: sock, idle: o.PingAfter}
	c.replies = newReplyReader(&c.pings, o.MaxMessage)
	if err := c.hello(o.Username, o.Password); err != nil {
		return nil, err
	}
	return c, c.negotiate(o.Sequences)
}

// hello agrees on a version of RESP, and says who we are.
func (c *conn) hello(username, password string) error {
	command := []string{"HELLO", "3"}
	authenticate := username != "" || password != ""
	if authenticate {
		command = append(command, "AUTH", defaultUser(username), password)
	}
	var serverErr *Error
	err := c.do(command...)
	switch {
	case err == nil:
		c.version = 3
		return nil
	case !errors.As(err, &serverErr) || serverErr.Code != CodeNoProto && !strings.HasPrefix(serverErr.Text, "unknown command"):
		return err
	}
	c.version = 2
	switch {
	case !authenticate:
		return nil
	case username == "":
		return c.do("AUTH", password) // all that servers before Redis 6 understand
	default:
		return c.do("AUTH", username, password)
	}
}

func defaultUser(name string) string {
	if name == "" {
		return "default"
	}
	return name
}

// negotiate says what we are, which any server may refuse, and asks for numbers.
func (c *conn) negotiate(sequences bool) error {
	command := appendCommand(nil, "CLIENT", "SETINFO", "LIB-NAME", "conch-go")
	handlers := []func(*reply){nil}
	accepted := false
	if sequences && c.version == 3 {
		command = appendCommand(command, "CLIENT", "CAPA", "seq")
		handlers = append(handlers, func(*reply) { accepted = true })
		command = appendCommand(command, "HELLO")
		handlers = append(handlers, func(r *reply) { c.hasSeq = accepted && c.readPosition(r) })
	}
	if _, err := c.Write(command); err != nil {
		return fmt.Errorf("cannot write: %w", err)
	}
	forbidden := false
	for i, handle := range handlers {
		var serverErr *Error
		if err := c.readReply(handle); err != nil && !errors.As(err, &serverErr) {
			return err
		}
		// Who may not say CLIENT CAPA may be a user of conch all the same: others do not know it.
		forbidden = forbidden || i == 1 && serverErr != nil && serverErr.Code == CodeNoPerm
	}
	c.notConch = sequences && !c.hasSeq && !forbidden
	return nil
}

// readPosition finds epoch and number in the answer to HELLO. A server that takes CLIENT CAPA for a promise of something
// else has none.
func (c *conn) readPosition(r *reply) bool {
	var seq int64
	for i := 0; i+1 < len(r.elements); i += 2 {
		switch value := &r.elements[i+1]; {
		case r.elements[i].isText("epoch"):
			c.epoch = string(value.bytes)
		case r.elements[i].isText("number"):
			seq = value.integer
		}
	}
	c.lastSeq = uint64(max(0, seq))
	return c.epoch != ""
}

// setTimeout bounds everything that is done on the wire from now on; 0 lifts the bound.
func (c *conn) setTimeout(d time.Duration) {
	var deadline time.Time
	if d > 0 {
		deadline = time.Now().Add(d)
	}
	_ = c.SetDeadline(deadline) // fails on a dead socket, and so will what comes next
}

// do sends a command and waits for the answer, of which it returns what is an error.
func (c *conn) do(args ...string) error {
	if _, err := c.Write(appendCommand(nil, args...)); err != nil {
		return fmt.Errorf("cannot write: %w", err)
	}
	return c.readReply(nil)
}

// readReply reads replies up to the first that is no push. An error is returned as *Error; anything else goes to take, if
// that is not nil.
func (c *conn) readReply(handle func(*reply)) error {
	for {
		r, err := c.replies.read()
		switch {
		case err != nil:
			return fmt.Errorf("no reply: %w", err)
		case r.kind == kindPush:
			c.noteClosing(&r)
			continue
		case r.kind == kindError:
			return newError(r.bytes)
		case handle != nil:
			handle(&r)
		}
		return nil
	}
}

// noteClosing notes it when a push says why the server is about to end the connection.
func (c *conn) noteClosing(push *reply) {
	if len(push.elements) == 3 && push.elements[0].isText("closing") {
		c.closeReason = fmt.Errorf("%w: %s: %s", ErrClosedByServer, push.elements[1].bytes, push.elements[2].bytes)
	}
}

// readError is why reading ended: what the server said before tells more than that it closed.
func (c *conn) readError(err error) error {
	switch {
	case c.closeReason != nil:
		return c.closeReason
	case errors.Is(err, io.EOF):
		return fmt.Errorf("the server closed the connection: %w", err)
	}
	return fmt.Errorf("the connection is lost: %w", err)
}
