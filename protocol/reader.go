package protocol

import (
	"bytes"
	"unsafe"
)

// Dialect is how a command was written, and so how it is answered.
type Dialect uint8

// The dialects.
const (
	RESP   Dialect = iota // a RESP array
	Inline                // a line that Redis would understand; answered in RESP
	Line                  // one of conch's own verbs in a line; answered in lines
)

// Command is one command as it was read.
type Command struct {
	Dialect Dialect
	CRLF    bool         // how the line ended; meaningless for RESP
	Spec    *CommandSpec // its spec in the table, nil if there is none
	Args    [][]byte     // the name first; they alias the bytes that were read
	Err     *Error       // what is wrong with it, for its answer; the connection goes on
}

// Reader splits a stream of bytes into commands. It holds no bytes itself, only its place in the command at hand.
type Reader struct {
	limits   Limits
	resp     respScanner
	line     lineScanner
	state    readerState
	lastSpec *CommandSpec // of the last command in RESP: the next one is often of the same name
}

type readerState uint8

const (
	stateStart readerState = iota // the next byte decides
	stateRESP
	stateLine
)

// NewReader makes a Reader for one connection.
func NewReader(l Limits) *Reader {
	r := &Reader{limits: l.WithDefaults()}
	r.resp.args = make([]extent, 0, 4) // here, where the stack is shallow: see TestAnIdleConnectionKeepsASmallStack
	r.resp.reset()
	return r
}

// Next takes one command from the front of buf, into c. used is how many bytes it is done with, which may be some even
// when there is no command yet: ok is false then, and the caller comes again with the rest and what arrives behind it.
// Its arguments are appended to args. A non-nil error is fatal: there is no way to tell where the next command starts.
//
// Next may change the bytes of buf that it has looked at, and never looks at a byte of one command twice.
func (r *Reader) Next(c *Command, buf []byte, args [][]byte) (used int, ok bool, err *Error) {
	for {
		used += r.detectDialect(buf[used:])
		rest := buf[used:]
		if len(rest) == 0 {
			return used, false, nil
		}
		var n int
		if r.state == stateRESP {
			r.skipRepeatedHeader(rest)
			n, err = r.resp.next(rest, &r.limits)
			ok = n > 0 && r.respCommand(c, rest, args)
		} else {
			n, ok, err = r.lineCommand(c, rest, args)
		}
		if used += n; n == 0 || ok || err != nil {
			return used, ok, err
		}
	}
}

// SetUnauthenticated says whether the sender has yet to authenticate: its commands in RESP are then held to 10 arguments of 16 KiB.
func (r *Reader) SetUnauthenticated(unauth bool) { r.limits.unauth = unauth }

// Idle tells whether the reader stands between two commands: nothing is half read.
func (r *Reader) Idle() bool { return r.state == stateStart && r.line.telnet.state == telnetText }

// MissingBytes is how many bytes the command at hand is known to need still, when have of them have been looked at. It may
// need more than that.
func (r *Reader) MissingBytes(have int) int {
	if r.state != stateRESP || r.resp.argLen < 0 {
		return 0
	}
	return max(0, r.resp.scanned+r.resp.argLen+2-have)
}

// MemSize is how many bytes of memory the reader takes for the arguments of a command that is not whole yet.
func (r *Reader) MemSize() int {
	if n := cap(r.resp.args); n > 4 {
		return n * int(unsafe.Sizeof(r.resp.args[0]))
	}
	return 0
}

// detectDialect finds where the next command starts and which dialect it is in.
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

// skipRepeatedHeader skips what a command has in common with the one before: the same name, the same number of arguments. That
// saves a PUBLISH two headers of its five lines, and the look-up of its name: one seventh of the time that Next takes.
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

// respCommand makes the command that the scanner has found at the front of buf; false for an empty one.
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

// lineCommand makes the command of the line at the front of buf, n bytes long; false for an empty one, n is 0 for one
// that is not whole.
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

// LooksLikeHTTP tells whether a command is the start of an HTTP request: a browser that was tricked into talking to this
// port. Redis closes such a connection at once, before the body can be taken for commands.
func (c *Command) LooksLikeHTTP() bool {
	return bytes.EqualFold(c.Args[0], []byte("POST")) || bytes.EqualFold(c.Args[0], []byte("HOST:"))
}
