package protocol

import (
	"bytes"
	"unsafe"
)

// Dialect is the syntax of a command, which also selects the syntax of its reply.
type Dialect uint8

// The dialects.
const (
	RESP   Dialect = iota // a RESP array
	Inline                // an inline command of Redis; the reply is RESP
	Line                  // a verb of conch in a line; the reply is lines
	Object                // a JSON object; so is the reply
)

// Command is one parsed command.
type Command struct {
	Dialect Dialect
	CRLF    bool         // the line ended with CRLF; meaningless for RESP
	Spec    *CommandSpec // nil for an unknown command
	Args    [][]byte     // the name first; they alias the read buffer
	Err     *Error       // not fatal: the reply to send instead of running the command
	ID      []byte       // of an object: the JSON value that the reply repeats
}

// Reader splits a byte stream into commands. It holds no bytes, only the state of the current command. The reader
// goroutine of its connection owns it.
type Reader struct {
	limits   *Limits // shared with other readers, so it never changes
	resp     respScanner
	line     lineScanner
	state    readerState
	objects  bool         // see SetObjects
	lastSpec *CommandSpec // of the last RESP command: the next one is often the same
}

type readerState uint8

const (
	stateStart readerState = iota // the next byte selects the dialect
	stateRESP
	stateLine
)

// NewReader returns a Reader for one connection.
func NewReader(l Limits) *Reader {
	l = l.WithDefaults()
	r := new(Reader)
	r.Init(&l)
	return r
}

// Init is NewReader in place. Readers may share the limits, which have no zeros and never change.
func (r *Reader) Init(l *Limits) {
	r.limits = l
	r.resp.args = make([]extent, 0, 4) // here, where the stack is shallow: see TestAnIdleConnectionKeepsASmallStack
	r.resp.reset()
}

// Next parses one command from the front of buf into c and appends the arguments to args. used is the number of bytes
// consumed, also without a command. ok is false for an incomplete command: the caller calls again with the rest of buf
// and the bytes read since. A non-nil error is fatal: the start of the next command is unknown.
//
// Next may change the bytes of buf that it has scanned, and scans no byte of a command twice.
func (r *Reader) Next(c *Command, buf []byte, args [][]byte) (used int, ok bool, err *Error) {
	if r.objects {
		return r.nextObject(c, buf)
	}
	for {
		used += r.detectDialect(buf[used:])
		rest := buf[used:]
		if len(rest) == 0 {
			return used, false, nil
		}
		var n int
		if r.state == stateRESP {
			r.skipRepeatedHeader(rest)
			n, err = r.resp.next(rest, r.limits)
			ok = n > 0 && r.respCommand(c, rest, args)
		} else {
			n, ok, err = r.lineCommand(c, rest, args)
		}
		if used += n; n == 0 || ok || err != nil {
			return used, ok, err
		}
	}
}

// SetUnauthenticated limits RESP commands to 10 arguments of 16 KiB until the client has authenticated.
func (r *Reader) SetUnauthenticated(unauth bool) {
	if unauth != r.limits.unauth {
		l := *r.limits
		l.unauth = unauth
		r.limits = &l
	}
}

// Idle reports whether no command is partly read.
func (r *Reader) Idle() bool { return r.state == stateStart && r.line.telnet.state == telnetText }

// MissingBytes is the number of bytes known to be missing from the current command, of which have bytes have arrived. The
// command may need more.
func (r *Reader) MissingBytes(have int) int {
	if r.state != stateRESP || r.resp.argLen < 0 {
		return 0
	}
	return max(0, r.resp.scanned+r.resp.argLen+2-have)
}

// MemSize is the memory of the reader for the arguments of an incomplete command, in bytes.
func (r *Reader) MemSize() int {
	if n := cap(r.resp.args); n > 4 {
		return n * int(unsafe.Sizeof(r.resp.args[0]))
	}
	return 0
}

// detectDialect returns the offset of the next command and sets the state by its first byte.
func (r *Reader) detectDialect(buf []byte) int {
	if r.state != stateStart || len(buf) == 0 {
		return 0
	}
	n := r.line.skipTelnet(buf)
	if n == len(buf) {
		return n
	}
	r.state = stateLine
	if buf[n] == '*' && r.line.scanned == 0 {
		r.state = stateRESP
	}
	return n
}

// skipRepeatedHeader skips the start of a command whose name and number of arguments are those of the one before. That
// saves a PUBLISH two of its five headers and the lookup of its name: one seventh of the time of Next.
//
//go:noinline
func (r *Reader) skipRepeatedHeader(buf []byte) {
	if r.lastSpec == nil || r.resp.scanned > 0 {
		return
	}
	for _, head := range &r.lastSpec.respPrefixes {
		if head != "" && len(buf) > len(head) && string(buf[:len(head)]) == head {
			r.resp.skipHeader(len(head), len(r.lastSpec.Name), r.lastSpec.Arity)
			return
		}
	}
}

// respCommand fills c from the arguments found by the scanner. ok is false for an empty command.
func (r *Reader) respCommand(c *Command, buf []byte, args [][]byte) (ok bool) {
	for _, a := range r.resp.args {
		args = append(args, buf[a.start:a.end:a.end])
	}
	r.resp.reset()
	r.state = stateStart
	if len(args) == 0 {
		return false
	}
	if r.lastSpec == nil || string(args[0]) != r.lastSpec.Name && string(args[0]) != r.lastSpec.fullName {
		r.lastSpec = Lookup(args[0])
	}
	*c = Command{Dialect: RESP, Spec: r.lastSpec, Args: args}
	return true
}

// lineCommand parses the line at the front of buf, n bytes long; n is 0 for an incomplete line, ok false for an empty one.
func (r *Reader) lineCommand(c *Command, buf []byte, args [][]byte) (n int, ok bool, err *Error) {
	line, n, crlf, err := r.line.next(buf, r.limits.Line)
	if err != nil || n == 0 {
		return 0, false, err
	}
	r.state = stateStart
	name, rest := cutWord(line)
	if spec := Lookup(name); spec != nil && spec.Syntax != ArgsInline {
		*c = Command{Dialect: Line, CRLF: crlf, Spec: spec}
		c.Args, c.Err = splitVerbArgs(spec, rest, append(args, name))
		return n, true, nil
	}
	args, closed := splitInline(line, args)
	if !closed {
		return n, false, fatalf("unbalanced quotes in request")
	}
	if len(args) == 0 {
		return n, false, nil
	}
	*c = Command{Dialect: Inline, CRLF: crlf, Spec: Lookup(args[0]), Args: args}
	return n, true, nil
}

// LooksLikeHTTP reports whether a command is the start of an HTTP request: a browser that an attacker has directed to this
// port. As in Redis, the server closes the connection at once, so that the body is never parsed as commands.
func (c *Command) LooksLikeHTTP() bool {
	return bytes.EqualFold(c.Args[0], []byte("POST")) || bytes.EqualFold(c.Args[0], []byte("HOST:"))
}
