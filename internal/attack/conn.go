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

// conn is a connection of an attack. It is closed when the attack is over.
type conn struct {
	net.Conn
	t  *Target
	in *bufio.Reader
}

// dialUnauthenticated connects and does not log in.
func (t *Target) dialUnauthenticated() (*conn, error) {
	sock, err := new(net.Dialer).DialContext(t.ctx, "tcp", t.Addr)
	if err != nil {
		return nil, err
	}
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

// dial connects as a user who may do everything.
func (t *Target) dial() (*conn, error) {
	c, err := t.dialUnauthenticated()
	if err != nil || !t.needsPassword {
		return c, err
	}
	return c, c.request("AUTH", Password)
}

// dialSlow connects a client of which the kernel takes little. It sends text and reads the answers to it, but nothing afterwards.
func (t *Target) dialSlow(text string, answers int) (*conn, error) {
	c, err := t.dial()
	if err != nil {
		return nil, err
	}
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		_ = tcp.SetReadBuffer(16 << 10) // should it fail, more waits in the kernel
	}
	if err := c.send(text); err != nil {
		return nil, err
	}
	return c, c.answers(answers)
}

// dialReader connects a client that sends text, and then reads all that comes.
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

// dialIdle connects n clients that do nothing, and waits until all are served.
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
		_ = c.Close() // nothing can be done about it
	}
}

func (c *conn) send(text string) error {
	_, err := io.WriteString(c, text)
	return err
}

// discardAll reads what comes until the connection ends.
func (c *conn) discardAll() {
	c.t.readers.Go(func() { _, _ = io.Copy(io.Discard, c.in) }) // its end is that of the connection
}

// request sends one command and waits for its answer, which must be no error.
func (c *conn) request(args ...string) error {
	if err := c.send(command(args...)); err != nil {
		return err
	}
	return c.answers(1)
}

// answers reads so many frames. An error among them is one.
func (c *conn) answers(n int) error {
	for range n {
		if err := c.skipFrame(); err != nil {
			return err
		}
	}
	return nil
}

// skipFrame reads one frame of RESP, or one line, and keeps nothing of it.
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

// writeRepeatedly writes text again and again until ctx ends, the connection does, or n bytes are written. It is no error that the
// server takes no more. It returns how many bytes it has taken.
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
