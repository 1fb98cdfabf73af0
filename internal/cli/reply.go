package cli

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/conchmq/conch/client"
)

// dialServer connects to Addr, with TLS if the options have it.
func dialServer(ctx context.Context, o client.Options) (net.Conn, error) {
	network, address := "tcp", o.Addr
	if path, isUnix := strings.CutPrefix(address, "unix://"); isUnix {
		network, address = "unix", path
	}
	dialer := &net.Dialer{Timeout: dialTimeout}
	if o.TLS == nil {
		return dialer.DialContext(ctx, network, address) //nolint:wrapcheck // by the subcommand
	}
	return (&tls.Dialer{NetDialer: dialer, Config: o.TLS}).DialContext(ctx, network, address) //nolint:wrapcheck // as above
}

const dialTimeout = 10 * time.Second

// serverConn is a connection for single commands. Package client has no call for any command.
type serverConn struct {
	net.Conn
	addr string // as in the options
	r    *bufio.Reader
}

// connect connects to the first of the servers that is ready. The connection closes when ctx ends.
func connect(ctx context.Context, o client.Options) (*serverConn, error) {
	if len(o.Addresses) == 0 {
		return connectOne(ctx, o)
	}
	failures := make([]error, 0, len(o.Addresses))
	for _, addr := range o.Addresses {
		o.Addr = addr
		c, err := connectOne(ctx, o)
		if err == nil {
			if err = c.discard([]string{"PING"}); err == nil || isRefusal(err) && !isUnready(err) { // it may lack the right
				return c, nil
			}
			_ = c.Close() // another server is used
		}
		if ctx.Err() != nil || isRefusal(err) && !isUnready(err) {
			return nil, err
		}
		failures = append(failures, fmt.Errorf("%s: %w", addr, err))
	}
	return nil, noServer(failures)
}

// noServer has why each of several servers could not be used.
type noServer []error

// Error returns all reasons in one line.
func (e noServer) Error() string {
	texts := make([]string, len(e))
	for i, err := range e {
		texts[i] = err.Error()
	}
	return "no server of several can be used: " + strings.Join(texts, "; ")
}

// Unwrap returns the reasons.
func (e noServer) Unwrap() []error { return e }

// isUnready reports whether a server refuses because it starts or has no majority of its cluster: another one may be ready.
func isUnready(err error) bool {
	var refusal *client.Error
	return errors.As(err, &refusal) && (refusal.Code == client.CodeLoading || refusal.Code == client.CodeClusterDown)
}

// connectOne connects to Addr and authenticates, with RESP3 where the server has it.
func connectOne(ctx context.Context, o client.Options) (*serverConn, error) {
	sock, err := dialServer(ctx, o)
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { _ = sock.Close() }) // ends a pending read
	c := &serverConn{sock, o.Addr, bufio.NewReader(sock)}
	hello, auth := []string{"HELLO", "3"}, []string{}
	if o.Username != "" || o.Password != "" {
		auth = []string{"AUTH", orDefault(o.Username), o.Password}
	}
	err = c.discard(append(hello, auth...))
	if refused := new(client.Error); errors.As(err, &refused) && refused.Code == client.CodeErr { // no RESP3: an old Redis
		if err = nil; len(auth) > 0 {
			err = c.discard(auth)
		}
	}
	if err != nil {
		_ = sock.Close()
		return nil, err
	}
	return c, nil
}

func orDefault(user string) string {
	if user == "" {
		return "default"
	}
	return user
}

// send writes a command.
func (c *serverConn) send(arguments []string) error {
	command := fmt.Appendf(nil, "*%d\r\n", len(arguments))
	for _, a := range arguments {
		command = fmt.Appendf(command, "$%d\r\n%s\r\n", len(a), a)
	}
	_, err := c.Write(command)
	return err //nolint:wrapcheck // by the subcommand
}

// discard sends a command and discards the reply, unless that is an error.
func (c *serverConn) discard(arguments []string) error {
	if err := c.send(arguments); err != nil {
		return err
	}
	return printReply(c.r, discardPrinter{})
}

// maxDepth bounds the nesting of a reply, maxText the bytes of one text. Memory follows what arrives.
const (
	maxDepth = 64
	maxText  = 512 << 20
)

var errReply = errors.New("the server's reply cannot be read")

// item is one text, number or head of an aggregate.
type item struct {
	kind  byte // of RESP
	text  []byte
	count int // elements of an aggregate; a map counts pairs; -1: null
}

// readItem reads the next item. Attributes are not expected: nothing here requests them.
func readItem(r *bufio.Reader) (it item, err error) {
	line, err := r.ReadSlice('\n')
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("the server closed the connection")
		}
		return it, err
	}
	line = bytes.TrimRight(line, "\r\n")
	if len(line) == 0 {
		return it, errReply
	}
	it.kind, it.text = line[0], bytes.Clone(line[1:])
	switch it.kind {
	case '+', '-', ':', ',', '(', '_', '#':
		return it, nil
	case '$', '=', '!', '*', '%', '~', '>', '|':
		if it.count, err = strconv.Atoi(string(it.text)); err != nil || it.count < -1 {
			return it, errReply
		}
	default:
		return it, errReply
	}
	if it.count == -1 {
		return item{kind: '_'}, nil
	}
	if it.kind == '$' || it.kind == '=' || it.kind == '!' {
		if it.count > maxText {
			return it, fmt.Errorf("%w: a text of %d bytes", errReply, it.count)
		}
		var b bytes.Buffer
		if _, err = io.CopyN(&b, r, int64(it.count)+2); err != nil {
			return it, err //nolint:wrapcheck // by the subcommand
		}
		it.text = b.Bytes()[:it.count]
		if it.kind == '=' && len(it.text) >= 4 {
			it.text = it.text[4:] // txt:
		}
	}
	return it, nil
}

// replyPrinter prints the items of a reply as they come.
type replyPrinter interface {
	begin(it item, p place)
	end(it item, p place)
	scalar(it item, p place)
}

// place is where an item stands in the reply.
type place struct {
	depth, index int
	within       byte // kind of the aggregate around it; 0: none
	isKey        bool
}

// printReply reads one reply and prints it as it comes. An error of the server is its error.
func printReply(r *bufio.Reader, p replyPrinter) error { return printAt(r, p, place{}) }

func printAt(r *bufio.Reader, p replyPrinter, at place) error {
	it, err := readItem(r)
	switch {
	case err != nil:
		return err
	case at.depth > maxDepth:
		return fmt.Errorf("%w: it is nested too deeply", errReply)
	case at.depth == 0 && (it.kind == '-' || it.kind == '!'):
		code, text, _ := strings.Cut(string(it.text), " ")
		return &client.Error{Code: client.Code(code), Text: text}
	case strings.IndexByte("*%~>|", it.kind) < 0:
		p.scalar(it, at)
		return nil
	}
	p.begin(it, at)
	elements := it.count
	if it.kind == '%' || it.kind == '|' {
		elements *= 2
	}
	for i := range elements {
		isKey := (it.kind == '%' || it.kind == '|') && i%2 == 0
		if err := printAt(r, p, place{depth: at.depth + 1, index: i, within: it.kind, isKey: isKey}); err != nil {
			return err
		}
	}
	p.end(it, at)
	return nil
}

type discardPrinter struct{}

func (discardPrinter) begin(item, place)  {}
func (discardPrinter) end(item, place)    {}
func (discardPrinter) scalar(item, place) {}
