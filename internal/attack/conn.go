package attack

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

// conn is a connection of an attack. Run closes it at the end.
type conn struct {
	net.Conn
	t  *Target
	in *bufio.Reader
}

// dialUnauthenticated connects without AUTH.
func (t *Target) dialUnauthenticated() (*conn, error) {
	return t.dialAddress(t.Addr)
}

// dialAddress connects to a port of the server.
func (t *Target) dialAddress(address string) (*conn, error) {
	sock, err := new(net.Dialer).DialContext(t.ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return t.track(sock)
}

// track makes a socket one of the attack: Run closes it at the end.
func (t *Target) track(sock net.Conn) (*conn, error) {
	c := &conn{Conn: sock, t: t, in: bufio.NewReaderSize(sock, 4<<10)}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ctx.Err() != nil {
		_ = sock.Close() // the attack is over
		return nil, t.ctx.Err()
	}
	t.conns = append(t.conns, c)
	return c, nil
}

// dial connects as a user with all rights.
func (t *Target) dial() (*conn, error) {
	c, err := t.dialUnauthenticated()
	if err != nil || !t.needsPassword {
		return c, err
	}
	return c, c.request("AUTH", Password)
}

// dialSlow connects with a small receive buffer, sends text, and reads the replies. It reads nothing afterwards.
func (t *Target) dialSlow(text string, answers int) (*conn, error) {
	c, err := t.dial()
	if err != nil {
		return nil, err
	}
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		_ = tcp.SetReadBuffer(16 << 10) // on failure the kernel buffers more
	}
	if err := c.send(text); err != nil {
		return nil, err
	}
	return c, c.answers(answers)
}

// dialReader connects, sends text, and reads and discards everything from then on.
func (t *Target) dialReader(text string, answers int) (*conn, error) {
	c, err := t.dial()
	if err != nil {
		return nil, err
	}
	if err := errors.Join(c.send(text), c.answers(answers)); err != nil {
		return nil, err
	}
	c.discardAll()
	return c, nil
}

// dialIdle opens n idle connections and waits until the server has served each.
func (t *Target) dialIdle(n int) error {
	var conns []*conn
	for range n {
		c, err := t.dial()
		if err != nil {
			return err
		}
		if err := c.send(command("PING")); err != nil {
			return err
		}
		conns = append(conns, c)
	}
	for _, c := range conns {
		if err := c.answers(1); err != nil {
			return err
		}
	}
	return nil
}

func (t *Target) closeAll() {
	t.mu.Lock()
	conns := t.conns
	t.conns = nil
	t.mu.Unlock()
	for _, c := range conns {
		_ = c.Close() // closed in any case
	}
}

func (c *conn) send(text string) error {
	_, err := io.WriteString(c, text)
	return err
}

// discardAll reads and discards until the connection ends.
func (c *conn) discardAll() {
	c.t.readers.Go(func() { _, _ = io.Copy(io.Discard, c.in) }) // ends with the connection
}

// request sends one command and reads its reply, which must not be an error.
func (c *conn) request(args ...string) error {
	if err := c.send(command(args...)); err != nil {
		return err
	}
	return c.answers(1)
}

// answers reads n frames. An error frame is an error.
func (c *conn) answers(n int) error {
	for range n {
		if err := c.skipFrame(); err != nil {
			return err
		}
	}
	return nil
}

// skipFrame reads and discards one RESP value or one line.
func (c *conn) skipFrame() error {
	line, err := c.in.ReadSlice('\n')
	if err != nil {
		return err
	}
	head, kind := strings.TrimSpace(string(line)), line[0]
	switch kind {
	case '-':
		return fmt.Errorf("the server answers %.200s", head)
	case 'E':
		if strings.HasPrefix(head, "ERR ") {
			return fmt.Errorf("the server answers %.200s", head)
		}
	case '$', '=', '*', '~', '>', '%':
		n, err := strconv.Atoi(head[1:])
		if err != nil {
			return err
		}
		switch kind {
		case '$', '=':
			if n >= 0 {
				_, err = c.in.Discard(n + 2)
			}
			return err
		case '%':
			n *= 2
		}
		return c.answers(n)
	}
	return nil
}

// writeRepeatedly writes text repeatedly until ctx or the connection ends, or n bytes are written. A server that stops
// reading is no error. It returns the number of bytes written.
func (c *conn) writeRepeatedly(ctx context.Context, text string, n int) int {
	defer context.AfterFunc(ctx, func() { _ = c.SetWriteDeadline(time.Unix(1, 0)) })()
	sent := 0
	for sent < n && ctx.Err() == nil {
		m, err := io.WriteString(c, text)
		sent += m
		if err != nil {
			break
		}
	}
	return sent
}
