package protocol

import (
	"bytes"
	"fmt"
)

// Code is the first word of an error reply; client libraries branch on it. The set is closed.
type Code string

// The codes. Those of Redis mean what they mean there.
const (
	CodeErr       Code = "ERR"     // anything that has no code of its own
	CodeDenied    Code = "DENIED"  // protected mode
	CodeNoProto   Code = "NOPROTO" // HELLO with a protocol version that is not spoken
	CodeWrongPass Code = "WRONGPASS"
	CodeNoAuth    Code = "NOAUTH"    // the peer has not said who it is
	CodeNoPerm    Code = "NOPERM"    // its user may not do this
	CodeExecAbort Code = "EXECABORT" // a transaction in which a command was refused
)

// Error is an error reply: what the peer is told.
type Error struct {
	Code  Code
	Text  string   // one line, no CR or LF: encoders show them as \r and \n
	Fatal bool     // the stream cannot be read on: answer, then close
	Hints []string // what helps who types, in lines of their own; not for RESP
}

// Error gives the reply as it is sent, without the dash and the line end.
func (e *Error) Error() string { return string(e.Code) + " " + e.Text }

// Errorf makes an error of code ERR that leaves the connection open.
func Errorf(format string, args ...any) *Error {
	return &Error{Code: CodeErr, Text: fmt.Sprintf(format, args...)}
}

// fatalf makes a protocol error, in the words of Redis' networking.c.
func fatalf(format string, args ...any) *Error {
	return &Error{Code: CodeErr, Text: "Protocol error: " + fmt.Sprintf(format, args...), Fatal: true}
}

// ErrArity is Redis' answer to too few or too many arguments. name is lower case, "client|id" for a subcommand.
func ErrArity(name string) *Error {
	return Errorf("wrong number of arguments for '%s' command", name)
}

// ErrUnknownCommand is Redis' answer to a command that does not exist: it quotes the name and as many arguments as fit into
// 128 bytes, each cut to what is left of them, and ends with a space (server.c, Redis 7.2).
func ErrUnknownCommand(args [][]byte) *Error {
	const room = 128
	text := append(append([]byte("unknown command '"), quotable(args[0], room)...), "', with args beginning with: "...)
	start := len(text)
	for _, arg := range args[1:] {
		if len(text)-start >= room {
			break
		}
		text = append(append(append(text, '\''), quotable(arg, room-len(text)+start)...), "' "...)
	}
	return &Error{Code: CodeErr, Text: string(text)} // without fmt, which took half the time of a flood of nonsense
}

// quotable is what an error shows of an argument, as Redis does: at most so many bytes, up to the first NUL, with CR and
// LF as spaces.
func quotable(arg []byte, room int) []byte {
	arg = bytes.Clone(arg[:min(len(arg), room)])
	if end := bytes.IndexByte(arg, 0); end >= 0 {
		arg = arg[:end]
	}
	for i, c := range arg {
		if c == '\r' || c == '\n' {
			arg[i] = ' '
		}
	}
	return arg
}

// ErrUnknownSubcommand is Redis' answer to a subcommand that does not exist. parent is upper case.
func ErrUnknownSubcommand(parent string, sub []byte) *Error {
	return Errorf("unknown subcommand '%s'. Try %s HELP.", quotable(sub, 128), parent)
}

// ErrSubcommandSyntax is Redis' answer to a subcommand whose own arguments do not fit. parent is upper case.
func ErrSubcommandSyntax(parent string, sub []byte) *Error {
	return Errorf("unknown subcommand or wrong number of arguments for '%s'. Try %s HELP.", quotable(sub, 128), parent)
}

// ErrExecAbort is Redis' answer to an EXEC that is refused itself. It quotes the reason with its code, unless that is ERR.
func ErrExecAbort(why *Error) *Error {
	reason := why.Text
	if why.Code != CodeErr {
		reason = why.Error()
	}
	return &Error{Code: CodeExecAbort, Text: "Transaction discarded because of: " + reason}
}

// ErrNoAuth is Redis' answer to a peer that has yet to say who it is.
func ErrNoAuth() *Error { return &Error{Code: CodeNoAuth, Text: "Authentication required."} }

// ErrSubscribed is Redis' answer to a command that a RESP2 subscriber may not run.
func ErrSubscribed(name string) *Error {
	return Errorf("Can't execute '%s': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in "+
		"this context", name)
}
