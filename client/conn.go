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

// wire is one connection that has been greeted. Reading and writing are its owner's business: one goroutine at a time
// each. Close may be called from anywhere, and ends both.
type wire struct {
	net.Conn
	replies  *replyReader
	version  int    // of RESP: 2 or 3
	numbered bool   // messages and replies to PUBLISH carry numbers
	epoch    string // that numbers belong to: they begin anew with each start of the server
	number   uint64 // the last one given before the greeting was answered
	foreign  bool   // it was asked for numbers, and is no conch

	farewell error // what the server said before it ended the connection; the reading goroutine's

	pulse pulse
}

// pulse is what replies are read from: the socket, with a watch over how long it says nothing. It stands below the
// reader, so that what has come of a reply is not lost by looking at the time.
type pulse struct {
	net.Conn
	after time.Duration // of silence
	// ping is called then, by the goroutine that reads, and sends a PING, or does nothing where none may be sent now.
	// Set by the wire's owner before it reads; nil: silence means nothing.
	ping func() error
	// again is called, where there is no ping, when a deadline has passed: true if it has set another one.
	again func() bool
}

// Read fails with ErrSilent when nothing has come for twice the time.
func (p *pulse) Read(b []byte) (int, error) {
	if p.ping == nil || p.after <= 0 {
		n, err := p.Conn.Read(b)
		for passed(n, err) && p.again != nil && p.again() {
			n, err = p.Conn.Read(b)
		}
		return n, err //nolint:wrapcheck // a reader passes on what it gets
	}
	for asked := false; ; asked = true {
		begun := time.Now()
		n, err := p.readWithin(b, p.after)
		if !passed(n, err) {
			return n, err
		}
		if asked {
			return p.readOnceMore(b, time.Since(begun)-p.after)
		}
		if err := p.ping(); err != nil {
			return 0, err
		}
	}
}

// readOnceMore gives back the time by which a deadline was noticed too late, because the process stood still: the
// answer to the PING may have been there for long. Otherwise the server is silent.
func (p *pulse) readOnceMore(b []byte, late time.Duration) (int, error) {
	if late > 0 {
		if n, err := p.readWithin(b, min(late, p.after)); !passed(n, err) {
			return n, err
		}
	}
	return 0, ErrSilent
}

func (p *pulse) readWithin(b []byte, d time.Duration) (int, error) {
	_ = p.SetReadDeadline(time.Now().Add(d)) // fails on a dead socket, and so will reading
	return p.Conn.Read(b)                    //nolint:wrapcheck // a reader passes on what it gets
}

// passed tells whether reading ended with its deadline.
func passed(n int, err error) bool { return n == 0 && errors.Is(err, os.ErrDeadlineExceeded) }

// dial connects, and greets the server: HELLO 3, or AUTH where that is unknown. o has its defaults. The wire is the
// caller's to close; ctx bounds dialing alone.
func (o *Options) dial(ctx context.Context) (*wire, error) {
	tooLong := fmt.Errorf("no answer within %s (Options.DialTimeout): %w", o.DialTimeout, context.DeadlineExceeded)
	ctx, cancel := context.WithTimeoutCause(ctx, o.DialTimeout, tooLong)
	defer cancel()
	network, addr := o.target()
	sock, err := o.Dialer(ctx, network, addr)
	if err != nil {
		return nil, fmt.Errorf("cannot connect to %s: %w", o.Addr, err)
	}
	keep := context.AfterFunc(ctx, func() { _ = sock.Close() }) // ends whatever it waits for
	w, err := o.greet(ctx, sock)
	if !keep() && err == nil {
		err = context.Cause(ctx) // just now
	}
	if err != nil {
		_ = sock.Close() // why tells more than this could
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return nil, fmt.Errorf("cannot greet %s: %w", o.Addr, err)
	}
	return w, nil
}

// greet makes a wire of a socket.
func (o *Options) greet(ctx context.Context, sock net.Conn) (*wire, error) {
	if o.TLS != nil {
		config := o.TLS.Clone()
		if config.ServerName == "" {
			config.ServerName = o.host()
		}
		secured := tls.Client(sock, config)
		if err := secured.HandshakeContext(ctx); err != nil {
			return nil, fmt.Errorf("TLS: %w", err)
		}
		sock = secured
	}
	w := &wire{Conn: sock}
	w.pulse = pulse{Conn: sock, after: o.PingAfter}
	w.replies = newReplyReader(&w.pulse, o.MaxMessage)
	if err := w.hello(o.Username, o.Password); err != nil {
		return nil, err
	}
	return w, w.introduce(o.Numbers)
}

// hello agrees on a version of RESP, and says who we are.
func (w *wire) hello(username, password string) error {
	command := []string{"HELLO", "3"}
	known := username != "" || password != ""
	if known {
		command = append(command, "AUTH", defaultUser(username), password)
	}
	var said *Error
	err := w.ask(command...)
	switch {
	case err == nil:
		w.version = 3
		return nil
	case !errors.As(err, &said) || said.Code != CodeNoProto && !strings.HasPrefix(said.Text, "unknown command"):
		return err
	}
	w.version = 2
	switch {
	case !known:
		return nil
	case username == "":
		return w.ask("AUTH", password) // all that servers before Redis 6 understand
	default:
		return w.ask("AUTH", username, password)
	}
}

func defaultUser(name string) string {
	if name == "" {
		return "default"
	}
	return name
}

// introduce says what we are, which any server may refuse, and asks for numbers.
func (w *wire) introduce(numbers bool) error {
	command := appendCommand(nil, "CLIENT", "SETINFO", "LIB-NAME", "conch-go")
	answers := []func(*reply){nil}
	able := false
	if numbers && w.version == 3 {
		command = appendCommand(command, "CLIENT", "CAPA", "seq")
		answers = append(answers, func(*reply) { able = true })
		command = appendCommand(command, "HELLO")
		answers = append(answers, func(r *reply) { w.numbered = able && w.position(r) })
	}
	if _, err := w.Write(command); err != nil {
		return fmt.Errorf("cannot write: %w", err)
	}
	barred := false
	for i, take := range answers {
		var refused *Error
		if err := w.answer(take); err != nil && !errors.As(err, &refused) {
			return err
		}
		// Who may not say CLIENT CAPA may be a user of conch all the same: others do not know it.
		barred = barred || i == 1 && refused != nil && refused.Code == CodeNoPerm
	}
	w.foreign = numbers && !w.numbered && !barred
	return nil
}

// position finds epoch and number in the answer to HELLO. A server that takes CLIENT CAPA for a promise of something
// else has none.
func (w *wire) position(r *reply) bool {
	var number int64
	for i := 0; i+1 < len(r.elements); i += 2 {
		switch value := &r.elements[i+1]; {
		case r.elements[i].says("epoch"):
			w.epoch = string(value.bytes)
		case r.elements[i].says("number"):
			number = value.integer
		}
	}
	w.number = uint64(max(0, number))
	return w.epoch != ""
}

// hurry bounds everything that is done on the wire from now on; 0 lifts the bound.
func (w *wire) hurry(d time.Duration) {
	var deadline time.Time
	if d > 0 {
		deadline = time.Now().Add(d)
	}
	_ = w.SetDeadline(deadline) // fails on a dead socket, and so will what comes next
}

// ask sends a command and waits for the answer, of which it returns what is an error.
func (w *wire) ask(args ...string) error {
	if _, err := w.Write(appendCommand(nil, args...)); err != nil {
		return fmt.Errorf("cannot write: %w", err)
	}
	return w.answer(nil)
}

// answer reads replies up to the first that is no push. An error is returned as *Error; anything else goes to take, if
// that is not nil.
func (w *wire) answer(take func(*reply)) error {
	for {
		r, err := w.replies.read()
		switch {
		case err != nil:
			return fmt.Errorf("no answer: %w", err)
		case r.kind == kindPush:
			w.heed(&r)
			continue
		case r.kind == kindError:
			return newError(r.bytes)
		case take != nil:
			take(&r)
		}
		return nil
	}
}

// heed notes it when a push says why the server is about to end the connection.
func (w *wire) heed(push *reply) {
	if len(push.elements) == 3 && push.elements[0].says("closing") {
		w.farewell = fmt.Errorf("%w: %s: %s", ErrDismissed, push.elements[1].bytes, push.elements[2].bytes)
	}
}

// ended is why reading ended: what the server said before tells more than that it closed.
func (w *wire) ended(err error) error {
	switch {
	case w.farewell != nil:
		return w.farewell
	case errors.Is(err, io.EOF):
		return fmt.Errorf("the server closed the connection: %w", err)
	}
	return fmt.Errorf("the connection is lost: %w", err)
}
