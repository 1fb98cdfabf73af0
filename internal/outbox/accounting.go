package outbox

import (
	"github.com/rs/zerolog"

	"github.com/conchmq/conch/internal/invariant"
)

// deliveryCounts is what became of messages. Each one that was matched ends in exactly one of the other three; until then it
// waits.
type DeliveryCounts struct {
	Matched     int64 // its publisher was told that it is queued
	Delivered   int64 // the kernel has taken its last byte
	Dropped     int64 // by the policy for slow consumers; told where the protocol has a way to say it
	Undelivered int64 // it waited, or was half written, when its connection ended
}

// waiting is how many have no end yet.
func (t *DeliveryCounts) Waiting() int64 { return t.Matched - t.Delivered - t.Dropped - t.Undelivered }

// MarshalZerologObject writes the four numbers into a line of the log.
func (t DeliveryCounts) MarshalZerologObject(e *zerolog.Event) {
	e.Int64("matched", t.Matched).Int64("delivered", t.Delivered).Int64("dropped", t.Dropped).Int64("undelivered", t.Undelivered)
}

// subscriptionAccount is the counts of one subscription. It lives for as long as a message of the subscription waits, which may be
// longer than the subscription itself. But for its name it is guarded by the outbox's mutex.
type Account struct {
	DeliveryCounts
	name string // of the topic or the pattern, as MISSED says it
	// Where the subscription's messages were missed last: most losses follow each other.
	gap      *gap
	gapIndex int    // in gap.losses
	cut      uint64 // see outbox.hole

	// The core's own, and numbers of messages: the last one that was owed to the subscription, whether it was queued or
	// not, and the last one that is known to be lost. Where they are the same, the next message to come says so.
	LastSeq, LastLostSeq uint64
}

func NewAccount(name string) *Account { return &Account{name: name} }

// assertBalancedLocked holds that no message has ended twice.
func (a *Account) assertBalancedLocked() {
	invariant.Check(a.Waiting() >= 0, "more messages of %s have ended than were matched", a.name)
}

// loadCounts are all four numbers at this moment.
func (o *Outbox) Counts() DeliveryCounts {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.counts
}

// previousSeq is what a message says of the one before it that was owed to the subscription: in RESP3 its number, in a line
// the same if it is lost. 0 is nothing.
func (a *Account) PreviousSeq(f Format) uint64 {
	if f == formatRESP3WithSeq || f.HasSeq() && a.LastLostSeq == a.LastSeq {
		return a.LastSeq
	}
	return 0
}

// accountCounts is what has become of one subscription's messages so far.
func (o *Outbox) CountsOf(a *Account) DeliveryCounts {
	o.mu.Lock()
	defer o.mu.Unlock()
	return a.DeliveryCounts
}
