package outbox

import (
	"github.com/rs/zerolog"

	"github.com/conchmq/conch/internal/invariant"
)

// DeliveryCounts counts messages by outcome. Each matched message ends in exactly one of the other three; until
// then it waits.
type DeliveryCounts struct {
	// Matched messages are in the publisher's count of receivers.
	Matched int64
	// Delivered messages have their last byte in the kernel.
	Delivered int64
	// Dropped messages are lost to the policy for slow consumers. The client gets their count, except in RESP2.
	Dropped int64
	// Undelivered messages waited, or were half written, when their connection ended.
	Undelivered int64
	// Replayed messages are older than the subscription's join, and not among the matched. They count when a replay queues them.
	Replayed int64
}

// Waiting is the number of messages without an outcome yet. It is never negative.
func (t *DeliveryCounts) Waiting() int64 { return t.Matched - t.Delivered - t.Dropped - t.Undelivered }

// MarshalZerologObject writes the four counts into a log line.
func (t DeliveryCounts) MarshalZerologObject(e *zerolog.Event) {
	e.Int64("matched", t.Matched).Int64("delivered", t.Delivered).Int64("dropped", t.Dropped).Int64("undelivered", t.Undelivered)
}

// Account holds the counts of one subscription. It outlives the subscription while a message of it waits. The
// mutex of the outbox guards all fields except name, Track, LastSeq and LostLast.
type Account struct {
	DeliveryCounts
	// name is the topic or pattern in MISSED. It never changes.
	name string
	// gap is where the latest loss of the subscription is counted: most losses follow each other.
	gap *gap
	// gapIndex is the place of that loss in gap.losses.
	gapIndex int32
	// deliveredAt and droppedAt are when a message was delivered last, and lost to the policy.
	deliveredAt, droppedAt moment
	// LostLast means that the last message owed was lost to the policy before it was queued. The core owns it.
	LostLast bool

	// Track follows the position, if that is kept; nil else. The core sets it before the first message.
	Track *Track
	// LastSeq is the sequence of the last message owed to the subscription, queued or not. The core owns it.
	LastSeq uint64
}

// NewAccount returns the account of a subscription to a topic or pattern.
func NewAccount(name string) *Account { return &Account{name: name} }

// assertBalancedLocked checks that no message has ended twice.
func (a *Account) assertBalancedLocked() {
	invariant.Check(a.Waiting() >= 0, "more messages of %s have ended than were matched", a.name)
}

// Counts returns the four counts of all subscriptions together, read under one lock, so that they balance.
func (o *Outbox) Counts() DeliveryCounts {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.counts
}

// PreviousSeq is the sequence of the previous message that the next one shows, 0 for none. RESP3 alone shows it:
// lines behind a loss may be encoded already, and shared. The core calls it.
func (a *Account) PreviousSeq(f Format) uint64 {
	if f == formatRESP3WithSeq {
		return a.LastSeq
	}
	return 0
}

// CountsOf returns the counts of one subscription, read under one lock.
func (o *Outbox) CountsOf(a *Account) DeliveryCounts {
	o.mu.Lock()
	defer o.mu.Unlock()
	return a.DeliveryCounts
}
