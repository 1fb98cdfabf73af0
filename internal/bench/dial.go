package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// setupTimeout bounds the connect, and each wait for a reply before the load starts.
const setupTimeout = 30 * time.Second

// dial connects and completes the handshake of the dialect.
func (l *Load) dial(ctx context.Context) (*dialer, error) {
	connect := l.Dialer
	if connect == nil {
		connect = func(ctx context.Context) (net.Conn, error) {
			return (&net.Dialer{Timeout: setupTimeout}).DialContext(ctx, "tcp", l.Address)
		}
	}
	sock, err := connect(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot connect to %s: %w", l.Address, err)
	}
	c := &dialer{Conn: sock, dialect: l.Dialect, r: bufio.NewReader(sock)}
	c.stopClosing = context.AfterFunc(ctx, func() { _ = sock.Close() }) // ends a pending read or write
	if err := c.handshake(l.Username, l.Password); err != nil {
		c.drop()
		return nil, fmt.Errorf("%s does not answer as a server of dialect %s: %w", l.Address, l.Dialect, err)
	}
	return c, nil
}

// dialer is a connection during setup. Until done it closes when the context of dial ends.
type dialer struct {
	net.Conn
	dialect     Dialect
	r           *bufio.Reader
	stopClosing func() bool // cancels closing by the context
}

// drop closes a connection after a failed setup. The caller returns the cause, so the error of Close is dropped.
func (c *dialer) drop() {
	c.stopClosing()
	_ = c.Close()
}

func (c *dialer) handshake(user, password string) error {
	if err := c.SetDeadline(time.Now().Add(setupTimeout)); err != nil {
		return err //nolint:wrapcheck // a dead socket, named by the caller
	}
	if c.dialect == NATS {
		if err := c.expectLine("INFO "); err != nil {
			return err
		}
	}
	auth := c.dialect.auth(user, password)
	if _, err := io.WriteString(c, auth+c.dialect.hello(user, password)); err != nil {
		return fmt.Errorf("cannot write: %w", err)
	}
	if auth != "" {
		if err := c.expectLine("+OK"); err != nil {
			return err
		}
	}
	switch c.dialect {
	case RESP3:
		return c.value('%')
	case NATS:
		return c.expectLine("PONG")
	default:
		return nil
	}
}

// subscribe subscribes to all topics and reads the confirmations. It sends them in pieces, so that neither side blocks on
// data that the other does not read yet.
func (c *dialer) subscribe(topics []string) error {
	const piece = 500
	if c.dialect == Raw && len(topics) > 0 {
		topics = topics[:1] // the relay has no topics
	}
	for before := 0; before < len(topics); before += piece {
		some := topics[before:min(before+piece, len(topics))]
		command, confirmation := c.dialect.subscribe(some, before)
		if _, err := io.WriteString(c, command); err != nil {
			return fmt.Errorf("cannot subscribe: %w", err)
		}
		if err := c.confirm(confirmation); err != nil {
			return fmt.Errorf("cannot subscribe: %w", err)
		}
	}
	return nil
}

// confirm reads the expected bytes.
func (c *dialer) confirm(want string) error {
	if c.dialect == NATS {
		return c.expectLine(strings.TrimSpace(want))
	}
	for line := range strings.Lines(want) {
		if err := c.expectLine(strings.TrimRight(line, "\r\n")); err != nil {
			return err
		}
	}
	return nil
}

// expectLine reads a line with the expected prefix.
func (c *dialer) expectLine(want string) error {
	line, err := c.line(want)
	switch text := strings.TrimRight(line, "\r\n"); {
	case errors.Is(err, io.EOF):
		return fmt.Errorf("it closed the connection where %q was due, having sent %q", want, text)
	case err != nil:
		return fmt.Errorf("no %q: %w", want, err)
	case strings.HasPrefix(text, "-"), strings.HasPrefix(text, "ERR "):
		return fmt.Errorf("the server replied: %s", text)
	case !strings.HasPrefix(text, want):
		return fmt.Errorf("it sent %.80q where %q was due", text, want)
	}
	return nil
}

// line reads a line. A NATS server sends INFO and PING at any time: line skips an unwanted INFO and answers PING.
func (c *dialer) line(want string) (string, error) {
	for {
		line, err := c.r.ReadString('\n')
		switch {
		case err != nil || c.dialect != NATS:
			return line, err //nolint:wrapcheck // the caller does
		case strings.TrimSpace(line) == "PING":
			if _, err := io.WriteString(c, "PONG\r\n"); err != nil {
				return line, err
			}
		case !strings.HasPrefix(line, "INFO ") || strings.HasPrefix(want, "INFO "):
			return line, nil
		}
	}
}

// value reads and discards one RESP value of a type.
func (c *dialer) value(kind byte) error {
	if first, err := c.r.Peek(1); err == nil && first[0] != kind {
		return c.expectLine(string(kind)) // returns an error with the line
	}
	for values := 1; values > 0; values-- {
		line, err := c.r.ReadString('\n')
		if err != nil {
			return fmt.Errorf("no answer: %w", err)
		}
		n, err := strconv.Atoi(strings.TrimSpace(line[1:]))
		switch {
		case err != nil || n < 0:
		case strings.IndexByte("*~>", line[0]) >= 0:
			values += n
		case line[0] == '%':
			values += 2 * n
		case line[0] == '$' || line[0] == '=':
			if _, err := c.r.Discard(n + 2); err != nil {
				return fmt.Errorf("no answer: %w", err)
			}
		}
	}
	return nil
}

// done ends the setup. It returns the connection and the bytes already read from it.
func (c *dialer) done() (sock net.Conn, already []byte, err error) {
	already, err = c.r.Peek(c.r.Buffered())
	if !c.stopClosing() && err == nil {
		err = net.ErrClosed // the context has ended
	}
	if err == nil {
		err = c.SetDeadline(time.Time{})
	}
	return c.Conn, already, err //nolint:wrapcheck // neither fails on an open socket
}
