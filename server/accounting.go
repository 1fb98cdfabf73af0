package server

import (
	"github.com/rs/zerolog"

	"github.com/conchmq/conch/internal/invariant"
)

// deliveryCounts is what became of messages. Each one that was matched ends in exactly one of the other three; until then it
// waits.
type deliveryCounts struct {
	matched     int64 // its publisher was told that it is queued
	delivered   int64 // the kernel has taken its last byte
	dropped     int64 // by the policy for slow consumers; told where the protocol has a way to say it
	undelivered int64 // it waited, or was half written, when its connection ended
}

// waiting is how many have no end yet.
func (t *deliveryCounts) waiting() int64 { return t.matched - t.delivered - t.dropped - t.undelivered }

// MarshalZerologObject writes the four numbers into a line of the log.
func (t deliveryCounts) MarshalZerologObject(e *zerolog.Event) {
	e.Int64("matched", t.matched).Int64("delivered", t.delivered).Int64("dropped", t.dropped).Int64("undelivered", t.undelivered)
}

// subscriptionAccount is the counts of one subscription. It lives for as long as a message of the subscription waits, which may be
// longer than the subscription itself. But for its name it is guarded by the outbox's mutex.
type subscriptionAccount struct {
	deliveryCounts
	name string // of the topic or the pattern, as MISSED says it
	// Where the subscription's messages were missed last: most losses follow each other.
	gap      *gap
	gapIndex int    // in gap.losses
	cut      uint64 // see outbox.hole

	// The core's own, and numbers of messages: the last one that was owed to the subscription, whether it was queued or
	// not, and the last one that is known to be lost. Where they are the same, the next message to come says so.
	lastSeq, lastLostSeq uint64
}

func newAccount(name string) *subscriptionAccount { return &subscriptionAccount{name: name} }

// assertBalanced holds that no message has ended twice.
func (a *subscriptionAccount) assertBalanced() {
	invariant.Check(a.waiting() >= 0, "more messages of %s have ended than were matched", a.name)
}

// loadCounts are all four numbers at this moment.
func (o *outbox) loadCounts() deliveryCounts {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.counts
}

// previousSeq is what a message says of the one before it that was owed to the subscription: in RESP3 its number, in a line
// the same if it is lost. 0 is nothing.
func (a *subscriptionAccount) previousSeq(f format) uint64 {
	if f == formatRESP3WithSeq || f.hasSeq() && a.lastLostSeq == a.lastSeq {
		return a.lastSeq
	}
	return 0
}

// accountCounts is what has become of one subscription's messages so far.
func (o *outbox) accountCounts(a *subscriptionAccount) deliveryCounts {
	o.mu.Lock()
	defer o.mu.Unlock()
	return a.deliveryCounts
}
