package protocol

import (
	"bytes"
	"fmt"
	"strings"
)

// Code is the first word of an error reply; client libraries branch on it. The set is closed.
type Code string

// The codes. Those of Redis mean what they mean there.
const (
	CodeErr       Code = "ERR"     // any error without a code of its own
	CodeDenied    Code = "DENIED"  // protected mode
	CodeNoProto   Code = "NOPROTO" // HELLO with an unsupported version
	CodeWrongPass Code = "WRONGPASS"
	CodeNoAuth    Code = "NOAUTH"    // authentication required
	CodeNoPerm    Code = "NOPERM"    // the user lacks the permission
	CodeExecAbort Code = "EXECABORT" // a command of the transaction was rejected
	CodeMisconf   Code = "MISCONF"   // the log does not take anything
	// CodeClusterDown is the code of a cluster without a majority, or of one whose answer did not come in time.
	CodeClusterDown Code = "CLUSTERDOWN"
	CodeLoading     Code = "LOADING"   // a node catches up with its cluster, and serves no clients yet
	CodeOOM         Code = "OOM"       // the memory for streams is used up
	CodeUnblocked   Code = "UNBLOCKED" // by CLIENT UNBLOCK
	CodeLastID      Code = "LASTID"    // the stream has moved on: another last id than XADD demands
	CodeNoGroup     Code = "NOGROUP"   // there is no such consumer group
	CodeBusyGroup   Code = "BUSYGROUP" // there is one of that name
	CodeFenced      Code = "FENCED"    // the fencing token is below that of the stream
)

// Error is an error reply.
type Error struct {
	Code  Code
	Text  string   // one line; encoders escape CR and LF as \r and \n
	Fatal bool     // the rest of the stream cannot be parsed: reply, then close
	Hints []string // comment lines after the error, for lines only, not for RESP
}

// Error returns the reply without the dash and the line end.
func (e *Error) Error() string { return string(e.Code) + " " + e.Text }

// Errorf makes an error of code ERR that leaves the connection open.
func Errorf(format string, args ...any) *Error {
	return &Error{Code: CodeErr, Text: fmt.Sprintf(format, args...)}
}

// fatalf makes a protocol error, in the words of Redis' networking.c.
func fatalf(format string, args ...any) *Error {
	return &Error{Code: CodeErr, Text: "Protocol error: " + fmt.Sprintf(format, args...), Fatal: true}
}

// ErrArity is Redis' error for a wrong number of arguments. name is lower case, "client|id" for a subcommand.
func ErrArity(name string) *Error {
	return Errorf("wrong number of arguments for '%s' command", name)
}

// ErrUnknownCommand is Redis' error for an unknown command. It quotes the name and as many arguments as fit into 128
// bytes, the last one truncated, and ends with a space (server.c, Redis 7.2).
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

// errMistyped is the error for a line whose first word is no command. It was typed, so it needs no quotation of the rest.
func errMistyped(word []byte) *Error {
	return &Error{Code: CodeErr, Text: "unknown command '" + string(quotable(word, 128)) + "'; type: HELP"}
}

// quotable prepares an argument for an error as Redis does: truncated to room bytes and at the first NUL, with CR and LF
// replaced by spaces.
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

// ErrUnknownSubcommand is Redis' error for an unknown subcommand. parent is upper case.
func ErrUnknownSubcommand(parent string, sub []byte) *Error {
	return Errorf("unknown subcommand '%s'. Try %s HELP.", quotable(sub, 128), parent)
}

// errNoSubcommand is the error for a container of conch's own without a subcommand. It names them.
func errNoSubcommand(container *CommandSpec) *Error {
	var names []string
	for _, sub := range container.Subcommands() {
		names = append(names, sub.Name)
	}
	last := len(names) - 1
	return Errorf("%s needs a subcommand; type: %s or %s", container.Name, strings.Join(names[:last], ", "), names[last])
}

// ErrSubcommandSyntax is Redis' error for wrong arguments of a subcommand. parent is upper case.
func ErrSubcommandSyntax(parent string, sub []byte) *Error {
	return Errorf("unknown subcommand or wrong number of arguments for '%s'. Try %s HELP.", quotable(sub, 128), parent)
}

// ErrNoGroup is Redis' error for a consumer group that is missing. The format quotes names.
func ErrNoGroup(format string, names ...[]byte) *Error {
	const room = 512
	quoted := make([]any, 0, len(names))
	for _, name := range names {
		quoted = append(quoted, string(quotable(name, room)))
	}
	return &Error{Code: CodeNoGroup, Text: fmt.Sprintf(format, quoted...)}
}

// ErrExecAbort is Redis' error for an EXEC that is itself rejected. It quotes the reason, with the code unless that is
// ERR.
func ErrExecAbort(why *Error) *Error {
	reason := why.Text
	if why.Code != CodeErr {
		reason = why.Error()
	}
	return &Error{Code: CodeExecAbort, Text: "Transaction discarded because of: " + reason}
}

// ErrNoAuth is Redis' error for a command before authentication.
func ErrNoAuth() *Error { return &Error{Code: CodeNoAuth, Text: "Authentication required."} }

// ErrSubscribed is Redis' error for a command that a RESP2 subscriber may not run.
func ErrSubscribed(name string) *Error {
	return Errorf("Can't execute '%s': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in "+
		"this context", name)
}
