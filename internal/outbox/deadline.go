package outbox

import (
	"time"

	"github.com/conchmq/conch/internal/uptime"
)

// writeDeadliner is the part of a socket that an outbox needs: a deadline bounds a write, and a past one
// interrupts it.
type writeDeadliner interface{ SetWriteDeadline(t time.Time) error }

// RenewDeadline gives the client the whole timeout to take something. A closing connection keeps its last
// deadline.
//
// Each call reads the clock, but sets the deadline only once in a quarter of the timeout, and adds that quarter
// to it. The writer calls it.
func (o *Outbox) RenewDeadline(sock writeDeadliner, timeout time.Duration) {
	now := uptime.Now()
	if o.deadlineSetAt > 0 && now-o.deadlineSetAt < timeout/4 {
		return
	}
	o.deadlineSetAt = now
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.failed && !o.draining && !o.evicted.Load() {
		_ = sock.SetWriteDeadline(time.Now().Add(timeout + timeout/4)) // on failure the socket is closed, and the next write fails
	}
}

// ExpireDeadline makes the next write set a new deadline. The writer calls it.
func (o *Outbox) ExpireDeadline() { o.deadlineSetAt = 0 }

// Close sets the last deadline, for what waits. The caller adds nothing more.
func (o *Outbox) Close(sock writeDeadliner, drain time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.draining = true
	if !o.failed && !o.evicted.Load() {
		_ = sock.SetWriteDeadline(time.Now().Add(drain))
	}
}

// IsDraining reports whether the last deadline is set. No other follows it.
func (o *Outbox) IsDraining() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.draining
}

// StartNoticeDeadline gives an evicted client its last second.
func (o *Outbox) StartNoticeDeadline(sock writeDeadliner) error {
	o.mu.Lock() // Evict may be between its flag and its deadline
	defer o.mu.Unlock()
	return sock.SetWriteDeadline(time.Now().Add(closeNoticeTimeout))
}

// ExtendDeadline sets a new deadline after one has passed inside a TLS record, and reports whether there is one.
//
// An evicted client gets closeNoticeTimeout once, which noticeStarted records. Any other client must have taken
// something: took is the number of bytes, waited the time it had. A short time means that the deadline was an
// old one.
func (o *Outbox) ExtendDeadline(sock writeDeadliner, took int, waited, timeout time.Duration, noticeStarted *bool) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.evicted.Load():
		if *noticeStarted {
			return false
		}
		*noticeStarted, timeout = true, closeNoticeTimeout
	case o.failed || o.draining || took == 0 && waited >= timeout:
		return false
	}
	return sock.SetWriteDeadline(time.Now().Add(timeout)) == nil
}
