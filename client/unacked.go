package client

import (
	"cmp"
	"errors"
	"slices"
)

var (
	// ErrAckTimeout is why a connection was given up that acknowledged nothing for too long.
	ErrAckTimeout = errors.New("no acknowledgement in time")
	// ErrBacklog is wrapped by what a publisher says when a whole window of messages has been refused, and nobody has taken
	// them from Unacked. It goes on when somebody has.
	ErrBacklog = errors.New("too many refused messages not yet taken from Unacked")
	// ErrRefused is returned by Wait for a message that the server has refused, and that Unacked has handed back, when that
	// is so long ago that the words of the server are forgotten.
	ErrRefused = errors.New("refused, and the reason is no longer kept")
	// ErrExpired is returned by Wait for a message that is long past, and of which it is not known any more whether it
	// was acknowledged or refused: Unacked has handed back more than 65,536 messages since that its connection was refused.
	ErrExpired = errors.New("acknowledged or refused, and no longer kept which")
)

// Unacked is a message that was not acknowledged.
type Unacked struct {
	ID      MessageID
	Topic   string
	Payload []byte
	// Cause wraps ErrOutcomeUnknown and says why the connection ended; or it is the *Error with which the server refused the
	// message, which then was not published.
	Cause error
}

// unacked is one with its place among all messages of the publisher.
type unacked struct {
	Unacked
	ordinal  uint64
	returned bool // handed back: topic and payload are gone, the cause is kept for Wait
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
