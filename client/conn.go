package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// conn is one connection after its handshake. At most one goroutine reads and at most one writes at a time. Close may
// be called from any goroutine; it ends both.
type conn struct {
	net.Conn
	addr     string
	nodes    *nodes
	left     atomic.Bool // set by leave, in any goroutine
	replies  *replyReader
	version  int      // RESP version: 2 or 3
	hasSeq   bool     // messages and replies to PUBLISH carry sequence numbers
	epoch    string   // of the sequence numbers; each start of the server has a new one
	earlier  []string // epochs whose sequence goes on in this one
	lastSeq  uint64   // of the server, at the handshake
	keeps    bool     // the server keeps messages, so that a subscription can start in the past
	complete bool     // all messages up to lastSeq have arrived, so far as the last reply to HELLO shows
	notConch bool     // sequence numbers were requested, and the server is not conch

	closeReason error // sent by the server before it closed the connection; owned by the reading goroutine

	pings pingReader
}

// pingReader reads from the socket and watches for silence. It sits below the replyReader, so a deadline in the middle
// of a reply loses none of its bytes.
type pingReader struct {
	net.Conn
	idle time.Duration // silence before a PING
	// sendPing runs on the reading goroutine after each idle time. It sends a PING, or nothing if none may be sent now.
	// The owner of the conn sets it before the first read; nil disables the watch.
	sendPing func() error
	// extendDeadline runs after a deadline if sendPing is nil. It reports whether it has set a new deadline.
	extendDeadline func() bool
}

// Read fails with ErrPingTimeout if nothing arrives for twice the idle time.
func (r *pingReader) Read(b []byte) (int, error) {
	if r.sendPing == nil || r.idle <= 0 {
		n, err := r.Conn.Read(b)
		for timedOut(n, err) && r.extendDeadline != nil && r.extendDeadline() {
			n, err = r.Conn.Read(b)
		}
		return n, err //nolint:wrapcheck // a reader returns the error of the socket as it is
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

// readAfterStall reads once more for as long as the deadline was noticed too late. A stopped process misses its
// deadline, and the reply to the PING may already be in the socket.
func (r *pingReader) readAfterStall(b []byte, late time.Duration) (int, error) {
	if late > 0 {
		if n, err := r.readWithin(b, min(late, r.idle)); !timedOut(n, err) {
			return n, err
		}
	}
	return 0, ErrPingTimeout
}

func (r *pingReader) readWithin(b []byte, d time.Duration) (int, error) {
	_ = r.SetReadDeadline(time.Now().Add(d)) // fails on a dead socket, as the read then does
	return r.Conn.Read(b)                    //nolint:wrapcheck // a reader returns the error of the socket as it is
}

// timedOut reports whether a read ended with its deadline and without data.
func timedOut(n int, err error) bool { return n == 0 && errors.Is(err, os.ErrDeadlineExceeded) }

// dialAddress connects to one address and performs the handshake: HELLO 3, or AUTH on servers without HELLO. The options
// have their defaults. The caller closes the conn; ctx bounds dialing only.
func (o *Options) dialAddress(ctx context.Context, addr string) (*conn, error) {
	timeout := fmt.Errorf("no reply within %s (Options.DialTimeout): %w", o.DialTimeout, context.DeadlineExceeded)
	ctx, cancel := context.WithTimeoutCause(ctx, o.DialTimeout, timeout)
	defer cancel()
	network, target := dialTarget(addr)
	sock, err := o.Dialer(ctx, network, target)
	if err != nil {
		return nil, fmt.Errorf("cannot connect to %s: %w", addr, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = sock.Close() }) // ends all reads and writes of the handshake
	c, err := o.handshake(ctx, sock, addr)
	if !stop() && err == nil {
		err = context.Cause(ctx) // ctx ended at the same moment
	}
	if err != nil {
		_ = sock.Close() // err matters more than the error of Close
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return nil, fmt.Errorf("handshake with %s: %w", addr, err)
	}
	return c, nil
}

// handshake turns a socket into a conn.
func (o *Options) handshake(ctx context.Context, sock net.Conn, addr string) (*conn, error) {
	if o.TLS != nil {
		config := o.TLS.Clone()
		if config.ServerName == "" {
			config.ServerName = serverName(addr)
		}
		secured := tls.Client(sock, config)
		if err := secured.HandshakeContext(ctx); err != nil {
			return nil, fmt.Errorf("TLS: %w", err)
		}
		sock = secured
	}
	c := &conn{Conn: sock, addr: addr, nodes: o.nodes}
	c.pings = pingReader{Conn: sock, idle: o.PingAfter}
	c.replies = newReplyReader(&c.pings, o.MaxMessage)
	if err := c.hello(o.Username, o.Password); err != nil {
		return nil, err
	}
	return c, c.negotiate(o.Sequences)
}

// hello negotiates the RESP version and authenticates.
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
		return c.do("AUTH", password) // servers before Redis 6 have no user names
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

// negotiate sends the library name, which any server may refuse, and enables sequence numbers. Of several servers, one that
// is not ready shows that by its reply to a PING.
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
	if c.nodes.several() {
		command = appendCommand(command, "PING")
		handlers = append(handlers, nil)
	}
	if _, err := c.Write(command); err != nil {
		return fmt.Errorf("cannot write: %w", err)
	}
	forbidden := false
	for i, handle := range handlers {
		var serverErr *Error
		if err := c.readReply(handle); err != nil && (!errors.As(err, &serverErr) || isUnready(err)) {
			return err
		}
		// NOPERM does not rule out conch: other servers answer that the subcommand is unknown.
		forbidden = forbidden || sequences && i == 1 && serverErr != nil && serverErr.Code == CodeNoPerm
	}
	c.notConch = sequences && !c.hasSeq && !forbidden
	return nil
}

// readPosition reads epoch and sequence from the reply to HELLO. It reports false for a server that accepts CLIENT CAPA
// but has no epoch.
func (c *conn) readPosition(r *reply) bool {
	var seq int64
	c.complete, c.keeps = false, false
	for i := 0; i+1 < len(r.elements); i += 2 {
		switch value := &r.elements[i+1]; {
		case r.elements[i].isText("epoch"):
			c.epoch = string(value.bytes)
		case r.elements[i].isText("earlier"):
			c.earlier = nil
			for j := range value.elements {
				c.earlier = append(c.earlier, string(value.elements[j].bytes))
			}
		case r.elements[i].isText("sequence"):
			seq = value.integer
		case r.elements[i].isText("recent"), r.elements[i].isText("durable"):
			c.keeps = c.keeps || value.integer > 0
		case r.elements[i].isText("replaying"):
			c.complete = value.isCount() && value.integer == 0
		}
	}
	c.lastSeq = uint64(max(0, seq))
	return c.epoch != ""
}

// continues reports whether the sequence of an epoch is that of this connection, or goes on in it.
func (c *conn) continues(epoch string) bool {
	return epoch == c.epoch || slices.Contains(c.earlier, epoch)
}

// setTimeout bounds all reads and writes from now on; 0 removes the bound.
func (c *conn) setTimeout(d time.Duration) {
	var deadline time.Time
	if d > 0 {
		deadline = time.Now().Add(d)
	}
	_ = c.SetDeadline(deadline) // fails on a dead socket, as the next call then does
}

// do sends a command and waits for the reply. It returns an error reply as *Error.
func (c *conn) do(args ...string) error {
	if _, err := c.Write(appendCommand(nil, args...)); err != nil {
		return fmt.Errorf("cannot write: %w", err)
	}
	return c.readReply(nil)
}

// readReply reads up to the first reply that is not a push. It returns an error reply as *Error and passes any other to
// handle, which may be nil.
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

// noteClosing keeps the reason of a push that announces the end of the connection. The next connection goes to the server
// that the push names, if any.
func (c *conn) noteClosing(push *reply) {
	if len(push.elements) < 3 || !push.elements[0].isText("closing") {
		return
	}
	reason, text := &push.elements[1], push.elements[2].bytes
	c.closeReason = fmt.Errorf("%w: %s: %s", ErrClosedByServer, reason.bytes, text)
	if reason.isText("taken_over") {
		c.closeReason = fmt.Errorf("%w: %w: %s", ErrClosedByServer, ErrTakenOver, text)
	}
	for _, field := range push.elements[3:] {
		if addr, ok := strings.CutPrefix(string(field.bytes), "next="); ok && isHostPort(addr) && c.nodes != nil {
			c.leave() // the named one may fail
			c.nodes.directTo(addr)
		}
	}
}

// readError explains why reading ended. The reason that the server sent takes precedence over the error of the socket.
func (c *conn) readError(err error) error {
	switch {
	case c.closeReason != nil:
		return c.closeReason
	case errors.Is(err, io.EOF):
		return fmt.Errorf("the server closed the connection: %w", err)
	}
	return fmt.Errorf("the connection is lost: %w", err)
}
