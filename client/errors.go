package client

import (
	"errors"
	"fmt"
	"strings"
)

// What this package returns can be told apart with errors.Is and errors.As: these values, *Error for what the server
// answered, the error of a context that ended, and what package net says of a socket.
var (
	// ErrClosed is returned by everything that is used after its Close.
	ErrClosed = errors.New("closed")
	// ErrInvalidOption is wrapped by what is wrong with Options, a URL, or the names of a subscription. Nothing has been sent.
	ErrInvalidOption = errors.New("invalid option")
	// ErrMalformed is wrapped by what is wrong with bytes that are no RESP, or that answer nothing that was asked. The
	// connection cannot be read on.
	ErrMalformed = errors.New("malformed reply")
	// ErrOutcomeUnknown is wrapped by what is said of a message that was not acknowledged before its connection broke, or
	// before whoever published it gave up waiting. It may have been published, or not.
	ErrOutcomeUnknown = errors.New("not acknowledged, outcome unknown")
	// ErrClosedByServer is wrapped by the reason that conch gives when it ends a connection, such as reading too slowly.
	ErrClosedByServer = errors.New("closed by the server")
	// ErrNoPredicates is returned when a predicate is to be sent to a server that would take it for a part of a name.
	ErrNoPredicates = errors.New("the server has no predicates")
	// ErrPingTimeout is returned when a server has neither sent anything nor answered a PING in time.
	ErrPingTimeout = errors.New("no answer to PING")
)

// Code is the first word of an error that a server answered. The constants are those that conch answers, and that mean
// the same in Redis; others come as they are.
type Code string

// The codes.
const (
	CodeErr       Code = "ERR"       // anything that has no code of its own
	CodeDenied    Code = "DENIED"    // protected mode: the server serves its own machine only
	CodeNoProto   Code = "NOPROTO"   // a protocol version that is not spoken
	CodeWrongPass Code = "WRONGPASS" // user and password do not go together
	CodeNoAuth    Code = "NOAUTH"    // the server asks who we are
	CodeNoPerm    Code = "NOPERM"    // the user may not do this
)

// Error is what a server answered.
type Error struct {
	Code Code
	Text string // what follows the code: one line of the server's, to be shown quoted if the server is not trusted
}

// Error gives the answer as it came.
func (e *Error) Error() string {
	if e.Text == "" {
		return string(e.Code)
	}
	return string(e.Code) + " " + e.Text
}

// newError takes the text of an error reply apart.
func newError(text []byte) *Error {
	code, rest, _ := strings.Cut(string(text), " ")
	return &Error{Code: Code(code), Text: rest}
}

// isPermanent tells whether trying again would come to the same end: the server has said no, and will go on saying it until
// somebody changes a password, a rule or the program.
func isPermanent(err error) bool {
	var serverErr *Error
	if errors.As(err, &serverErr) {
		switch serverErr.Code {
		case CodeNoAuth, CodeWrongPass, CodeNoPerm, CodeDenied, CodeNoProto:
			return true
		case CodeErr: // elsewhere it may be that there are too many connections at the moment
			return errors.As(err, new(refusal))
		}
	}
	return errors.Is(err, ErrInvalidOption) || errors.Is(err, ErrNoPredicates)
}

// refusal is what a server answered to a subscription. With CodeErr it would answer the same the next time; codes that
// we do not know are those of a server that cannot serve now, such as LOADING and BUSY of Redis.
type refusal struct{ answer *Error }

func (r refusal) Error() string { return r.answer.Error() }
func (r refusal) Unwrap() error { return r.answer }

// closedByServer is an error that a server sent without being asked: it says so before it closes.
func closedByServer(r *reply) error {
	return fmt.Errorf("%w: %w", ErrClosedByServer, newError(r.bytes))
}

// invalidOption makes an error about an option.
func invalidOption(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalidOption, fmt.Sprintf(format, args...))
}

// malformed makes an error about a reply. What a server sent stands in it quoted, and cut.
func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}
