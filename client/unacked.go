package client

import (
	"cmp"
	"errors"
	"slices"
)

var (
	// ErrAckTimeout is the cause of a break when a connection acknowledged nothing for too long.
	ErrAckTimeout = errors.New("no acknowledgement in time")
	// ErrBacklog is wrapped by the error of Publish while a whole window of refused or lost messages has not been taken
	// from Unacked. Publishing continues once it has.
	ErrBacklog = errors.New("too many unacknowledged messages not yet taken from Unacked")
	// ErrRefused is returned by Wait for a refused message that Unacked returned so long ago that the reply of the
	// server is not kept.
	ErrRefused = errors.New("refused, and the reason is no longer kept")
	// ErrExpired is returned by Wait for an old message whose outcome is no longer kept: since then, Unacked has returned
	// more than 65,536 refused messages of its connection, or more than 1,024 replacements of it have broken.
	ErrExpired = errors.New("the outcome is no longer kept")
)

// Unacked is a message that was not acknowledged.
type Unacked struct {
	ID      MessageID
	Topic   string
	Payload []byte
	// Cause wraps ErrOutcomeUnknown and explains why the connection ended; or it is the *Error with which the server
	// refused the message, which was then not published.
	Cause error
}

// unacked is an Unacked with its position among all messages of the publisher.
type unacked struct {
	Unacked
	ordinal  uint64
	returned bool // by Unacked: topic and payload are dropped, the cause is kept for Wait
}

// sortUnacked sorts by the order of publishing.
func sortUnacked(all []unacked) []Unacked {
	slices.SortFunc(all, func(a, b unacked) int { return cmp.Compare(a.ordinal, b.ordinal) })
	sorted := make([]Unacked, len(all))
	for i := range all {
		sorted[i] = all[i].Unacked
	}
	return sorted
}
