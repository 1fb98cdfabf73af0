package stream

import (
	"errors"
	"fmt"
)

// Error is what a client did wrong. The text is Redis'; `ERR ` stands before it in a reply.
type Error string

func (e Error) Error() string { return string(e) }

// The errors of ids and of requests.
const (
	ErrInvalidID       Error = "Invalid stream ID specified as stream command argument"
	ErrRangeStart      Error = "invalid start ID for the interval"
	ErrRangeEnd        Error = "invalid end ID for the interval"
	ErrIDTooSmall      Error = "The ID specified in XADD is equal or smaller than the target stream top item"
	ErrIDZero          Error = "The ID specified in XADD must be greater than 0-0"
	ErrExhausted       Error = "The stream has exhausted the last possible ID, unable to add more items"
	ErrSetIDTopItem    Error = "The ID specified in XSETID is smaller than the target stream top item"
	ErrSetIDMaxDeleted Error = "The ID specified in XSETID is smaller than current max_deleted_entry_id"
	ErrSetIDProvided   Error = "The ID specified in XSETID is smaller than the provided max_deleted_entry_id"
	ErrSetIDAdded      Error = "The entries_added specified in XSETID is smaller than the target stream length"
)

// LastIDError refuses an entry that is to follow another one than the last.
type LastIDError struct{ Last, Given ID }

// Error begins with the last id, so that a client finds it.
func (e *LastIDError) Error() string {
	return fmt.Sprintf("%v is the last id, not %v", e.Last, e.Given)
}

// FenceError refuses a token below that of the stream.
type FenceError struct{ Token, Given uint64 }

// Error begins with the token of the stream, so that a client finds it.
func (e *FenceError) Error() string {
	return fmt.Sprintf("%d is the token of the stream, %d is below it", e.Token, e.Given)
}

// ErrCorrupt is wrapped by errors of records and checkpoints that are not what this package wrote, or do not fit to the state.
var ErrCorrupt = errors.New("corrupt")
