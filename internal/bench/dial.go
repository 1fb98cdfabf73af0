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

// patience is how long a server may take for a connection, or for an answer to what the generator needs to begin.
const patience = 30 * time.Second

// dial connects, and greets the server in its dialect.
func dial(ctx context.Context, address string, d Dialect) (*greeter, error) {
	dialer := net.Dialer{Timeout: patience}
	sock, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("cannot connect to %s: %w", address, err)
	}
	g := &greeter{Conn: sock, d: d, r: bufio.NewReader(sock)}
	g.keep = context.AfterFunc(ctx, func() { _ = sock.Close() }) // which ends whatever it waits for
	if err := g.greet(); err != nil {
		g.drop()
		return nil, fmt.Errorf("%s does not answer as a server of dialect %s: %w", address, d, err)
	}
	return g, nil
}

// greeter is a connection that is being set up. Afterwards it is a plain one. Until then it closes when the context
// that it was dialed with ends.
type greeter struct {
	net.Conn
	d    Dialect
	r    *bufio.Reader
	keep func() bool // ends that
}

// drop closes a connection that could not be set up. The error that tells why tells more than this one could.
func (g *greeter) drop() {
	g.keep()
	_ = g.Close()
}

func (g *greeter) greet() error {
	if err := g.SetDeadline(time.Now().Add(patience)); err != nil {
		return err //nolint:wrapcheck // a dead socket, named by the caller
	}
	if g.d == NATS {
		if err := g.expectLine("INFO "); err != nil {
			return err
		}
	}
	if _, err := io.WriteString(g, g.d.hello()); err != nil {
		return fmt.Errorf("cannot write: %w", err)
	}
	switch g.d {
	case RESP3:
		return g.value('%')
	case NATS:
		return g.expectLine("PONG")
	default:
		return nil
	}
}

// subscribe subscribes to all topics, and waits for the confirmations. It does so in pieces: neither side may have to
// hold what the other one does not read yet.
func (g *greeter) subscribe(topics []string) error {
	const piece = 500
	if g.d == Raw && len(topics) > 0 {
		topics = topics[:1] // they are all one to the relay
	}
	for before := 0; before < len(topics); before += piece {
		some := topics[before:min(before+piece, len(topics))]
		command, confirmation := g.d.subscribe(some, before)
		if _, err := io.WriteString(g, command); err != nil {
			return fmt.Errorf("cannot subscribe: %w", err)
		}
		if err := g.confirm(confirmation); err != nil {
			return fmt.Errorf("cannot subscribe: %w", err)
		}
	}
	return nil
}

// confirm reads what must come, byte for byte.
func (g *greeter) confirm(want string) error {
	if g.d == NATS {
		return g.expectLine(strings.TrimSpace(want))
	}
	for line := range strings.Lines(want) {
		if err := g.expectLine(strings.TrimRight(line, "\r\n")); err != nil {
			return err
		}
	}
	return nil
}

// expectLine reads a line that begins as it must.
func (g *greeter) expectLine(want string) error {
	line, err := g.line(want)
	switch text := strings.TrimRight(line, "\r\n"); {
	case errors.Is(err, io.EOF):
		return fmt.Errorf("it closed the connection where %q was due, having sent %q", want, text)
	case err != nil:
		return fmt.Errorf("no %q: %w", want, err)
	case strings.HasPrefix(text, "-"), strings.HasPrefix(text, "ERR "):
		return fmt.Errorf("the server says: %s", text)
	case !strings.HasPrefix(text, want):
		return fmt.Errorf("it sent %.80q where %q was due", text, want)
	}
	return nil
}

// line reads a line. A NATS server sends more INFO and PING at any time: the one is passed over, unless it is wanted,
// the other one answered.
func (g *greeter) line(want string) (string, error) {
	for {
		line, err := g.r.ReadString('\n')
		switch {
		case err != nil || g.d != NATS:
			return line, err //nolint:wrapcheck // the caller does
		case strings.TrimSpace(line) == "PING":
			if _, err := io.WriteString(g, "PONG\r\n"); err != nil {
				return line, err //nolint:wrapcheck // the caller does
			}
		case !strings.HasPrefix(line, "INFO ") || strings.HasPrefix(want, "INFO "):
			return line, nil
		}
	}
}

// value reads one RESP value of a kind, whatever it says.
func (g *greeter) value(kind byte) error {
	if first, err := g.r.Peek(1); err == nil && first[0] != kind {
		return g.expectLine(string(kind)) // which says what came
	}
	for values := 1; values > 0; values-- {
		line, err := g.r.ReadString('\n')
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
			if _, err := g.r.Discard(n + 2); err != nil {
				return fmt.Errorf("no answer: %w", err)
			}
		}
	}
	return nil
}

// done is the connection, and what has been read from it and belongs to what comes now.
func (g *greeter) done() (sock net.Conn, already []byte, err error) {
	already, err = g.r.Peek(g.r.Buffered())
	if !g.keep() && err == nil {
		err = net.ErrClosed // by the context, just now
	}
	if err == nil {
		err = g.SetDeadline(time.Time{})
	}
	return g.Conn, already, err //nolint:wrapcheck // neither can fail on a socket that is open
}
