package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// wire is a connection that speaks RESP2.
type wire struct {
	sock net.Conn
	in   *bufio.Reader
}

func dialRESP(address string) (*wire, error) {
	sock, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return nil, err
	}
	return &wire{sock, bufio.NewReaderSize(sock, 64<<10)}, nil
}

func (w *wire) close() { _ = w.sock.Close() } // all that matters of it is that the server sees it

// request sends a command, and returns the texts of its reply in a row.
func (w *wire) request(args ...string) ([]string, error) {
	if err := w.sock.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	if _, err := w.sock.Write(appendCommand(nil, args...)); err != nil {
		return nil, err
	}
	return w.reply(nil)
}

func appendCommand(b []byte, args ...string) []byte {
	b = fmt.Appendf(b, "*%d\r\n", len(args))
	for _, a := range args {
		b = fmt.Appendf(b, "$%d\r\n%s\r\n", len(a), a)
	}
	return b
}

// reply appends the texts of the next reply.
func (w *wire) reply(texts []string) ([]string, error) {
	line, err := w.in.ReadSlice('\n')
	if err != nil {
		return texts, err
	}
	if len(line) < 3 {
		return texts, errors.New("an empty line where a reply must start")
	}
	kind, rest := line[0], string(line[1:len(line)-2])
	switch kind {
	case '+', ':':
		return append(texts, rest), nil
	case '-':
		return texts, errors.New(rest)
	}
	n, err := strconv.Atoi(rest)
	switch {
	case err != nil || kind != '$' && kind != '*':
		return texts, fmt.Errorf("%q is no reply", line)
	case kind == '*':
		for range n {
			if texts, err = w.reply(texts); err != nil {
				return texts, err
			}
		}
		return texts, nil
	case n < 0:
		return append(texts, ""), nil
	}
	text := make([]byte, n+2)
	_, err = io.ReadFull(w.in, text)
	return append(texts, string(text[:n])), err
}

// form is how a publisher speaks.
type form int

const (
	publishForm form = iota // PUBLISH
	xaddForm                // XADD
	natsForm                // PUB, with a subject for the acknowledgement
)

// publisher is a connection that publishes to a topic of its own.
type publisher struct {
	form  form
	topic string
	sock  net.Conn
	in    *bufio.Reader
}

// newPublisher connects publisher number i of a load to one of the nodes in turn.
func newPublisher(g *group, f form, i int) (*publisher, error) {
	sock, err := net.DialTimeout("tcp", g.nodes[i%len(g.nodes)].address, patience)
	if err != nil {
		return nil, err
	}
	p := &publisher{form: f, topic: fmt.Sprintf("d.%d", i), sock: sock, in: bufio.NewReaderSize(sock, 64<<10)}
	if f == xaddForm {
		p.topic = fmt.Sprintf("s.%d", i)
	}
	if f == natsForm {
		_, err = fmt.Fprintf(sock, "CONNECT {\"verbose\":false,\"pedantic\":false}\r\nSUB %s 1\r\n", p.inbox())
	}
	return p, err
}

func (p *publisher) close() { _ = p.sock.Close() } // all that matters of it is that the server sees it

// inbox is the subject of its acknowledgements.
func (p *publisher) inbox() string {
	return "_INBOX." + p.topic[2:] + "." + p.sock.LocalAddr().String()[len("127.0.0.1:"):]
}

// command appends the bytes that publish one payload.
func (p *publisher) command(b []byte, payload string) []byte {
	switch p.form {
	case natsForm:
		return fmt.Appendf(b, "PUB %s %s %d\r\n%s\r\n", p.topic, p.inbox(), len(payload), payload)
	case xaddForm:
		return appendCommand(b, "XADD", p.topic, "*", "data", payload)
	}
	return appendCommand(b, "PUBLISH", p.topic, payload)
}

func (p *publisher) write(b []byte) error {
	if err := p.sock.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	_, err := p.sock.Write(b)
	return err
}

// acknowledged reads one acknowledgement. A refusal is an error.
func (p *publisher) acknowledged() error {
	for {
		line, err := p.in.ReadSlice('\n')
		if err != nil {
			return err
		}
		switch {
		case line[0] == '-':
			return fmt.Errorf("refused: %.200q", line)
		case p.form == publishForm && line[0] == ':':
			return nil
		case p.form == xaddForm && line[0] == '$':
			_, err := p.in.ReadSlice('\n')
			return err
		case p.form != natsForm:
			return fmt.Errorf("%.200q is no acknowledgement", line)
		case bytes.HasPrefix(line, []byte("PING")):
			if _, err := io.WriteString(p.sock, "PONG\r\n"); err != nil {
				return err
			}
		case bytes.HasPrefix(line, []byte("MSG ")):
			body, err := p.in.ReadSlice('\n')
			if err == nil && !bytes.Contains(body, []byte(`"seq"`)) {
				err = fmt.Errorf("refused: %.200q", body)
			}
			return err
		}
	}
}

// createStream has JetStream keep what the publishers send. A cluster that has just started may not answer.
func (g *group) createStream(ctx context.Context) error {
	const stream = `{"name":"S","subjects":["d.*"],"storage":"file","retention":"limits","max_consumers":-1,"max_msgs":-1,"max_bytes":-1,"num_replicas":3}`
	return until(ctx, func() error {
		sock, err := net.DialTimeout("tcp", g.nodes[0].address, time.Second)
		if err != nil {
			return err
		}
		defer sock.Close() //nolint:errcheck // nothing depends on it
		if err := sock.SetDeadline(time.Now().Add(3 * time.Second)); err != nil {
			return err
		}
		if _, err := fmt.Fprintf(sock, "CONNECT {\"verbose\":false}\r\nSUB _INBOX.s 1\r\nPUB $JS.API.STREAM.CREATE.S _INBOX.s %d\r\n%s\r\n", len(stream), stream); err != nil {
			return err
		}
		in := bufio.NewReader(sock)
		for {
			line, err := in.ReadString('\n')
			switch {
			case err != nil:
				return err
			case strings.Contains(line, `"error"`):
				return fmt.Errorf("JetStream: %.300q", line)
			case strings.Contains(line, "stream_create_response"):
				return nil
			}
		}
	})
}
