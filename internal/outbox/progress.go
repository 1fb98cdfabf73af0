package outbox

import "time"

// moment is an uptime in seconds; 0 is never. It is noted at each write, so it comes from a clock that is read without a call: it
// may be late by the time between two calls of SetClock.
type moment uint32

// SetClock sets the uptime. The sweeper calls it once a second.
func (t *Totals) SetClock(uptime time.Duration) { t.clock.Store(uint32(momentOf(uptime))) }

func (t *Totals) now() moment { return moment(t.clock.Load()) }

// momentOf is never 0. The difference of two of them is right even if the uptime has overflowed.
func momentOf(uptime time.Duration) moment {
	return max(1, moment(uptime/time.Second)+1) //nolint:gosec // as said above
}

// before is how much earlier the moment is than now, and -1 for never.
func (m moment) before(now moment) time.Duration {
	if m == 0 {
		return -1
	}
	return time.Duration(max(0, int32(now-m))) * time.Second //nolint:gosec // a difference
}

// Progress is how far the writer of a connection has come, and what it waits for.
type Progress struct {
	// Bytes wait to be written. Idle is the time in which none was, 0 if none waits.
	Bytes int64
	Idle  time.Duration
	// Barrier means that what comes next waits for the log, Place that it waits for entries of a reply, or for the rest of a replay.
	Barrier, Place bool
}

// Progress returns it as of an uptime.
func (o *Outbox) Progress(uptime time.Duration) Progress {
	o.mu.Lock()
	defer o.mu.Unlock()
	p := Progress{Bytes: o.Backlog(), Barrier: o.barrierLocked() > 0, Place: o.marksLocked() > 0}
	if p.Bytes > 0 {
		p.Idle = max(0, o.progressAt.before(momentOf(uptime)))
	}
	return p
}

// Lately is what became of the messages of a subscription, and when: -1 stands for never.
type Lately struct {
	DeliveryCounts
	// Given is the number of the last message that the client has got; 0 if there is none, or if that is not known.
	Given uint64
	// SinceDelivered and SinceDropped are the times since a message was delivered, and since one was lost to the policy, to a second.
	SinceDelivered, SinceDropped time.Duration
}

// Lately returns it as of an uptime. The core calls it. While messages wait, the number of the last one that is delivered is not
// known: an outbox keeps no numbers.
func (o *Outbox) Lately(a *Account, uptime time.Duration) Lately {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := momentOf(uptime)
	l := Lately{DeliveryCounts: a.DeliveryCounts, SinceDelivered: a.deliveredAt.before(now), SinceDropped: a.droppedAt.before(now)}
	isReplaying := o.ReplayBytes() > 0 || o.marksLocked() > 0
	if a.Waiting() == 0 && a.Delivered+a.Replayed > 0 && a.Undelivered == 0 && !a.LostLast && !isReplaying {
		l.Given = a.LastSeq
	}
	return l
}
