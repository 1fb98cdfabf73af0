package client

import (
	"errors"
	"fmt"
	"strings"
)

// Errors of this package are distinguished with errors.Is and errors.As. They wrap the values below, an *Error from the
// server, the error of a context, or an error of package net.
var (
	// ErrClosed is returned by everything that is used after its Close.
	ErrClosed = errors.New("closed")
	// ErrInvalidOption is wrapped by errors about Options, a URL or the names of a subscription. Nothing has been sent.
	ErrInvalidOption = errors.New("invalid option")
	// ErrMalformed is wrapped by errors about bytes that are not RESP, and about replies that belong to no command. The
	// connection is unusable afterwards.
	ErrMalformed = errors.New("malformed reply")
	// ErrOutcomeUnknown is wrapped by errors for messages and entries that were sent but not acknowledged when the
	// connection or the caller's context ended. They may have been published, or appended, or not.
	ErrOutcomeUnknown = errors.New("not acknowledged, outcome unknown")
	// ErrClosedByServer is wrapped by the reason that a server gave when it closed the connection, such as a slow
	// subscriber.
	ErrClosedByServer = errors.New("closed by the server")
	// ErrTakenOver ends a Subscription with a position of a group: another one has subscribed from it, and goes on there.
	ErrTakenOver = errors.New("taken over")
	// ErrClusterDown is wrapped by the refusal of a node that has no majority of its cluster behind it. Another attempt, or
	// another node, may succeed. If the node cannot tell whether it did something, the error wraps ErrOutcomeUnknown too;
	// otherwise nothing was done.
	ErrClusterDown = errors.New("the cluster has no majority")
	// ErrNoPredicates is returned for a predicate on a server other than conch, which would take it for part of a name.
	ErrNoPredicates = errors.New("the server has no predicates")
	// ErrNoPositions is returned for a position on a server other than conch.
	ErrNoPositions = errors.New("the server has no positions")
	// ErrPingTimeout is returned when a server has neither sent anything nor answered a PING in time.
	ErrPingTimeout = errors.New("no answer to PING")
)

// Code is the first word of an error reply. The constants are the codes of conch, with the meaning that they have in
// Redis; other codes are passed on unchanged.
type Code string

// The codes.
const (
	CodeErr       Code = "ERR"       // errors without a code of their own
	CodeDenied    Code = "DENIED"    // protected mode: only local clients are served
	CodeNoProto   Code = "NOPROTO"   // the protocol version is not supported
	CodeWrongPass Code = "WRONGPASS" // wrong user name or password
	CodeNoAuth    Code = "NOAUTH"    // authentication is required
	CodeNoPerm    Code = "NOPERM"    // the user lacks permission

	CodeLoading     Code = "LOADING"     // the server is not ready yet
	CodeClusterDown Code = "CLUSTERDOWN" // the node has no majority of its cluster: see ErrClusterDown

	CodeWrongType Code = "WRONGTYPE" // the key is no stream
	CodeOOM       Code = "OOM"       // the server has no memory for the entry
	CodeMisconf   Code = "MISCONF"   // the server cannot write to its disk
	CodeUnblocked Code = "UNBLOCKED" // CLIENT UNBLOCK has ended a blocked read
	CodeLastID    Code = "LASTID"    // the stream has moved on: see IfLast
	CodeFenced    Code = "FENCED"    // another writer has raised the fencing token: see Fence
	CodeNoGroup   Code = "NOGROUP"   // there is no such consumer group
	CodeBusyGroup Code = "BUSYGROUP" // there is one of that name
)

// Error is an error reply of a server.
type Error struct {
	Code Code
	Text string // rest of the line; quote it if the server is not trusted
}

// Error returns the reply as it was received.
func (e *Error) Error() string {
	if e.Text == "" {
		return string(e.Code)
	}
	return string(e.Code) + " " + e.Text
}

// Is makes errors.Is find ErrClusterDown, and ErrOutcomeUnknown if the outcome is unknown by the text of the reply.
func (e *Error) Is(target error) bool {
	return e.Code == CodeClusterDown &&
		(target == ErrClusterDown || target == ErrOutcomeUnknown && strings.Contains(e.Text, "unknown"))
}

// newError splits the text of an error reply into code and text.
func newError(text []byte) *Error {
	code, rest, _ := strings.Cut(string(text), " ")
	return &Error{Code: Code(code), Text: rest}
}

// isPermanent reports whether a retry would fail too: the server refuses until a password, a rule or the program
// changes.
func isPermanent(err error) bool {
	var serverErr *Error
	if errors.As(err, &serverErr) {
		switch serverErr.Code {
		case CodeNoAuth, CodeWrongPass, CodeNoPerm, CodeDenied, CodeNoProto, CodeWrongType, CodeUnblocked, CodeNoGroup:
			return true
		case CodeErr: // outside a subscription it may be temporary, such as too many connections
			return errors.As(err, new(refusal))
		}
	}
	return errors.Is(err, ErrTakenOver) || errors.Is(err, ErrInvalidOption) || errors.Is(err, ErrNoPredicates) || errors.Is(err, ErrNoPositions)
}

// refusal is an error reply to a subscription, or to a read of a stream. With CodeErr it is permanent; unknown codes, such as LOADING and BUSY of
// Redis, are temporary.
type refusal struct{ answer *Error }

func (r refusal) Error() string { return r.answer.Error() }
func (r refusal) Unwrap() error { return r.answer }

// closedByServer returns the error for an error reply to no command: a server sends one before it closes.
func closedByServer(r *reply) error {
	return fmt.Errorf("%w: %w", ErrClosedByServer, newError(r.bytes))
}

// invalidOption returns an error about an option.
func invalidOption(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalidOption, fmt.Sprintf(format, args...))
}

// isMalformed reports whether a server has sent what a client of this kind cannot read.
func isMalformed(err error) bool { return errors.Is(err, ErrMalformed) }

// malformed returns an error about a reply. Callers quote and cut what the server sent.
func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}
