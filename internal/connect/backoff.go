package connect

import (
	"context"
	"math/rand/v2"
	"time"
)

// firstDelay and longestDelay are the bounds of a back-off.
const firstDelay, longestDelay = 100 * time.Millisecond, 30 * time.Second

// backoff is the time between tries: twice as long each time, with jitter, so that many connectors do not come back at one instant.
type backoff struct{ next time.Duration }

// reset begins anew, after something has worked.
func (b *backoff) reset() { b.next = 0 }

// delay is the time until the next try.
func (b *backoff) delay() time.Duration {
	b.next = min(max(2*b.next, firstDelay), longestDelay)
	return jitter(b.next)
}

// jitter is between half of d and d.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) }

// pause waits for d; false means that the context ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
